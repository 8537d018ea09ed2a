"""tagonode check: mistakes, notes and estimates, for people and for scripts."""

import json
import os
import sys
from pathlib import Path

import pytest
from harness import commands
from tagonode import check, config, energy, estimate, places
from tagonode.problems import Problem
from test_config_mistakes import BASE, MANY

TAGONODE = Path(sys.executable).parent / "tagonode"
NODE = Path("node.toml")
WHAT = [
    "records a month",
    "requests a month",
    "rate limit",
    "room at TagoIO",
    "bytes a month",
    "flash life",
    "outage covered",
    "energy a day",
    "battery lasts",
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def result(text: str, capsys) -> tuple[int, dict]:
    """Of check --json of a node.toml of this text."""
    NODE.write_text(text, encoding="utf-8")
    status = check.check(NODE, as_json=True)
    said = capsys.readouterr()
    assert said.err == "" and len(said.out.splitlines()) == 1
    return status, json.loads(said.out)


def test_what_people_see():
    NODE.write_text(BASE)
    done = commands.run(TAGONODE, "check", NODE, env={"COLUMNS": "200"}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "node.toml: no mistake"
    for what, line in zip(WHAT, lines[1 : len(WHAT) + 1], strict=True):
        assert line.startswith(what + " ")
    assert "3 readings × 2,592,000 s ÷ 60 s" in lines[1]
    assert lines[len(WHAT) + 1].startswith("note: node.toml")
    assert "\x1b" not in done.stdout


def test_mistakes_are_lines_on_stderr_and_status_1():
    NODE.write_text(MANY)
    Path("secrets.toml").write_text("tokn = 3\n")
    done = commands.run(TAGONODE, "check", NODE, timeout=60)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE)
    assert lines[:-2] == caught.value.problems
    assert lines[-2:] == [
        "secrets.toml:1: tokn: unknown key; did you mean 'token'?",
        f"node.toml: {len(caught.value.problems) + 1} mistakes",
    ]


@pytest.mark.parametrize(
    "command", [("simulate", NODE, "--samples", 1), ("build", NODE, "--out", "out")], ids=lambda command: command[0]
)
def test_other_commands_say_the_same(command):
    NODE.write_text(MANY)
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE)
    done = commands.run(TAGONODE, *command, timeout=60)
    assert (done.returncode, done.stderr.splitlines()) == (2, caught.value.problems)


def test_no_such_file_is_wrong_use():
    done = commands.run(TAGONODE, "check", "no.toml", timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no.toml: no such file: name a node.toml, or write one with `tagonode new`\n"


def test_json_of_a_good_one(capsys):
    status, found = result(BASE, capsys)
    assert (status, found["config"], found["ok"], found["board"], found["mistakes"]) == (
        0,
        "node.toml",
        True,
        "pico_w",
        [],
    )
    checked = config.load(NODE)
    flash = config.flash_of("pico_w")
    assert flash is not None
    expected = estimate.estimate(estimate.load_of(checked.device_settings("", "", 0)), flash)
    assert found["estimates"]["records"] == expected.records > 3 * 43200
    assert found["estimates"]["flash_years"] == expected.flash_years
    assert [row["what"] for row in found["estimates"]["arithmetic"]] == WHAT
    assert all(row["figure"] and row["how"] for row in found["estimates"]["arithmetic"])


def test_json_of_a_bad_one(capsys):
    status, found = result(BASE.replace("every", "evry"), capsys)
    assert (status, found["ok"], found["board"], found["estimates"]) == (1, False, None, None)
    assert found["mistakes"] == [
        {"file": "node.toml", "line": 7, "key": "sample.evry", "text": "unknown key; did you mean 'every'?"}
    ]
    status, found = result("a =\n", capsys)
    assert (status, found["mistakes"][0]["line"]) == (1, 1)


SECOND = '\n[[sensors]]\ndriver = "%s"\nbus = "%s"\n'
NAMES = '[sensors.channels.temperature]\nvariable = "t"\n[sensors.channels.humidity]\nvariable = "h"\n'
# what: (text in BASE and what stands in its place, or lines at its end; the note)
NOTES = {
    "the placeholder": (
        ("field", "your-network"),
        "node.toml:4: wifi.networks: still has the name that `tagonode new` wrote: put your network's there",
    ),
    "in the open": (
        ("[sample]", "[tagoio]\nssl = false\n[sample]"),
        "node.toml:7: tagoio.ssl: token and readings travel in the open: anyone on the way can read and change them",
    ),
    "no watchdog": (
        ("[sample]", "[watchdog]\non = false\n[sample]"),
        "node.toml:7: watchdog.on: a program that hangs will not be restarted: leave it on in the field",
    ),
    "an end": (
        ("[sample]", "[run]\nsamples = 5\n[sample]"),
        "node.toml:6: run: the node stops by itself and stays so: leave it out in the field",
    ),
    "a name that TagoIO writes in another way": (
        '[sensors.channels.humidity]\nvariable = "Room Humidity"\n',
        "node.toml:13: sensors[1].channels.humidity: 'Room Humidity' is called 'room_humidity' at TagoIO",
    ),
    "a slow one beside a fast one": (
        "every = 1\n" + SECOND % ("scd4x", "i2c0") + "every = 60\n" + NAMES,
        "node.toml:18: sensors[2].every: scd4x takes 5.5 s for its readings, a sample waits 0.75 s at most: they go "
        "with a later sample than they were begun for",
    ),
    "as slow as its interval": (
        SECOND % ("scd4x", "i2c0") + "every = 6\n" + NAMES + "[sensors.channels.co2]\ndecimals = 0\n",
        "node.toml:17: sensors[2].every: scd4x takes 5.5 s for its readings, a sample waits 4.5 s at most: it may give "
        "one in every second sample only",
    ),
    "of readings that seldom meet": (
        "every = 90\n"
        + SECOND % ("aht20", "i2c0")
        + NAMES
        + '[[derived]]\nformula = "dew_point"\nof = ["temperature", "h"]\n',
        "node.toml:22: derived[1]: dew_point comes only when all of temperature, h are read at once",
    ),
    "no time to sleep": (
        ("every = 60", "every = 0.05\n[duty]\non = true"),
        "node.toml:7: sample.every: 0.05 s are too few to sleep in: from 0.1 s on it does",
    ),
    "no signal in sleep": (
        '[duty]\non = true\n[[sensors]]\ndriver = "rssi"\nbus = "wifi"\n',
        "node.toml:15: sensors[2]: rssi cannot be read while the radio is off, as it is when a node that sleeps takes "
        "its samples: leave it out, health.every reports that of the last link",
    ),
    "a sleep that forgets": (
        ('board = "pico_w"', 'board = "esp32"\nqueue.commit_samples = 10\nduty.on = true'),
        "node.toml:2: queue.commit_samples: esp32 forgets its RAM in sleep: each sample is written at once",
    ),
    "a short life": (
        ("every = 60", "every = 1"),
        "node.toml: queue.commit_samples: the flash lasts 175 days: write several samples at once, or take them less "
        "often",
    ),
    "dear bytes": (
        "",
        "node.toml: upload.every: of 3.2 bytes sent one is a reading's: an upload costs 3,782 of its own; on a line "
        "that is paid by the byte, upload less often",
    ),
    "more requests than are free": (
        ("every = 60", "every = 0.1\n[upload]\nevery = 0"),
        "node.toml:9: upload.every: more requests than TagoIO's free plan takes: upload less often",
    ),
}


@pytest.mark.parametrize("change, expected", NOTES.values(), ids=NOTES)
def test_what_should_be_known(change, expected, capsys):
    text = BASE.replace(*change, 1) if isinstance(change, tuple) else BASE + change
    assert text != BASE or not change
    status, found = result(text, capsys)
    said = [str(Problem(**row)) for row in found["notes"]]
    assert status == 0, found["mistakes"]
    assert expected in said


@pytest.mark.skipif(sys.platform == "win32", reason="no modes of files there")
def test_secrets_that_others_can_read(capsys):
    Path("secrets.toml").write_text('token = ""\n')
    Path("secrets.toml").chmod(0o644)
    _, found = result(BASE, capsys)
    assert found["notes"][-1]["text"] == "others on this computer can read it: chmod 600 secrets.toml"
    Path("secrets.toml").chmod(0o600)
    _, found = result(BASE, capsys)
    assert all(row["file"] == "node.toml" for row in found["notes"])


ABSURD = {
    "a number of 10,000 digits": (BASE.replace("60", "9" * 10000), "a number has too many digits"),
    "a number of 4,000 digits": (BASE.replace("60", "9" * 4000), "a number has too many digits"),
    "a hexadecimal one": (BASE.replace("60", "0x" + "f" * 10000), "a number has too many digits"),
    "a key of 5,000 parts": (".".join("a" * 5000) + " = 1\n" + BASE, "nested too deeply"),
    "a section of 5,000 parts": (BASE + "[" + ".".join("a" * 5000) + "]\nb = 1\n", "nested too deeply"),
    "3,000 lists": (BASE.replace("60", "[" * 3000 + "]" * 3000), "nested too deeply"),
}


@pytest.mark.parametrize("text, words", ABSURD.values(), ids=ABSURD)
def test_absurd_toml_is_told_as_other_toml_that_is_none(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    for name in ("node.toml", "secrets.toml"):
        Path("node.toml").write_text(BASE)
        Path(name).write_text(text)
        with pytest.raises(config.ConfigError) as caught:
            config.load(Path(name)) if name == "node.toml" else config.read_secrets(Path("node.toml"))
        assert caught.value.problems == [f"{name}: not valid TOML: {words}"]


def test_what_is_no_node_toml_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * ((1 << 20) + 1))
    for name, words in (("pipe", "is no ordinary file: name a node.toml"), ("large", "is larger than 1 MB: name a")):
        with pytest.raises(config.ConfigError, match=words):
            config.load(tmp_path / name)


def test_what_a_battery_gives(capsys):
    """By hand: 23.9 h × 0.01 mA + 144 samples of 1.3 s + 24 links of 5 s."""
    sleeps = BASE.replace("pico_w", "esp32").replace("every = 60", "every = 600")
    sleeps += "[upload]\nevery = 3600\n[duty]\non = true\n"
    _, found = result(sleeps, capsys)
    estimates = found["estimates"]
    conversion = 0.0 + energy.SUPPLIES["esp32"].wake_s
    asleep = (86400 - 24 * 5 - 144 * conversion) * 0.010 / 3600
    assert estimates["mah_a_day"] == pytest.approx(
        asleep + 144 * conversion * 44 / 3600 + 24 * 5 * 100 / 3600, rel=0.05
    )
    assert estimates["battery_days"] == pytest.approx(2000 / estimates["mah_a_day"])
    rows = {row["what"]: row for row in estimates["arithmetic"]}
    assert "ESP32 datasheet" in rows["energy a day"]["how"] and "2,000 mAh" in rows["battery lasts"]["how"]
    _, awake = result(sleeps.replace("on = true", "on = false"), capsys)
    assert awake["estimates"]["mah_a_day"] > 100 * estimates["mah_a_day"]
    said = {row["what"]: row["how"] for row in awake["estimates"]["arithmetic"]}["energy a day"]
    assert f"with duty.on = true it would be {rows['energy a day']['figure']}" in said


@pytest.mark.parametrize("board", places.boards())
def test_every_board_has_its_currents_or_none(board, capsys):
    text = BASE.replace("pico_w", board)
    estimates = result(text, capsys)[1]["estimates"]
    if board == "virtual":
        assert board not in energy.SUPPLIES and (estimates is None or estimates["mah_a_day"] is None)
    else:
        supply = energy.SUPPLIES[board]
        assert 0 < supply.sleep_ma < supply.awake_ma < supply.radio_ma and supply.source
        assert estimates["battery_days"] > 1
