"""What is said about mistakes in a node.toml: config_mistakes.txt has them with their exact texts."""

import re
from pathlib import Path

import pytest
from harness.places import HOST_TESTS
from tagonode import check, config, model, rules
from tagonode.drivers import BUILT_IN
from tagonode.scan import KNOWN
from test_driver_table import wait_ms

BASE = """board = "pico_w"

[wifi]
networks = ["field"]

[sample]
every = 60

[[sensors]]
driver = "bme280"
bus = "i2c0"
address = 0x76
"""
NODE = Path("node.toml")


def mistakes() -> dict[str, tuple[str, list[str]]]:
    """{what: (the whole file with the mistake in it, what is said)} of config_mistakes.txt."""
    found = {}
    text = (HOST_TESTS / "config_mistakes.txt").read_text(encoding="utf-8")
    for block in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.rstrip("\n").split("\n")
        old, new, said = ([line[2:] for line in lines if line == mark or line.startswith(mark + " ")] for mark in "-+=")
        assert len(old) + len(new) + len(said) == len(lines) and said and name not in found, name
        if old:
            before = "\n".join(old) + "\n"
            assert BASE.count(before) == 1, name
            found[name] = BASE.replace(before, "".join(line + "\n" for line in new)), said
        else:
            found[name] = BASE + "".join(line + "\n" for line in new), said
    return found


MISTAKES = mistakes()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said_of(text: str) -> list[str]:
    """What is said of a node.toml of this text."""
    NODE.write_text(text, encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE)
    return caught.value.problems


@pytest.mark.parametrize("text, expected", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake(text, expected):
    assert said_of(text) == expected


def test_there_are_many_and_each_is_another():
    assert len({re.sub(r"\d+|'.*?'", "", said[0]) for _, said in MISTAKES.values()}) >= 60
    assert all(re.match(r"node\.toml:\d+: ", line) for _, said in MISTAKES.values() for line in said)


def test_what_they_are_made_in_has_none():
    NODE.write_text(BASE)
    assert config.load(NODE).board == "pico_w"


MANY = """\
boerd = "pico"
[wifi]
networks = ["field", ""]
pasword = "x"
[sample]
evry = 0
[queue]
policy = "keep"
[[sensors]]
driver = "bme281"
bus = "i2c9"
adress = 0x80
options = {speed = 1}
[sensors.channels.humidity]
filters = [
  {median = 1},
  {windw = "mean", every = 600},
  {window = "avg"},
]
[[sensors]]
driver = "battery"
bus = "adc:gp22"
[[sensors]]
driver = "nothing like it"
[[derived]]
formula = "dewpoint"
decimals = 9
of = ["temperature"]
"""


def test_all_mistakes_are_told_at_once():
    """Also those behind a key, a board, a driver or a formula that has to be corrected first."""
    said = [re.sub("there is no driver 'nothing like it'; there are .*", "no driver", line) for line in said_of(MANY)]
    assert said == [
        "node.toml:1: boerd: unknown key; did you mean 'board'?",
        "node.toml:1: boerd: there is no board 'pico'; did you mean 'pico_w'?",
        "node.toml:3: wifi.networks[2]: is empty: fill it in",
        "node.toml:4: wifi.pasword: secrets do not belong in this file: set TAGONODE_TOKEN and TAGONODE_WIFI_PASSWORD, "
        "or write secrets.toml beside it",
        "node.toml:6: sample.evry: unknown key; did you mean 'every'?",
        "node.toml:6: sample.evry: 0 is out of range: give at least 0.02",
        "node.toml:8: queue.policy: 'keep' will not do: choose 'drop_oldest' or 'drop_newest'",
        "node.toml:10: sensors[1].driver: there is no driver 'bme281'; did you mean 'bme280'?",
        "node.toml:11: sensors[1].bus: bme280: pico_w has no bus 'i2c9'; did you mean 'i2c1'?",
        "node.toml:12: sensors[1].adress: unknown key; did you mean 'address'?",
        "node.toml:12: sensors[1].adress: address 0x80 is none of an I2C chip: give 0x08 to 0x77",
        "node.toml:13: sensors[1].options.speed: bme280 has no option 'speed'; it takes none",
        "node.toml:16: sensors[1].channels.humidity.filters[1].median: 1 is out of range: give at least 2",
        "node.toml:17: sensors[1].channels.humidity.filters[2].windw: unknown key; did you mean 'window'?",
        "node.toml:18: sensors[1].channels.humidity.filters[3].window: 'avg' will not do: choose 'min', 'max', "
        "'mean', 'last' or 'sum'",
        "node.toml:22: sensors[2].bus: battery: 'gp22' has no ADC that works while Wi-Fi is on: use one of gp26, gp27, "
        "gp28",
        'node.toml:23: sensors[3].bus: is missing: say where it is connected, bus = "i2c0" for example',
        "node.toml:24: sensors[3].driver: no driver",
        "node.toml:26: derived[1].formula: there is no formula 'dewpoint'; did you mean 'dew_point'?",
        "node.toml:27: derived[1].decimals: 9 is out of range: give at most 6",
        "node.toml:28: derived[1].of: dew_point is made of temperature and humidity: name one variable for each in "
        "`of`",
    ]


def test_a_file_that_cannot_be_read(tmp_path):
    for path, text in (
        ("no-such.toml", "no-such.toml: no such file: name a node.toml, or write one with `tagonode new`"),
        (".", ".: is a folder: name the node.toml in it"),
    ):
        with pytest.raises(config.ConfigError) as caught:
            config.load(Path(path))
        assert caught.value.problems == [text]
    NODE.write_bytes(BASE.replace("field", "fïeld").encode("latin-1"))
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE)
    assert caught.value.problems == ["node.toml:4: cannot be read: not UTF-8; save it as UTF-8"]
    assert said_of("a = " + "[" * 5000) == ["node.toml: not valid TOML: nested too deeply"]


@pytest.mark.parametrize("encoding, end", [("utf-8-sig", "\n"), ("utf-8", "\r\n"), ("utf-8-sig", "\r\n")])
def test_editors_of_windows(encoding, end):
    NODE.write_bytes(BASE.replace("\n", end).encode(encoding))
    assert config.load(NODE).board == "pico_w"
    NODE.write_bytes(BASE.replace("every", "evry").replace("\n", end).encode(encoding))
    with pytest.raises(config.ConfigError, match="^node.toml:7: sample.evry: unknown key"):
        config.load(NODE)


def test_a_value_of_the_command_line_has_no_line():
    NODE.write_text(BASE)
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE, {"sample.every": 0.0, "board": "pico"})
    assert caught.value.problems == [
        "node.toml: board: there is no board 'pico'; did you mean 'pico_w'?",
        "node.toml: sample.every: 0.0 is out of range: give at least 0.02",
    ]


def test_a_run_may_be_faster_than_a_sensor():
    """What `simulate --sample-every` asks for is wanted."""
    NODE.write_text(BASE.replace('"bme280"', '"scd4x"').replace("0x76", "0x62"))
    assert config.load(NODE, {"sample.every": 0.2}).model.sample.every == 0.2
    assert said_of(NODE.read_text().replace("60", "0.2")) == [
        "node.toml:9: sensors[1]: scd4x takes 5.5 s for a reading, more than the 0.2 s between two of them: give it "
        "every = 6, or more"
    ]


# ---- secrets.toml

SECRETS = {
    "a misspelt key": ('# a\ntokn = "x"\n', ["secrets.toml:2: tokn: unknown key; did you mean 'token'?"]),
    "an unknown key": (
        'hostname = "y"\n',
        ["secrets.toml:1: hostname: unknown key; there are token, wifi_password, wifi_passwords"],
    ),
    "a secret as key": (
        '"hunter-2" = "y"\n',
        ["secrets.toml:1: unknown key; there are token, wifi_password, wifi_passwords"],
    ),
    "no text": ("wifi_password = 12345678\n", ["secrets.toml:1: wifi_password: has to be a text, in quotes"]),
    "white space": ('\ntoken = "x "\n', ["secrets.toml:2: token: has white space at its ends: take it out"]),
    "an account token": (
        'account_token = "x"\n',
        [
            "secrets.toml:1: account_token: an account token belongs into the environment alone: set "
            "TAGOIO_ACCOUNT_TOKEN in the environment"
        ],
    ),
    "no quotes": ("token = hunter2\n", ['secrets.toml:1: not valid TOML: write name = "…", with quotes']),
    "another's section": (
        '[device]\nid = "y"\n',
        ["secrets.toml:1: device: unknown key; there are token, wifi_password, wifi_passwords"],
    ),
    "passwords as a text": (
        'wifi_passwords = "hunter2"\n',
        [
            "secrets.toml:1: wifi_passwords: has to be a section: write [wifi_passwords], and below it "
            '"name of the network" = "…"'
        ],
    ),
    "a password that is none": (
        '[wifi_passwords]\n"a b" = 12345678\nfield = " x"\nbarn = ""\n',
        [
            "secrets.toml:2: wifi_passwords.a b: has to be a text, in quotes",
            "secrets.toml:3: wifi_passwords.field: has white space at its ends: take it out",
        ],
    ),
    "nothing yet": ('token = ""\nwifi_password = ""\n', []),
}


@pytest.mark.parametrize("text, expected", SECRETS.values(), ids=SECRETS)
def test_what_is_wrong_in_secrets_toml(monkeypatch, text, expected):
    monkeypatch.delenv(config.ENV_TOKEN, raising=False)
    NODE.write_text(BASE)
    Path("secrets.toml").write_text(text)
    assert [str(problem) for problem in config.secret_problems(NODE)] == expected
    assert "hunter2" not in "".join(expected)
    if "TOML" not in "".join(expected):
        assert config.secret(config.ENV_TOKEN, NODE) in (None, "x ")
        return
    with pytest.raises(config.ConfigError) as caught:
        config.secret(config.ENV_TOKEN, NODE)
    assert caught.value.problems == expected and caught.value.__cause__ is None


@pytest.mark.parametrize(
    "name, value, expected",
    [
        (config.ENV_TOKEN, "x\ny", "TAGONODE_TOKEN: holds a line break or another control character: take it out"),
        (config.ENV_TOKEN, " x", "TAGONODE_TOKEN: has white space at its ends: take it out"),
        (config.ENV_WIFI, "x ", "TAGONODE_WIFI_PASSWORD: has white space at its ends: take it out"),
        (config.ENV_WIFI, "", None),
    ],
)
def test_check_looks_at_secrets_of_the_environment(monkeypatch, capsys, name, value, expected):
    NODE.write_text(BASE)
    monkeypatch.setenv(name, value)
    assert check.check(NODE) == (1 if expected else 0)
    assert (expected or "").splitlines() == capsys.readouterr().err.splitlines()[:1]


def test_check_says_which_of_two_secrets_counts(monkeypatch, capsys):
    NODE.write_text(BASE)
    Path("secrets.toml").write_text('token = "of the file"\n')
    Path("secrets.toml").chmod(0o600)
    monkeypatch.setenv(config.ENV_TOKEN, "of the environment")
    assert check.check(NODE) == 0
    assert (
        "note: TAGONODE_TOKEN: is set in this shell, and goes before token in secrets.toml" in capsys.readouterr().out
    )


def test_a_password_of_no_network_is_a_mistake(capsys):
    NODE.write_text(BASE)
    Path("secrets.toml").write_text('[wifi_passwords]\nfeild = "hunter2"\n')
    assert check.check(NODE) == 1
    said = "".join(capsys.readouterr())
    assert "secrets.toml:2: wifi_passwords: node.toml has no such network; did you mean 'field'?" in said
    assert "hunter2" not in said


def test_secrets_come_from_the_environment_first(monkeypatch):
    NODE.write_text(BASE)
    Path("secrets.toml").write_text('token = "of the file"\nwifi_password = ""\n')
    monkeypatch.delenv(config.ENV_TOKEN, raising=False)
    monkeypatch.delenv(config.ENV_WIFI, raising=False)
    assert config.secret(config.ENV_TOKEN, NODE) == "of the file"
    assert config.secret(config.ENV_WIFI, NODE) is None
    monkeypatch.setenv(config.ENV_TOKEN, "of the environment")
    assert config.secret(config.ENV_TOKEN, NODE) == "of the environment"


# ---- other tables


def test_addresses_are_those_that_scan_looks_at():
    assert {known.driver: tuple(known.addresses) for known in KNOWN} == rules.ADDRESSES


def test_every_unit_of_a_driver_has_its_decimals():
    options = [(name, {}) for name in BUILT_IN.names()] + [("analog", {"mode": mode}) for mode in ("soil", "ntc")]
    options += [("hx711", {"scale": 1.0})]
    units = {unit for name, given in options for _, unit in BUILT_IN.find(name).channels(given)}
    assert units - {""} <= set(model.DECIMALS)  # a number without a unit may be anything
    assert {unit: model.DECIMALS[unit] for unit in ("ppm", "A", "W", "lx", "kg", "µg/m³")} == {
        "ppm": 0,
        "A": 4,
        "W": 3,
        "lx": 1,
        "kg": 3,
        "µg/m³": 0,
    }


@pytest.mark.parametrize("name", BUILT_IN.names())
def test_a_reading_takes_as_long_as_the_driver_says(name):
    chip = BUILT_IN.find(name)
    assert chip.wait_ms({}) == wait_ms(chip._class.__name__, chip._class)


def test_a_driver_of_ones_own_may_take_any_time(tmp_path):
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "scd4x.py").write_text(
        'from drivers import Sensor\n\nclass SCD4X(Sensor):\n    CHANNELS = (("co2", "ppm"),)\n\n'
        "    def __init__(self, bus, address=0x11):\n        pass\n"
    )
    NODE.write_text(BASE.replace('"bme280"', '"scd4x"').replace("0x76", "0x12").replace("60", "1"))
    assert config.load(NODE).model.sensors[0].chip.is_own
