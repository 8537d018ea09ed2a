"""The campaigns of seeded bugs in drivers can be run at any time: each bug has its place, one of them is run."""

import sys

import pytest
from harness.places import HOST_TESTS, REPOSITORY

sys.path.append(str(HOST_TESTS / "campaigns"))
import agent_mutations  # noqa: E402
import driver_mutations  # noqa: E402
import seeded  # noqa: E402
import sim_mutations  # noqa: E402

from sim.interpreter import find  # noqa: E402


@pytest.mark.parametrize("bug, file, text, becomes", driver_mutations.MUTATIONS)
def test_a_seeded_bug_has_its_place(bug, file, text, becomes):
    assert text in (REPOSITORY / "lib" / "drivers" / f"{file}.py").read_text(encoding="utf-8")
    assert text != becomes


def test_all_seeded_bugs_of_the_agent_have_their_places():
    """In one test: there are hundreds, and other people move code."""
    lost = []
    for bug, file, text, becomes in agent_mutations.MUTATIONS:
        code = (REPOSITORY / agent_mutations.place(file) / f"{file}.py").read_text(encoding="utf-8")
        if text not in code or text == becomes:
            lost.append(f"{file}: {bug}")
    assert lost == []


def test_all_bugs_of_the_simulation_have_their_places_and_are_in_its_table():
    lost = []
    table = sim_mutations.TABLE.read_text(encoding="utf-8")
    for bug, module, text, becomes, bound, _ in sim_mutations.MUTATIONS:
        code = find(module).read_text(encoding="utf-8")
        if code.count(text) != 1 or code.replace(text, becomes) == code or f"| {bug} | {module} |" not in table:
            lost.append(f"{module}: {bug}")
        assert bound <= 8
    assert lost == []
    assert len({row[0] for row in sim_mutations.MUTATIONS}) == len(sim_mutations.MUTATIONS) >= 28


def test_a_bug_is_found_in_a_life_that_does_the_sound_agent_no_harm():
    row = next(row for row in sim_mutations.MUTATIONS if row[0] == "a token on the console")
    assert sim_mutations.hunt(row).seed == 1
    name, module, text, _, _, _ = row
    found = sim_mutations.hunt((name, module, text, text + "  # sound", 0.02, {}))
    assert not found.seed and "NOT FOUND" in found.broken


def test_a_number_takes_from_all_files_in_turn():
    files = {row[1] for row in driver_mutations.MUTATIONS}
    taken = seeded.chosen(driver_mutations.MUTATIONS, str(len(files)))
    assert len(taken) == len(files) and {row[1] for row in taken} == files
    assert len(seeded.chosen(driver_mutations.MUTATIONS, "rssi")) == 1
    assert seeded.chosen(driver_mutations.MUTATIONS, "") == driver_mutations.MUTATIONS


def test_a_seeded_bug_is_noticed_and_sound_code_is_not(capsys):
    bugs = [
        ("no link taken for 0 dBm", "rssi", "-128 < dbm < 0", "-128 < dbm <= 0"),
        ("none at all", "rssi", "-128 < dbm < 0", "-128 < dbm  < 0"),
    ]
    assert seeded.campaign(bugs, lambda file: "lib/drivers", driver_mutations.tests_of) == 1
    noticed, sound, count = capsys.readouterr().out.splitlines()
    assert "tests, first test_" in noticed and "NOBODY NOTICED" in sound and count == "1 unnoticed"
