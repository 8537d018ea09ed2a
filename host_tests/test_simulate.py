"""`tagonode simulate` from the outside: as its users call it, against servers that are not ours."""

import contextlib
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import libfaketime

import pytest
from foreign_server import foreign_server
from harness import commands
from tagonode import places, simulate
from tagonode.virtual import image, ports
from test_config_mistakes import BASE

TAGONODE = Path(sys.executable).parent / "tagonode"
TOKEN = "0c0ffee0-1234-4567-89ab-feedfacebeef"
KILLS = int(os.environ.get("KILLS", "7"))
FAST = ("--sample-every", "0.1", "--upload-every", "0.3", "--json")


def run(*arguments: object, env: dict | None = None) -> tuple[int, dict, str]:
    """(exit status, the closing JSON, everything else that was said)."""
    done = commands.run(TAGONODE, "simulate", *arguments, timeout=120, env={**os.environ, **(env or {})})
    lines = done.stdout.splitlines()
    result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return done.returncode, result, done.stdout + done.stderr


def test_readings_reach_the_local_tagoio():
    status, result, said = run("--samples", 20, "--sample-every", 0.2, "--upload-every", 1, "--json")
    assert status == 0, said
    assert result["samples"] == 20
    assert result["acknowledged"] == result["readings"] == 100
    assert result["handshakes"] == 1
    assert result["conserved"] is True
    assert [result[name] for name in ("queued", "quarantined", "dropped", "damaged")] == [0, 0, 0, 0]
    assert result["bytes_up"] > 100 * 83 and result["bytes_down"] > 1000


@pytest.fixture(scope="module")
def six_boards():
    """All boards at once, since they sleep most of the time: {name: its running command}."""
    options = ("--samples", "50", "--sample-every", "0.08", "--upload-every", "0.5", "--json")
    running = {
        board: subprocess.Popen(
            [str(TAGONODE), "simulate", "--board", board, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for board in places.boards()
    }
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("board", places.boards())
def test_each_board_runs_the_default_config(six_boards, board):
    """In its own heap, on its own flash, on fakes of its own port."""
    out, err = six_boards[board].communicate(timeout=240)
    commands.show(out, err)
    result = json.loads(out.splitlines()[-1])
    assert six_boards[board].returncode == 0
    assert (result["samples"], result["boots"]) == (50, 1)
    # battery and RSSI in every sample; the BME280 takes longer than some of these
    assert result["acknowledged"] == result["readings"] > 100
    assert result["heap_kib"] == simulate.HEAP_KIB[board]
    assert "sampler" not in (result["last_error"] or "")


def test_every_board_has_a_heap_and_a_flash():
    assert set(places.boards()) == set(simulate.HEAP_KIB) == set(image.GEOMETRIES)
    assert {ports.chip_of(board) for board in places.boards()} == set(ports.CHIPS)


def test_several_nodes_keep_their_books_apart():
    status, result, said = run("--nodes", 3, "--samples", 4, *FAST)
    assert (status, result["acknowledged"], result["handshakes"], result["nodes"]) == (0, 60, 3, 3), said


def test_for_seconds():
    status, result, said = run("--for", 1.05, *FAST)
    assert status == 0, said
    assert 1 <= result["samples"] <= 11  # on a busy PC samples are left out
    assert result["acknowledged"] == 5 * result["samples"]


def test_another_server_gets_what_tagoio_expects(tmp_path):
    with foreign_server(tmp_path) as server:
        status, result, said = run(
            "--url", server.url, "--token", TOKEN, "--ca", server.ca_file, "--samples", 12, *FAST
        )
    assert (status, result["acknowledged"], result["handshakes"]) == (0, 60, 1), said
    assert {headers["Device-Token"] for _, headers in server.requests} == {TOKEN}
    assert {headers["Content-Type"] for _, headers in server.requests} == {"application/json"}
    assert len(server.records) == 60
    first = server.records[:5]
    assert [(r["variable"], r["unit"]) for r in first] == [
        ("temperature", "°C"),
        ("humidity", "%"),
        ("pressure", "hPa"),
        ("battery", "V"),
        ("rssi", "dBm"),
    ]
    tag, _, sequence = first[0]["group"].partition("_")
    assert {r["group"] for r in first} == {f"{tag}_1"} and sequence == "1"
    assert len({r["time"] for r in first}) == 1
    taken = datetime.datetime.fromisoformat(first[0]["time"])
    assert abs((taken - datetime.datetime.now(datetime.UTC)).total_seconds()) < 60
    assert TOKEN not in said


def _bad_certificates(folder: Path, kind: str):
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    options = {"wrong host": {"name": "elsewhere.example"}, "expired": {"not_after": yesterday}}
    return foreign_server(folder, **options.get(kind, {}))


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("wrong host", "the certificate is for another host"),
        ("unknown issuer", "no root on this board vouches for the server"),
        ("expired", "the server's certificate has expired"),
        ("clock unset", "this board's clock is behind"),
    ],
)
def test_nothing_goes_to_a_server_that_is_not_trusted(tmp_path, kind, reason):
    env = {}
    (tmp_path / "other").mkdir()
    with _bad_certificates(tmp_path, kind) as server, foreign_server(tmp_path / "other") as stranger:
        ca = server.ca_file
        if kind == "unknown issuer":
            ca = stranger.ca_file
        if kind == "clock unset":
            # trustme's certificates begin in 2000; on the day a board's clock starts at, they are not valid yet
            library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
            wrapper = tmp_path / "micropython"
            wrapper.write_text(
                "#!/bin/sh\n"
                f"LD_PRELOAD={library} FAKETIME='@1999-12-31 00:00:00' DONT_FAKE_MONOTONIC=1 "
                f'exec {Path(sys.executable).parent / "micropython"} "$@"\n'
            )
            wrapper.chmod(0o755)
            env["MICROPYTHON"] = str(wrapper)
        status, result, said = run(
            "--url", server.url, "--token", TOKEN, "--ca", ca, "--samples", 3, "--drain", 1.5, *FAST, env=env
        )
    assert status == 1, said
    assert server.requests == []
    assert (result["acknowledged"], result["queued"], result["conserved"]) == (0, 15, True)
    assert result["last_error"].startswith("untrusted: ") and reason in result["last_error"]
    assert TOKEN not in said


def _leftovers(group: int) -> list[str]:
    """Processes of a process group that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(entry.parent.name)
    return found


def test_killed_again_and_again_it_loses_nothing(tmp_path):
    """SIGKILL of the whole process group at any moment, then one run to the end: no gap, every sample there.

    KILLS in the environment: how many, for a longer run than the suite's.
    """
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    flash = tmp_path / "node.img"
    with foreign_server(tmp_path) as server:
        common = ("--url", server.url, "--token", TOKEN, "--ca", server.ca_file, "--flash", flash)
        often = ("--sample-every", "0.03", "--upload-every", "0.1")
        for _ in range(KILLS):
            process = subprocess.Popen(
                [str(TAGONODE), "simulate", *map(str, common), *often, "--verbose"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            if chance.random() < 0.75:
                # while it samples and sends; the others die while the command starts and fills the flash
                assert any("info clock: set by" in line for line in commands.lines(process.stdout)), f"seed {seed}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 0.8))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            deadline = time.monotonic() + 5
            while _leftovers(process.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not _leftovers(process.pid), f"seed {seed}"
        status, result, said = run(*common, "--samples", 5, *often, "--json")
    assert status == 0, f"seed {seed}: {said}"
    readings = Counter((int(r["group"].partition("_")[2]), r["variable"]) for r in server.records)
    samples = {sequence for sequence, _ in readings}
    assert len({r["group"].partition("_")[0] for r in server.records}) == 1
    assert samples == set(range(1, result["samples"] + 1)), f"seed {seed}"
    assert all(readings[sequence, "temperature"] for sequence in samples), f"seed {seed}"
    assert len(readings) == result["readings"] == result["acknowledged"], f"seed {seed}"
    assert len(samples) > KILLS, "the nodes were killed before they did anything: the test proves nothing"


def test_a_second_run_continues_with_the_local_tagoio(tmp_path):
    flash = tmp_path / "node.img"
    assert run("--flash", flash, "--samples", 3, *FAST)[0] == 0
    status, result, said = run("--flash", flash, "--samples", 4, *FAST)
    assert (status, result["samples"], result["acknowledged"], result["conserved"]) == (0, 7, 35, True), said


GOOD = f"""{BASE}
[sensors.channels.temperature]
unit = "°C"
"""


@pytest.mark.parametrize(
    "change, expected",
    [
        (("every = 60", "evry = 60"), ["sample.evry: unknown key; did you mean 'every'?"]),
        (("bme280", "bme281"), ["sensors[1].driver: there is no driver 'bme281'; did you mean 'bme280'?"]),
        (("every = 60", "every = 0"), ["sample.every: 0 is out of range: give at least 0.02"]),
        (
            ('unit = "°C"', f'unit = "{"x" * 40}"'),
            ["sensors[1].channels.temperature.unit: has 40 characters: shorten it to 25 or fewer"],
        ),
        (('networks = ["field"]', "networks = []"), ["wifi.networks: is empty: give at least one"]),
        (("pico_w", "pico"), ["board: there is no board 'pico'; did you mean 'pico_w'?"]),
        (
            ("networks", 'password = "hunter2"\nnetworks'),
            ["wifi.password: secrets do not belong in this file: set TAGONODE_TOKEN and TAGONODE_WIFI_PASSWORD"],
        ),
        (('"i2c0"', '"i2c9"'), ["sensors[1].bus: bme280: pico_w has no bus 'i2c9'; did you mean"]),
        (
            ("[sensors.channels", '[[sensors]]\ndriver = "bmp280"\nbus = "i2c0"\n[sensors.channels'),
            [
                "sensors[2]: bme280 and bmp280 are both at 0x76 on i2c0",
                "sensors[2]: bme280 and bmp280 both give 'temperature'",
                "sensors[2]: bme280 and bmp280 both give 'pressure'",
            ],
        ),
        (('[wifi]\nnetworks = ["field"]', "wifi = 4"), ["wifi: has to be a section: write [wifi]"]),
        (("every = 60", "every = 60\n[sample]"), ["not valid TOML"]),
        (
            ("[sample]\nevery = 60", '[sample]\nevery = -1\n[queue]\npolicy = "keep"'),
            [
                "sample.every: -1 is out of range",
                "queue.policy: 'keep' will not do: choose 'drop_oldest' or 'drop_newest'",
            ],
        ),
    ],
    ids=[
        "typo",
        "driver",
        "interval 0",
        "unit",
        "no network",
        "board",
        "secret",
        "bus",
        "address clash",
        "no section",
        "syntax",
        "two at once",
    ],
)
def test_mistakes_in_the_config_are_named_with_their_remedy(tmp_path, change, expected):
    assert change[0] in GOOD
    config = tmp_path / "node.toml"
    config.write_text(GOOD.replace(*change))
    status, _, said = run(config, "--samples", 1)
    lines = said.splitlines()
    assert status == 2
    assert len(lines) == len(expected), said
    for line, part in zip(lines, expected, strict=True):
        assert line.startswith(f"{config}:") and line.removeprefix(f"{config}:")[0].isdigit() and part in line
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (("--for", 0.3), "node-1 took 0 samples of at least 1"),
        (("--samples", 3, "--heap", 120, *FAST), "node-1 never started"),
    ],
    ids=["no sample due", "heap too small"],
)
def test_a_run_that_delivers_nothing_does_not_pass(arguments, problem):
    status, result, said = run(*arguments, "--json")
    assert (status, result["delivered"], result["problems"]) == (1, False, [problem]), said


def test_a_text_of_any_alphabet_arrives_as_it_was_written(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text(GOOD.replace("field", "caf\u00e9 \U0001f33f").replace('unit = "°C"', 'unit = "\U0001f321"'))
    with foreign_server(tmp_path) as server:
        status, _, said = run(
            config, "--url", server.url, "--token", TOKEN, "--ca", server.ca_file, "--samples", 1, *FAST
        )
    assert status == 0, said
    records = [record for record in server.records if record["variable"] == "temperature"]
    assert records[0]["unit"] == "\U0001f321"


def test_a_failing_sensor_is_named_even_when_the_others_deliver(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text(
        GOOD + '[[sensors]]\ndriver = "ds18b20"\nbus = "onewire:gp22"\naddress = "28ff641e83160300"\n'
        '[sensors.channels.temperature]\nvariable = "t2"\n'
    )
    status, result, said = run(config, "--samples", 2, *FAST)
    assert (status, result["acknowledged"]) == (0, 6), said
    assert result["last_error"].startswith("sampler: ds18b20")


def test_an_unreachable_server_is_called_so(tmp_path):
    with foreign_server(tmp_path) as server:
        url, ca = server.url, server.ca_file
    status, result, said = run("--url", url, "--token", TOKEN, "--ca", ca, "--samples", 1, "--drain", 5, *FAST)
    assert (status, result["queued"], result["conserved"]) == (1, 5, True), said
    assert result["last_error"].startswith("unavailable: ")


def test_one_flash_serves_one_run_at_a_time(tmp_path):
    flash = tmp_path / "node.img"
    first = subprocess.Popen(
        [str(TAGONODE), "simulate", "--flash", str(flash), "--verbose", "--sample-every", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("info clock: set by" in line for line in commands.lines(first.stdout))
        with foreign_server(tmp_path) as server:
            status, _, said = run("--flash", flash, "--url", server.url, "--token", TOKEN, "--ca", server.ca_file)
    finally:
        first.terminate()
        commands.show(*first.communicate())
    assert status == 2 and "is in use by another run" in said


def test_sigterm_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [str(TAGONODE), "simulate", "--json", "--verbose", "--sample-every", "0.1", "--upload-every", "0.2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert any("info clock: set by" in line for line in commands.lines(process.stderr))
    process.terminate()
    out, err = process.communicate(timeout=30)
    commands.show(out, err)
    assert json.loads(out.splitlines()[-1])["interrupted"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_missing_interpreter_is_named():
    status, _, said = run("--samples", 1, env={"MICROPYTHON": "/no/such/micropython"})
    assert (status, len(said.splitlines())) == (2, 1)
    assert "no MicroPython at /no/such/micropython" in said


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("--sample-every", "0"), "sample.every: 0.0 is out of range: give at least 0.02"),
        (("--samples", "1", "--for", "1"), "--samples and --for exclude each other"),
        (("--token", TOKEN), "--token and --ca go with --url"),
        (("--url", "https://localhost:1", "--ca", "x"), "--url needs --token"),
        (("--url", "https://localhost:1", "--token", TOKEN), "--url needs --ca"),
        (("--url", "http://localhost:1", "--token", TOKEN, "--ca", "x"), "give https://HOST[:PORT]"),
        (("--url", "https://localhost:1", "--token", TOKEN, "--ca", "no-such.pem"), "No such file"),
        (("--url", "https://localhost:1", "--token", TOKEN, "--ca", "README.md"), "no PEM certificate"),
        (("--board", "pico"), "did you mean 'pico_w'?"),
        (("no-such.toml",), "no-such.toml: no such file"),
        (("--flash", "no/such/folder.img"), "there is no folder no/such: make it first"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, expected):
    status, _, said = run(*arguments)
    assert (status, len(said.splitlines())) == (2, 1), said
    assert expected in said
