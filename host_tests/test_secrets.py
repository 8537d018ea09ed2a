"""A secret in any output of the suite makes the run fail: shown by suites that leak on purpose."""

import re
import textwrap
import uuid
from pathlib import Path

import pytest
from harness import commands
from harness.places import HOST_TESTS, REPOSITORY
from harness.secrets import Secrets, constants_in, constants_of, searchable

# of no use anywhere: the leaky suites below are the only ones who know them
TOKEN = "ab12cd34-0000-4000-8000-00000000beef"
KEY = "correct-horse-7"

HOST = """
import subprocess
import sys
import uuid
import warnings

import pytest

TOKEN = "{TOKEN}"
SETTINGS = {{"wifi.networks": [["field", "{KEY}"]]}}


def test_clean():
    print("nothing to see, sent by field_1")


def test_prints():
    print("Device-Token:", TOKEN)


def test_prints_to_stderr():
    sys.stderr.write(TOKEN)


def test_prints_half_of_it():
    print(TOKEN[:20])


def test_prints_a_key():
    print(repr(SETTINGS))


def test_prints_what_was_minted():
    print(uuid.uuid4())


def test_logs():
    import logging
    logging.getLogger("x").warning("no such token: %s", TOKEN)


def test_command_says_it():
    subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", TOKEN], check=True)


@pytest.fixture
def leaky():
    print("before", TOKEN)
    yield
    print("after", TOKEN)


def test_fixture(leaky):
    pass


@pytest.fixture
def leaky_at_the_end(leaky_file):
    yield
    print(TOKEN)


@pytest.fixture
def leaky_file():
    print("clean")


def test_fixture_at_the_end(leaky_at_the_end, capsys):
    print("clean")
    capsys.readouterr()
    print("clean")


def test_skips():
    pytest.skip("no server knows " + TOKEN)


@pytest.mark.xfail(reason="not known: " + TOKEN, strict=False)
def test_expected_failure():
    raise ValueError


def test_reads_its_own_output(capsys):
    print(TOKEN)
    assert capsys.readouterr().out


def test_warns():
    warnings.warn("bad token " + TOKEN)


def test_fails():
    print("sent", TOKEN)
    assert {{"Device-Token": TOKEN}} == {{"Device-Token": "another"}}
"""

DEVICE = """
import pytest

TOKEN = "{TOKEN}"


def test_clean():
    print("nothing to see")


def test_prints():
    print("Device-Token:", TOKEN)


def test_skips():
    pytest.skip("no server knows " + TOKEN)


def test_fails():
    assert TOKEN == "another"


def test_raises():
    raise ValueError("bad token " + TOKEN)
"""

LEAKS = {
    "test_prints": "Captured stdout call",
    "test_prints_to_stderr": "Captured stderr call",
    "test_prints_half_of_it": "Captured stdout call",
    "test_prints_a_key": "Captured stdout call",
    "test_prints_what_was_minted": "Captured stdout call",
    "test_logs": "Captured log call",
    "test_command_says_it": "Captured stdout call",
    "test_fixture": "Captured stdout setup",
    "test_fixture_at_the_end": "Captured stdout teardown",
    "test_skips": "the report (skipped)",
    "test_expected_failure": "the report (skipped)",
    "test_reads_its_own_output": "output that the test read",
    "test_warns": "a warning",
    "test_fails": "the report (failed)",
}
DEVICE_LEAKS = {
    "test_prints": "Captured stdout call",
    "test_skips": "the report (skipped)",
    "test_fails": "the report (failed)",
    "test_raises": "the report (failed)",
}


def run_leaky(folder: Path, host: str, device: str, *arguments: str):
    (folder / "device").mkdir()
    if host:
        (folder / "test_host.py").write_text(host.format(TOKEN=TOKEN, KEY=KEY))
    if device:
        (folder / "device" / "test_device.py").write_text(device.format(TOKEN=TOKEN))
    return commands.run_pytest(folder, "-p", "harness.collector", "-p", "harness.secrets", "-ra", *arguments)


def leaks_named(said: str) -> set[tuple[str, str, str]]:
    """(test, output, secret) of each line of the closing section."""
    section = said.partition("secrets in the suite's output")[2]
    lines = re.findall(r"^(\S+\.py\S*): (.*) holds (.*)$", section, re.M)
    return {(nodeid.partition("::")[2], where, name) for nodeid, where, name in lines}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_leak_in_any_output_fails_and_is_named_but_not_shown(tmp_path, workers):
    ran = run_leaky(tmp_path, HOST, DEVICE, *workers)
    assert ran.returncode == 1
    # a warning belongs to no test's report, but to the run's
    assert ", 5 passed" in ran.stdout
    named = leaks_named(ran.stdout)
    assert {test for test, _, _ in named if "clean" in test} == set()
    # what a test printed is not held against its teardown once more
    assert {test for test in LEAKS if f"ERROR test_host.py::{test} " in ran.stdout} == {
        "test_fixture",
        "test_fixture_at_the_end",
    }
    assert {(test, where) for test, where, _ in named} >= set(LEAKS.items())
    for runtime in ("cpython", "micropython"):
        for test, where in DEVICE_LEAKS.items():
            assert (f"{test}[{runtime}]", where) in {(test, where) for test, where, _ in named}
    names = {test: name for test, _, name in named}
    assert names["test_prints"] == names["test_prints_half_of_it"]
    assert re.search(r"^the secret in \S+/test_\w+\.py:\d+$", names["test_prints"])
    assert names["test_prints_a_key"].endswith("test_host.py:10")
    assert re.fullmatch("a token, [0-9a-f]{2}…", names["test_prints_what_was_minted"])
    # the report of a failing test shows what it compared, and not the secret
    assert "{'Device-Token': '***'}" in ran.stdout
    assert "'***' == 'another'" in ran.stdout
    assert TOKEN[:8] not in ran.stdout and TOKEN[-8:] not in ran.stdout
    assert KEY not in ran.stdout


def test_a_warning_alone_fails_the_run(tmp_path):
    host = "import warnings\nTOKEN = '{TOKEN}'\n\ndef test_x():\n    warnings.warn('bad token ' + TOKEN)\n"
    ran = run_leaky(tmp_path, host, "")
    assert ran.returncode == 1
    assert "1 passed" in ran.stdout
    assert [where for _, where, _ in leaks_named(ran.stdout)] == ["a warning"]


@pytest.mark.parametrize(
    "host, leak",
    [
        ("print('{TOKEN}')\n\ndef test_x():\n    pass\n", "Captured stdout"),
        (
            "import pytest\n\n@pytest.mark.parametrize('n', ['{TOKEN}'])\ndef test_x(n):\n    pass\n",
            "a test's name",
        ),
    ],
    ids=["said while it is imported", "name of a test"],
)
def test_a_module_that_leaks_before_its_tests_are_run(tmp_path, host, leak):
    ran = run_leaky(tmp_path, host, "")
    assert ran.returncode == 2
    assert f"test_host.py: {leak} holds the secret in " in ran.stdout


def test_a_clean_suite_passes(tmp_path):
    ran = run_leaky(tmp_path, "TOKEN = '{TOKEN}'\n\ndef test_x():\n    print(TOKEN[:4], len(TOKEN))\n", "")
    assert (ran.returncode, "secrets" in ran.stdout) == (0, False)


def test_this_suite_is_watched(request):
    """conftest.py loads the plugin, and it knows the constants of tests and tools."""
    secrets = request.config.pluginmanager.getplugin("secrets").secrets
    places = {name.rpartition(":")[0] for value in (TOKEN, KEY) for name in secrets.found_in(value)}
    assert places == {"the secret in host_tests/test_secrets.py"}
    assert any("tools/tagonode" in name for name in secrets.values.values())


SOURCE = """
TOKEN = "a-token-1"
class Rig:
    password: str = "a-token-2"
    api_token = b"a-token-3"
cloud.create_device("d", token="a-token-4")
settings = {"tagoio.token": "a-token-5", "wifi.networks": [["field", "a-token-6"], ["open", ""]]}
chips({"chip": "x"}, networks={"field": "a-token-7"})
run("--url", "u", "--token", "a-token-8")
arguments = ("--token", "a-token-9")
key = settings.Secret("a-token-10")
toml = '[wifi]\\npassword = "a-token-11"\\n'
"""


def test_every_way_to_write_a_secret_is_found():
    found = {value for value, _ in constants_of(textwrap.dedent(SOURCE))}
    assert found == {f"a-token-{n}" for n in range(1, 12)} | {""}
    assert [*constants_of("tokens = 5; token = f(); tokenize = 'x'; header = 'Device-Token'; f(name, 'x')")] == []


def test_secrets_in_text():
    long = "-".join(["mm", "nnnn", "oooo", "1111", "wwww", "3333"])
    secrets = Secrets({"QWERTY-56": "A", "xyzzy22": "B", "word": "C", long: "D"})
    assert secrets.found_in("x QWERTY-56 y xyzzy22, " + long) == ["A", "B", "D"]
    assert secrets.found_in("xyzzy222 QWERTY-5 a word, mm-nnnn-222") == []
    assert secrets.found_in(long[:15]) == secrets.found_in("mm-nn..." + long[-12:]) == ["D"]
    assert secrets.found_in("in " + str(uuid.UUID(int=7 << 96))[:18]) == ["a token, 00…"]
    assert secrets.found_in("2026-01-02T03:04:05.678Z k3x9q2_17 579a3c22861e23d02162e87f") == []
    assert secrets.masked(f'{{"Token": "{long}", "key": "xyzzy22"}}') == '{"Token": "***", "key": "***"}'


def test_the_suites_secrets_can_be_told_from_ordinary_speech():
    """A password called "secret" could leak unnoticed: write one with a digit in it."""
    named = constants_in(HOST_TESTS, REPOSITORY / "tools")
    assert {value: name for value, name in named.items() if len(value) >= 6 and not searchable(value)} == {}


def test_commands_are_run_where_their_output_is_searched():
    """Use harness.commands.run, or commands.lines and commands.show with a Popen of your own."""
    unseen = []
    for file in HOST_TESTS.glob("test_*.py"):
        source = file.read_text()
        if file != Path(__file__) and "capture_output" in source or "PIPE" in source and "commands." not in source:
            unseen.append(file.name)
    assert unseen == []
