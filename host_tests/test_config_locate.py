"""Where the values of a TOML file stand, against files that tomlkit writes and tomllib reads."""

import string
import tomllib
from collections.abc import Iterator
from itertools import count
from typing import Any

import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

import pytest
from tagonode.locate import Location, line_of, lines_of

TEXT = """\
top = 1
"with space" . 'and.dot' = 2   # sub = 3

[wifi]  # [no.table]
networks = ["a # b", 'c ]',   # "d"
  "e",

  \"\"\"f
  = 1 ]\\\"\"\"\", '''g
''',
]
[[sensors]]
driver = "x"
filters = [{median = 5}, {window = "mean", every = 6},
  {delta = 7}]
[sensors.channels.a]
t = 1979-05-27 07:32:00
[sensors.channels."b.c"]
[[sensors]]
[[sensors]]
x.y.z = true
[deep.er.table]
k = -0.5
"""
LINES = {
    ("top",): 1,
    ("with space",): 2,
    ("with space", "and.dot"): 2,
    ("wifi",): 4,
    ("wifi", "networks"): 5,
    ("wifi", "networks", 0): 5,
    ("wifi", "networks", 1): 5,
    ("wifi", "networks", 2): 6,
    ("wifi", "networks", 3): 8,
    ("wifi", "networks", 4): 9,
    ("sensors",): 12,
    ("sensors", 0): 12,
    ("sensors", 0, "driver"): 13,
    ("sensors", 0, "filters"): 14,
    ("sensors", 0, "filters", 0): 14,
    ("sensors", 0, "filters", 0, "median"): 14,
    ("sensors", 0, "filters", 1): 14,
    ("sensors", 0, "filters", 1, "window"): 14,
    ("sensors", 0, "filters", 1, "every"): 14,
    ("sensors", 0, "filters", 2): 15,
    ("sensors", 0, "filters", 2, "delta"): 15,
    ("sensors", 0, "channels"): 16,
    ("sensors", 0, "channels", "a"): 16,
    ("sensors", 0, "channels", "a", "t"): 17,
    ("sensors", 0, "channels", "b.c"): 18,
    ("sensors", 1): 19,
    ("sensors", 2): 20,
    ("sensors", 2, "x"): 21,
    ("sensors", 2, "x", "y"): 21,
    ("sensors", 2, "x", "y", "z"): 21,
    ("deep",): 22,
    ("deep", "er"): 22,
    ("deep", "er", "table"): 22,
    ("deep", "er", "table", "k"): 23,
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_every_value_has_its_line(end):
    text = TEXT.replace("\n", end)
    tomllib.loads(text)
    found = lines_of(text)
    assert found.pop(()) == 1
    assert found == LINES


def test_what_is_not_there_has_the_line_of_what_would_hold_it():
    found = lines_of(TEXT)
    assert line_of(found, ("sensors", 0, "driver", "x", 3)) == 13
    assert line_of(found, ("sensors", 1, "driver")) == 19
    assert line_of(found, ("nothing",)) == 1
    assert line_of({}, ("nothing",)) is None


KEYS = st.text(string.ascii_letters + "_- .é\"'#=[]", min_size=1, max_size=5)
LEAVES = st.none()  # a number of its own, later
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=12,
)


def numbered(tree: Any, numbers: Iterator[int]) -> Any:
    """The tree with another number at each leaf."""
    if isinstance(tree, dict):
        return {key: numbered(inner, numbers) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [numbered(inner, numbers) for inner in tree]
    return next(numbers)


def leaves(tree: Any, at: Location = ()) -> Iterator[tuple[Location, int]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield at, tree
        return
    for key, inner in items:
        yield from leaves(inner, (*at, key))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_a_value_is_on_the_line_it_is_written_on(tree):
    tree = numbered(tree, count(1000000))
    text = tomlkit.dumps(tree)
    assert tomllib.loads(text) == tree
    found = lines_of(text)
    rows = text.split("\n")
    for at, number in leaves(tree):
        assert str(number) in rows[found[at] - 1]


@settings(max_examples=200, deadline=None)
@given(st.text("[]{}\"'=.,# \nab1", max_size=30))
def test_of_what_is_no_toml_it_says_so_or_nothing_and_ends(text):
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = lines_of(text)
    assert {at for at, _ in leaves(tree) if at} <= set(found)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
