"""What Wi-Fi does next (agent.joining.Joining), whatever happens to it: properties of every history."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tagonode import device

rules = device.load("agent.joining")

OUTCOMES = st.sampled_from(["fails", "mute", "flaps", "holds", "moves", "planned"])
MUTE_MS, TRY_MS = 900000, 20000


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(0, 5),
    best=st.integers(0, 6),
    history=st.lists(OUTCOMES, max_size=120),
    seed=st.integers(0, 1 << 30),
)
def test_every_history(count: int, best: int, history: list[str], seed: int) -> None:
    chance = random.Random(seed)
    joining = rules.Joining(count, best, lambda n: chance.randrange(n))
    now, outcomes = 0, iter(history)
    mute_since: int | None = None  # all attempts since then
    tried: list[int] = []  # in this round
    rests = failed_rounds = 0
    last_reset = -MUTE_MS
    while True:
        what, argument = joining.next(now)
        if what == rules.TRY:
            rests = 0
            assert 0 <= argument < count
            assert argument not in tried  # nobody twice in a round
            assert joining.next(now) == (what, argument)  # asking changes nothing
            if not tried and joining.best < count:
                assert argument == joining.best  # what worked last comes first
            tried.append(argument)
            outcome = next(outcomes, None)
            if outcome is None:
                return
            now += TRY_MS
            if outcome in ("fails", "mute"):
                joining.failed(now, outcome == "mute")
                if outcome == "fails":
                    mute_since = None
                elif mute_since is None:
                    mute_since = now
                continue
            mute_since = None
            if outcome == "planned":  # it fails, and somebody looked around
                joining.failed(now, False)
                joining.plan(sorted(range(count), key=lambda _: chance.random()))
                tried = []
                continue
            joining.joined()
            assert joining.best == argument
            now += 1000 if outcome == "flaps" else 3600000
            if outcome == "moves":
                other = chance.randrange(count)
                joining.move(other)
                assert joining.next(now) == (rules.TRY, other)
            else:
                joining.lost(1000 if outcome == "flaps" else 3600000)
            tried = []
            failed_rounds = 0 if outcome == "holds" else failed_rounds
            if outcome == "holds":
                assert joining.next(now) == (rules.TRY, argument)  # at once
            elif outcome == "flaps":
                assert joining.next(now)[0] != rules.TRY  # not at once
                rests = 1
                now += 1000
            continue
        if what == rules.RESET:
            # the radio alone is to blame: not one try was answered for so long
            assert mute_since is not None and now - mute_since >= MUTE_MS
            assert now - last_reset >= MUTE_MS
            last_reset = now
            tried = []
            continue
        assert what in (rules.REST, rules.CYCLE)
        rests += 1
        assert rests <= 2 or not count  # a round, a rest, a round
        assert not tried or len(tried) == count or count == 0 or rests == 1
        assert 1000 <= argument < 301000
        failed_rounds += 1
        tried = []
        now += argument
        if not count and failed_rounds > 40:
            return
