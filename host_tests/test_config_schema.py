"""The device's settings table, the model of node.toml and the JSON Schema for editors are one."""

import copy
import json
import tomllib
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import pytest
from tagonode import config, model, places, schema
from tagonode.device import settings as device_settings
from test_config_mistakes import BASE, MISTAKES

TABLE = device_settings.TABLE
SECONDS, INT, BOOL, TEXT, CHOICE = (getattr(device_settings, n) for n in ("SECONDS", "INT", "BOOL", "TEXT", "CHOICE"))
SCHEMA = schema.schema()
# keys of sections which the device's table does not have, as their form is nested
NESTED = {"wifi": {"networks"}, "ntp": {"servers"}}


def section(name: str) -> dict[str, Any]:
    """Properties of a section in the schema."""
    found = SCHEMA["properties"][name]
    reference = found.get("$ref") or found["allOf"][0]["$ref"]
    return SCHEMA["$defs"][reference.removeprefix("#/$defs/")]


def test_the_file_is_current():
    """After a change of the model: python -m tagonode.schema"""
    assert schema.FILE.read_text(encoding="utf-8") == schema.text()


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_a_row_of_the_device_is_in_the_schema_as_it_is(row):
    key, kind, default, low, high = row
    name, of = key.split(".")
    found = dict(section(name)["properties"][of])
    assert found.pop("description") == model.ABOUT[key]
    if kind == SECONDS:
        expected: dict[str, Any] = {
            "type": "number",
            "default": default / 1000,
            "minimum": low / 1000,
            "maximum": high / 1000,
        }
        if key in device_settings.SELDOM:
            expected["not"] = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
    elif kind == INT:
        expected = {"type": "integer", "default": default, "minimum": low, "maximum": high}
    elif kind == BOOL:
        expected = {"type": "boolean", "default": default}
    elif kind == TEXT:
        expected = {"type": "string", "default": default, "minLength": low, "maxLength": high}
        found.setdefault("minLength", 0)
    else:
        expected = {"type": "string", "default": default, "enum": list(low)}
    assert found == expected


def test_no_setting_is_in_the_schema_alone():
    own = {f"{name}.{key}" for name, keys in NESTED.items() for key in keys}
    nested = {"board", "sensors", "derived"}
    found = {
        f"{name}.{key}" for name in SCHEMA["properties"] if name not in nested for key in section(name)["properties"]
    }
    assert found - own == {row[0] for row in TABLE}
    assert set(model.ABOUT) == {row[0] for row in TABLE}


def test_unknown_keys_are_refused_everywhere():
    open_ones = [
        name
        for name, part in [("node.toml", SCHEMA), *SCHEMA["$defs"].items()]
        if part.get("additionalProperties") is not False
    ]
    assert open_ones == []


def values_of(row: tuple) -> st.SearchStrategy:
    """Values at, within and beyond the ends of a row of the table, in the units of node.toml, and others' kinds."""
    _, kind, default, low, high = row
    others = st.sampled_from([None, True, "x", 3, 2.5, [], {}]).filter(lambda value: value is not None)
    if kind == SECONDS:
        ends = [(low - 1) / 1000, low / 1000, high / 1000, (high + 1) / 1000]
        return st.sampled_from(ends) | st.integers(low, high).map(lambda ms: ms / 1000) | others
    if kind == INT:
        return st.sampled_from([low - 1, low, high, high + 1]) | st.integers(low, high) | others
    if kind == TEXT:
        return st.sampled_from(["", "a" * high, "a" * (high + 1)]) | others
    return st.sampled_from([default, *(low or ())]) | others


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_value_the_schema_takes_the_device_takes_and_no_other(data):
    row = data.draw(st.sampled_from(TABLE))
    key, kind, *_ = row
    value = data.draw(values_of(row))
    name, of = key.split(".")
    taken = jsonschema.Draft202012Validator({**SCHEMA, **section(name)["properties"][of]}).is_valid(value)
    in_device_units = value
    if kind == SECONDS and isinstance(value, (int, float)) and not isinstance(value, bool):
        in_device_units = round(value * 1000)
    if kind == INT and isinstance(value, float):
        taken = False  # 3.0 is an integer to JSON Schema, and none to TOML
    assert taken == (device_settings.problem(row, in_device_units) is None)
    fits = True
    try:
        made = model.NodeModel.model_fields[name].annotation
        made.model_validate({**({"networks": ["x"]} if name == "wifi" else {}), of: value})
    except ValueError as error:
        fits = not any(item["loc"] == (of,) for item in error.errors())
    assert taken == fits


@pytest.mark.parametrize("file", [places.DEFAULT_CONFIG, None], ids=["default", "base"])
def test_good_configs_are_good_by_the_schema(file):
    text = file.read_text(encoding="utf-8") if file else BASE
    jsonschema.Draft202012Validator(SCHEMA).validate(tomllib.loads(text))


def test_an_editor_sees_mistakes_of_form():
    """Whatever the schema refuses, `check` refuses; and it does refuse every mistake in the form of a value."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    seen = 0
    for text, said in MISTAKES.values():
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
        valid = validator.is_valid(data)
        seen += not valid
        form = ("unknown key", "out of range", "missing", "has to be a", "will not do: choose", "is empty", "shorten")
        if any(word in said[0] for word in form) and "finite" not in said[0] and "bus, 0x76" not in said[0]:
            assert not valid, said
    assert seen > 20


# ---- whatever stands in the file


JUNK = st.recursive(
    st.none().map(lambda _: 0) | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
GOOD = tomllib.loads(
    BASE
    + """
every = 30
options = {}
[sensors.channels.humidity]
variable = "h"
unit = "%"
decimals = 1
scale = 1.0
minimum = 0
maximum = 100
alarm = {above = 90, below = 1, hysteresis = 2}
filters = [{median = 5}, {window = "mean", every = 600}, {delta = 0.5, heartbeat = 600}]
[[sensors]]
driver = "hx711"
bus = "pins:gp20,gp21"
options = {gain = 64}
[[sensors]]
driver = "ds18b20"
bus = "onewire:gp22"
address = "28ff641e8316034c"
options = {resolution = 9}
[sensors.channels.temperature]
variable = "t"
[[derived]]
formula = "dew_point"
of = ["temperature", "h"]
options = {}
[ntp]
servers = ["pool.ntp.org"]
[tagoio]
host = "localhost"
[queue]
bytes = 100000
"""
)


def spots(tree: Any, at: tuple = ()) -> list[tuple]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [spot for key, inner in items for spot in ((*at, key), *spots(inner, (*at, key)))]


SPOTS = spots(GOOD)


def test_the_good_one_is_good():
    config.check(GOOD, "node.toml")


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SPOTS), st.sampled_from(["junk", "gone", "misspelt"]), JUNK), max_size=4))
def test_no_config_makes_it_fail_in_another_way(changes):
    """Any values anywhere, keys left out or misspelt: a config that runs, or mistakes that are named."""
    data = copy.deepcopy(GOOD)
    for spot, what, junk in changes:
        holder: Any = data
        try:
            for key in spot[:-1]:
                holder = holder[key]
            was = holder[spot[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        if what == "junk" or isinstance(holder, list):
            holder[spot[-1]] = junk
            continue
        del holder[spot[-1]]
        if what == "misspelt":
            holder[str(spot[-1])[:-1] + "x"] = was
    try:
        checked = config.check(data, "node.toml")
    except config.ConfigError as error:
        assert error.problems and all(line.startswith("node.toml: ") for line in error.problems)
    else:
        json.dumps(checked.device_settings("", "", 0), allow_nan=False)
