"""Faults of the simulation on real MicroPython: two fixed seeds, one that nobody has lived before, and a bug that
MicroPython alone shows. `make campaign-sim-board` lives more of them, and seeds more bugs.
"""

import random

import pytest
import simboard
from campaigns import sim_board
from sim.faults import KINDS, Fault
from sim.spec import Spec

HOURS = 12


def lived(seed: int, board: str) -> simboard.Found:
    found = simboard.live(sim_board.as_in_the_suite(seed, board, HOURS))
    said = f"make campaign-sim-board SEED={seed} ARGS='--board {board} --hours {HOURS}'"
    assert not found.violations, "\n".join([*found.story[-60:], *found.violations, said])
    assert found.stored and found.happened, said
    return found


@pytest.mark.parametrize("seed, board", [(2, "pico_w"), (7, "esp32")])
def test_a_life_on_a_board_breaks_no_invariant(seed, board):
    assert len(lived(seed, board).happened) > 8


def test_a_life_that_nobody_has_lived(capsys):
    seed = random.SystemRandom().randrange(10**6, 10**9)
    with capsys.disabled():
        print(f" [seed {seed}] ", end="")
    lived(seed, "pico_w")


def test_a_bug_that_only_micropython_shows():
    found = sim_board.seeded("memory is kept of each request")
    assert any("the heap of boot 1 shrank" in text for text in found.violations), found


def test_what_is_played_is_what_the_simulation_has():
    assert set(KINDS) >= simboard.PLAYED and not simboard.PLAYED & set(simboard.NOT_PLAYED)
    with pytest.raises(KeyError, match="in virtual time"):
        simboard.live(Spec(1, 0.1), [Fault(1, "net_slow", 1, 1)])
