"""A slice of the herd campaign: virtual nodes under real MicroPython share a rate limit of the local TagoIO."""

import pytest
from campaigns.herd import Herd, Outcome
from tagonode.cloud.limits import Window

# Half of the nodes are refused in each window, and come back in the next. That their waits have jitter is seen in the
# campaign and in virtual time: in so short a window, the whole seconds of Retry-After spread them as well.
SLICE = Herd("slice", limit=15, nodes=30, window=5, windows=2)


def test_a_herd_spreads_and_all_arrives():
    outcome = SLICE.run()
    assert outcome.problems == [], outcome.report()
    assert sum(outcome.refused) and sum(outcome.taken), outcome.report()


# -- what the campaign calls a failure ---------------------------------------------------------------------

HERD = Herd("ten for 200", limit=10, window=10, windows=2)
WELL = {"delivered": True, "problems": [], "readings": 60, "acknowledged": 60, "requests": 20, "handshakes": 10}


def met(moments, refused=None):
    """Two windows, in each of which ten devices are taken at these moments (ms)."""
    refused = refused or {}
    windows = []
    for start in (0, 10_000, 20_000):
        taken = {f"d{i}": [start + at] for i, at in enumerate(moments)} if start else {"d0": [5000]}
        windows.append(Window(start, taken, {k: [start + at for at in times] for k, times in refused.items()}))
    return windows


SPREAD = range(500, 10_000, 1000)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"met": met(SPREAD, {"d1": [700]})}, None),
        ({"met": met([20] * 3 + list(SPREAD)[3:])}, "the fullest tenth of the window met 3.0 times the mean"),
        ({"met": met([9990] * 10)}, "the fullest tenth of the window met 10.0 times the mean"),
        ({"met": met(SPREAD, {"d1": [700, 9000]})}, "device d1 was refused 2 times in one window: at 0.70 s, 9.00 s"),
        ({"stored": 63}, "60 acknowledged, but 63 stored"),
        ({"answers": {200: 20, 400: 1}}, "answers that nobody expects: {400: 1}"),
        ({"result": {**WELL, "delivered": False, "readings": 63}}, "of 63 readings 60 were delivered"),
        ({"result": {**WELL, "problems": ["its counters do not balance"]}}, "its counters do not balance"),
        ({"begin": None}, "of 200 nodes 10 sent anything"),
    ],
)
def test_what_fails(changes, problem):
    seen = {"result": WELL, "begin": 10_000, "met": met(SPREAD), "stored": 60, "answers": {200: 20, 429: 3}, **changes}
    outcome = Outcome(HERD, **seen)
    assert set(outcome.problems) == ({problem} if problem else set())
    assert (f"FAILED {problem}" in outcome.report()) == bool(problem)


@pytest.mark.parametrize(("nodes", "crowded"), [(10, 5.9), (50, 4), (200, 3), (1000, 3)])
def test_how_much_is_a_crowd(nodes, crowded):
    assert Herd("x", limit=1, nodes=nodes).crowded == pytest.approx(crowded, abs=0.1)


def test_the_histogram_is_of_the_windows_that_are_looked_at():
    outcome = Outcome(HERD, WELL, 10_000, met(SPREAD, {"d1": [9999]}), 60, {200: 20})
    assert outcome.taken == [2] * 10
    assert outcome.refused == [0] * 9 + [2]
    assert outcome.crowd == pytest.approx(4 / 2.2)
