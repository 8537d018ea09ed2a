"""Settings of a board: sealed, stored twice, checked, defaults filled in, secrets kept."""

from agentworld import Console

import pytest
from agent import settings
from agent.log import Log

GOOD = {
    "format": 1,
    "board": "pico_w",
    "build.time": 1767225600,
    "sensors": [],
    "tagoio.token": "TOKEN-1234",
    "wifi.networks": [["field", "PASSWORD-5678"], ["open", ""]],
    "sample.every": 30000,
}


def store(tmp, *texts):
    """Files with these texts (bytes go in as they are, None leaves the file out); their names."""
    names = []
    for i, text in enumerate(texts):
        names.append(f"{tmp}/settings.{i}.json")
        if text is not None:
            with open(names[-1], "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
    return tuple(names)


def load(tmp, *texts):
    console = Console()
    return settings.load(Log("info", console), store(tmp, *texts)), console


def changed(key, value):
    values = dict(GOOD)
    values[key] = value
    return values


def test_sealed_and_back():
    text = settings.seal(GOOD)
    assert settings.unseal(text) == GOOD
    assert text.count("\n") == 2


def test_the_first_file_counts(tmp):
    values, console = load(tmp, settings.seal(GOOD), settings.seal(changed("sample.every", 1000)))
    assert values["sample.every"] == 30000
    assert console.lines == []


def test_every_key_of_the_table_is_there(tmp):
    values, _ = load(tmp, settings.seal(GOOD))
    for key, _, default, _, _ in settings.TABLE:
        assert values[key] == GOOD.get(key, default)


SECOND = settings.seal(changed("sample.every", 1000))
WHOLE = settings.seal(GOOD)


@pytest.mark.parametrize(
    "first, why",
    [
        (None, "rrno 2"),
        (b"", "checksum"),
        (b"\n\n", "checksum"),
        (b"\xff\xfe\x00garbage", ""),
        (WHOLE[:-9], "checksum"),
        (WHOLE[: len(WHOLE) // 2], "checksum"),
        (WHOLE.replace("30000", "30001"), "checksum"),
        (settings.seal(changed("format", 2)), "newer firmware"),
        (settings.seal(changed("format", "x")), "holds no settings"),
        (settings.seal({"board": "pico_w"}), "holds no settings"),
        (settings.seal([1, 2]), "holds no settings"),
        (settings.seal(None), "holds no settings"),
    ],
    ids=(
        "missing",
        "empty",
        "blank",
        "binary",
        "no checksum",
        "torn",
        "one digit",
        "newer",
        "format text",
        "no format",
        "list",
        "null",
    ),
)
def test_the_second_copy_serves(tmp, first, why):
    values, console = load(tmp, first, SECOND)
    assert values["sample.every"] == 1000
    (line,) = console.lines
    assert "settings.0.json cannot be used" in line and why in line


def test_every_torn_length_is_noticed():
    for length in range(len(WHOLE) - 1):
        with pytest.raises(ValueError):
            settings.unseal(WHOLE[:length])


def test_no_file_at_all_says_what_to_do(tmp):
    with pytest.raises(ValueError, match="run tagonode deploy"):
        load(tmp, None, b"")


@pytest.mark.parametrize("key", ("board", "build.time", "sensors"))
def test_what_has_no_default_is_named(tmp, key):
    values = dict(GOOD)
    del values[key]
    with pytest.raises(ValueError, match=key):
        load(tmp, settings.seal(values))


@pytest.mark.parametrize(
    "key, bad, says",
    [
        ("sample.every", 0, "from 20 to"),
        ("sample.every", 86400001, "from 20 to"),
        ("sample.every", "60", "whole number"),
        ("sample.every", 1.5, "whole number"),
        ("sample.every", True, "whole number"),
        ("sample.every", None, "whole number"),
        ("queue.bytes", 65535, "from 65536 to"),
        ("upload.every", -1, "from 0 to"),
        ("watchdog.on", 1, "true or false"),
        ("queue.policy", "drop_all", "drop_oldest, drop_newest"),
        ("log.level", ["info"], "one of error"),
        ("tagoio.host", "", "1 to 253 characters"),
        ("tagoio.host", 7, "a text"),
        ("tagoio.prefix", "x" * 101, "0 to 100"),
    ],
)
def test_a_wrong_value_gives_way_to_the_default(tmp, key, bad, says):
    values, console = load(tmp, settings.seal(changed(key, bad)))
    default = [row[2] for row in settings.TABLE if row[0] == key][0]
    assert values[key] == default
    (line,) = console.lines
    assert key in line and says in line and str(default) in line


def test_the_bounds_themselves_and_the_defaults_will_do():
    for row in settings.TABLE:
        _, kind, default, low, high = row
        assert settings.problem(row, default) is None
        if kind in (settings.SECONDS, settings.INT):
            assert settings.problem(row, low) is None
            assert settings.problem(row, high) is None
            assert settings.problem(row, low - 1) and settings.problem(row, high + 1)


def test_secrets(tmp):
    values, console = load(tmp, b"torn", settings.seal(changed("log.level", "loud")))
    assert values["tagoio.token"].reveal() == "TOKEN-1234"
    assert [(ssid, key.reveal()) for ssid, key in values["wifi.networks"]] == [("field", "PASSWORD-5678"), ("open", "")]
    for shown in (repr(values), str(values), console.text()):
        assert "TOKEN-1234" not in shown and "PASSWORD-5678" not in shown


def test_without_secrets_there_are_empty_ones(tmp):
    values = dict(GOOD)
    del values["tagoio.token"], values["wifi.networks"]
    loaded, _ = load(tmp, settings.seal(values))
    assert loaded["tagoio.token"].reveal() == ""
    assert loaded["wifi.networks"] == []
