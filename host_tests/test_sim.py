"""Simulated lives of the whole agent: fixed seeds, and one that nobody has lived before. `make campaign-sim` lives for
node-years; sim/README.md says how it works.
"""

import random
import sys
from dataclasses import replace

import pytest
from harness import commands
from sim import campaign, coverage
from sim.campaign import live
from sim.faults import KINDS, RATES, Fault, faults_of
from sim.loop import IoQueue, Loop, Time
from sim.shrink import likeness, play, shrink
from sim.spec import Spec, spec_of
from sim.world import World

# a board each, deep and light sleep, always on, littlefs, one network and two, hostile or not
SEEDS = (1, 4, 9, 17, 26, 32, 41, 47, 59, 62, 70, 74, 94, 173)
DAYS = 30
FRESH_DAYS = 10


def lived(spec: Spec) -> None:
    row = live(spec)
    said = f"make campaign-sim SEED={spec.seed} DAYS={spec.days:g} TRACE=1"
    assert not row["violations"], f"{row['violations'][0]}: {said}"
    assert row["stored"] and row["faults"], said


@pytest.mark.parametrize("seed", SEEDS)
def test_a_life_breaks_no_invariant(seed):
    lived(spec_of(seed).lasting(DAYS))


@pytest.mark.parametrize(
    "seed",
    (
        920057,  # a bit flips in the list of what was told of remote settings: it is told again
        920087,  # the power is off for hours, from the last moment before a calm on
        920213,  # what could not be written is on flash all the same; the next, at which the power goes, is not
        920117,  # sent again without word, refused, and sent in parts: each part may be there twice
    ),
)
def test_what_a_node_cannot_know_is_not_held_against_it(seed):
    lived(replace(spec_of(seed), days=12, hostile=True, sample=3600))


def test_a_life_of_a_sample_a_minute():
    lived(Spec(60, 2.5, sample=60, upload=300, ppm=25))


def test_a_life_that_nobody_has_lived(capsys):
    seed = random.SystemRandom().randrange(10**6, 10**9)
    with capsys.disabled():
        print(f" [seed {seed}] ", end="")
    lived(spec_of(seed).lasting(FRESH_DAYS))


def test_the_command_lives_on_the_real_file_system_too():
    assert spec_of(26).littlefs
    said = commands.run(sys.executable, campaign.__file__, "--seed", "26", "--days", "0.2")
    assert "1 lives from seed 26" in said.stdout and ", 0 violations" in said.stdout, said.stdout + said.stderr


def told(spec: Spec, **how: bool) -> list[str]:
    lines: list[str] = []
    World(spec, faults_of(spec), say=lines.append, **how).run()
    return lines


def test_a_seed_tells_the_same_story_again():
    spec = spec_of(12).lasting(4)
    story = told(spec)
    assert len(story) > 20
    assert told(spec) == story


@pytest.mark.parametrize(
    ("seed", "board", "sleeps", "networks"),
    ((10, "pico_w", False, 1), (5, "pico_w", True, 1), (6, "esp32", True, 1), (7, "esp32s3", False, 2)),
)
def test_what_is_passed_over_would_have_changed_nothing(seed, board, sleeps, networks):
    spec = Spec(seed, 1.5, board, sleeps=sleeps, hostile=True, networks=networks)
    assert told(spec, fast=True) == told(spec, fast=False)


def test_nothing_of_a_boot_that_is_over_is_woken_in_the_next():
    # a handshake's answer was on its way when the power went
    said: list[str] = []
    time = Time()
    loop = Loop(time, lambda what, error: said.append(f"{what}: {error!r}"))
    sleep_ms = loop.asyncio.sleep_ms

    class Silent:
        waiters: list = [None, None]
        readable = writable = staticmethod(bool)

    class Readable:
        def __await__(self):
            IoQueue(loop).queue_read(Silent)
            yield

    async def waits():
        await Readable()

    async def first():
        await loop.asyncio.wait_for_ms(waits(), 5000)

    async def boot():
        loop.create_task(first())
        await sleep_ms(10)

    async def next_boot():
        await sleep_ms(20)

    loop.run(boot())
    assert Silent.waiters[0] is not None
    loop.end()
    time.at(20, lambda: loop.wake(Silent, 0))
    loop.run(next_boot())
    assert not said and time.now == 30


def test_every_kind_of_fault_has_a_rate_and_can_be_written_down():
    assert {row[0] for row in RATES} == set(KINDS)
    for fault in faults_of(spec_of(12)):
        assert Fault.parse(str(fault)) == fault


def test_the_shrinker_finds_what_matters():
    # a bug: what may have arrived is sent again
    overlay = (("agent.uplink", "        if verdict == verdicts.AMBIGUOUS:\n", "        if verdict == None:\n"),)
    spec = Spec(3, 0.4, sample=600, upload=600)
    hour = 3600000
    lost = Fault(2 * hour, "server_answer_lost", hour, 1)
    others = [Fault(n * hour // 2, kind, 60000, n) for n, kind in enumerate(("wifi_lost", "sensor", "dns", "ntp"), 1)]
    faults = sorted([lost, *others], key=lambda fault: fault.at)
    assert shrink(spec, faults, overlay, seconds=60) == [lost]
    assert "stored twice" in likeness(play(spec, [lost], overlay).watch.violations[0])


def test_pairs_of_states_that_were_never_met_are_told():
    lines = list(coverage.report(coverage.Counter({("verdict accepted", "link up"): 3})))
    assert "1 of" in lines[0]
    assert any("never:" in line and "verdict throttled with link up" in line for line in lines)
