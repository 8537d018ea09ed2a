"""What the uplink may cost in bytes, handshakes and heap; times are the bench's (bench/uplink.py).

On MicroPython alone: its heap and its TLS are what is measured.
"""

from collections.abc import Iterator

import pytest
from bench import uplink


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[uplink.Bench]:
    cache = getattr(request.config, "cache", None)
    # compiled device code is shared with the device tests
    with uplink.Bench(cache.mkdir("device") / "micropython" if cache else None) as made:
        yield made


def test_fifty_samples_a_post_cost_no_more_than_agreed(bench):
    node, expert = bench.node(), bench.expert()
    assert node["records"] == expert["records"]
    assert len(node["records"]) == node["acknowledged"] == 1000
    assert node["queued"] == 0
    assert (node["requests"], node["handshakes"]) == (4, 1)
    assert node["wire"] <= uplink.MOST_WIRE
    # few writes: a little more than the bytes fill, as the last segment of a piece is not full
    assert node["segments_up"] <= 1.25 * expert["segments_up"]


def test_the_heap_does_not_see_how_much_is_waiting(bench):
    runs = [bench.drain(readings) for readings in (10, 1000, 10000)]
    assert [len(run["records"]) for run in runs] == [10, 1000, 10000]
    assert [run["handshakes"] for run in runs] == [1, 1, 1]
    assert uplink.spread(runs) <= uplink.MOST_GROWTH
    assert runs[1]["wire"] <= uplink.MOST_WIRE


def test_the_heap_does_not_see_how_large_a_body_is(bench):
    small, large = bench.drain(1000, 2048), bench.drain(1000, 131072)
    assert (small["requests"] > 50, large["requests"]) == (True, 1)
    assert uplink.spread([small, large]) <= uplink.MOST_GROWTH
