"""How a herd of nodes shares one profile's rate limit: each has its own place in the window and its own waits.

In virtual time; `campaigns/herd.py` has the same on virtual boards, over TLS, with the local TagoIO.
"""

from herdworld import BUILD_MS, TENTHS, Herd, correlation, crowd, histogram

import pytest
from agent import uplink
from harness import heap

NODES = 200
WINDOW = 60000
# 200 nodes that pick their moments independently put 1.2 to 1.6 times the mean into the fullest tenth, nodes that
# move together 5 to 10 times
CROWD = 2.5
UNRELATED = 0.3  # correlation of 200 pairs by chance: hardly ever more
ROOMY = heap("24M")  # 200 nodes in one interpreter, and all that they sent

# ids as boards of one delivery have them: (bytes before, bytes of the number, step, bytes behind)
IDS = (
    ("rp2", b"\xe6\x61\x41\x03\xe7", 3, 1, b""),
    ("rp2 in steps", b"\xe6\x61\x41\x03", 3, 37, b"\x2f"),
    ("rp2 in front", b"\xe6", 2, 1, b"\x41\x03\xe7\x2c\x10"),
    ("esp32", b"\x24\x6f\x28", 3, 4, b""),
)


def ids_of(kind, nodes=NODES):
    for name, before, size, step, behind in IDS:
        if name == kind:
            return [before + (0x2C10 + i * step).to_bytes(size, "big") + behind for i in range(nodes)]
    raise ValueError(kind)


def draw(herd, count):
    """The first waits of each node after it was throttled: [one list a node]."""
    drawn = []
    for node in herd.nodes:
        uplink.random = node.random
        drawn.append([node.uplink._jitter(herd.window) for _ in range(count)])
    return drawn


@pytest.mark.parametrize("kind", [row[0] for row in IDS])
@pytest.mark.parametrize("every, window", [(300000, 60000), (60000, 60000), (15000, 60000), (10000, 10000)])
@ROOMY
def test_places_in_the_interval_and_waits_are_spread_and_unrelated(kind, every, window):
    herd = Herd(ids_of(kind), every, window)
    places = [node.uplink._offset_ms for node in herd.nodes]
    assert crowd(histogram(places, every)) < CROWD
    assert abs(correlation(places[1:], places[:-1])) < UNRELATED
    waits = draw(herd, 4)
    for turn in range(4):
        these = [node[turn] for node in waits]
        assert crowd(histogram(these, window)) < CROWD, turn
        assert abs(correlation(places, these)) < UNRELATED, turn
        assert abs(correlation(these[1:], these[:-1])) < UNRELATED, turn
        if turn:
            assert abs(correlation(these, [node[turn - 1] for node in waits])) < UNRELATED, turn


@ROOMY
def test_after_a_reboot_a_node_has_the_same_place_and_other_waits():
    before = Herd(ids_of("rp2", 20), WINDOW)
    after = Herd(ids_of("rp2", 20), WINDOW, entropy=0x15555555)
    assert [node.uplink._offset_ms for node in before.nodes] == [node.uplink._offset_ms for node in after.nodes]
    same = [a == b for a, b in zip(draw(before, 1), draw(after, 1))]
    assert sum(same) <= 1


@pytest.mark.parametrize(
    "every, limit, refusals",
    [
        (60000, 250, 0),  # room for all
        (60000, 100, 100),  # for half of them
        (15000, 250, 200),  # each uploads four times a window
    ],
    ids=["roomy", "tight", "busy"],
)
@ROOMY
def test_a_herd_on_one_grid_spreads_and_all_arrives(every, limit, refusals):
    herd = Herd(ids_of("rp2"), every, WINDOW, limit)
    windows = 8
    herd.spend(windows * WINDOW, every)
    assert sum([not taken for _, _, taken in herd.met]) <= refusals * windows
    assert crowd(herd.tenths(BUILD_MS + WINDOW)) < CROWD
    # nothing new comes: what is queued needs one request of each node, and a third of them is lucky in a window
    herd.spend((2 if limit >= NODES else 8) * WINDOW)
    assert herd.queued() == 0
    assert herd.refused_twice() == []


@ROOMY
def test_those_who_were_turned_away_at_one_moment_come_back_at_many():
    herd = Herd(ids_of("rp2"), 300000, WINDOW, 100)
    herd.spend(90000)
    herd.flush()
    herd.spend(3 * WINDOW)
    moment = BUILD_MS + 90000
    assert [taken for at, _, taken in herd.met if at == moment] == [True] * 100 + [False] * 100
    later = [at for at, _, taken in herd.met if at > moment]
    assert len(later) == 100 and herd.queued() == 0
    assert min(later) >= moment + 30000
    assert crowd(histogram([at - moment - 30000 for at in later], WINDOW)) < 3


@ROOMY
def test_those_who_start_at_one_moment_send_their_first_sample_at_many():
    """Soon, for somebody may wait for it: after a power cut of the whole valley, too."""
    herd = Herd(ids_of("esp32"), 300000, WINDOW)
    for node in herd.nodes:
        node.uplink.spread = True
    herd.flush()
    herd.spend(WINDOW)
    moments = [at - BUILD_MS for at, _, _ in herd.met]
    assert len(moments) == NODES and max(moments) < WINDOW // 4
    assert crowd(histogram(moments, WINDOW // 4)) < CROWD
    herd.spend(240000)
    herd.flush()
    assert [at for at, _, _ in herd.met[NODES:]] == []
    herd.spend(0)
    assert len(herd.met) == 2 * NODES and len({at for at, _, _ in herd.met[NODES:]}) == 1  # as ever from then on


@ROOMY
def test_after_an_outage_they_come_back_one_by_one():
    herd = Herd(ids_of("esp32"), WINDOW)
    herd.down = True
    herd.spend(WINDOW // 2)
    herd.flush()  # all find out in one moment
    herd.spend(10 * WINDOW, WINDOW)
    assert herd.met == [] and len(herd.missed) > NODES
    herd.down = False
    since = herd.now
    herd.spend(16 * WINDOW, WINDOW)
    assert all([taken for _, _, taken in herd.met])
    moments = [(at - since) * TENTHS // WINDOW for at, _, _ in herd.met]
    assert max([moments.count(tenth) for tenth in range(16 * TENTHS)]) < NODES // 4
    herd.spend(2 * WINDOW)
    assert herd.queued() == 0
