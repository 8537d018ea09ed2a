"""The power goes at any moment of a remote change: a part of make campaign-remote, and what that would see."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "campaigns"))

import remote_powercut  # noqa: E402


@pytest.mark.parametrize("program", remote_powercut.PROGRAMS)
def test_a_cut_leaves_the_old_settings_or_the_new_and_one_report(program):
    result = remote_powercut.Job(program, 1, 5, 2).run()
    assert result["operations"] > 80 and result["cuts"] > 100
    assert result["violations"] == []


# module, what stands there, what is put in its place
BUGS = {
    "kept before it is confirmed": (
        "changes",
        "            if not await reports.report(self, path, on_trial):\n",
        "            if on_trial:\n"
        '                os.rename(folder + "/next", folder + "/values")\n'
        "            if not await reports.report(self, path, on_trial):\n",
    ),
    "forgotten before it is marked": (
        "reports",
        "    wanted = {}\n",
        '    parameters.os.rename(path, path + ".old")\n    path += ".old"\n    wanted = {}\n',
    ),
    "commands are done before they are marked": (
        "reports",
        "    wanted = {}\n",
        "    for row in parameters.rows(path):\n"
        '        if row[1] == "command":\n'
        "            _do(look, row[4], 0)\n"
        "    wanted = {}\n",
    ),
    "commands are done before it is remembered that they were": (
        "reports",
        "    look.remember(seen)\n",
        "    for text in todo:\n        _do(look, *parameters.command(text))\n    todo = []\n    look.remember(seen)\n",
    ),
    "what was dealt with is not remembered": ("reports", "    look.remember(seen)\n", ""),
    "told in the name of another look": ("reports", "% (tag, time, checksum)", "% (tag, look.node.now(), checksum)"),
    "in force at once": ("overlay", 'with open(folder + "/next", "w")', 'with open(folder + "/values", "w")'),
    "roots stay": ("overlay", 'name[-4:] == ".der"', 'name[-4:] == ".dxr"'),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_of_these_bugs_is_seen(bug, tmp_path):
    name, right, wrong = BUGS[bug]
    shutil.copytree(remote_powercut.ROOT / "firmware", tmp_path / "firmware")
    (tmp_path / "lib").symlink_to(remote_powercut.ROOT / "lib")
    module = tmp_path / "firmware" / "agent" / f"{name}.py"
    source = module.read_text()
    assert source.count(right) == 1
    module.write_text(source.replace(right, wrong))
    # at which of its operations the flash shows it varies with the length of the certificate
    assert any(remote_powercut.Job(256, first, 5).run(tmp_path)["violations"] for first in range(5))
