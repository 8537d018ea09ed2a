"""The campaigns of seeded bugs in drivers can be run at any time: each bug has its place, one of them is run."""

import sys

import pytest
from harness.places import HOST_TESTS, REPOSITORY

sys.path.append(str(HOST_TESTS / "campaigns"))
import agent_mutations  # noqa: E402
import driver_mutations  # noqa: E402
import seeded  # noqa: E402


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
