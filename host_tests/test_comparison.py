"""README's table and picture are those of the figures that `make bench ARGS=--write` has kept."""

import copy
import io
import json
import xml.etree.ElementTree as ElementTree

from rich.console import Console

import pytest
from bench import compare, picture, uplink

FIGURES = json.loads(picture.FIGURES.read_text())
README = picture.README.read_text(encoding="utf-8")
REMEDY = "make bench ARGS=--write, or .venv/bin/python host_tests/bench/picture.py"


def test_the_table_is_of_these_figures():
    assert picture.readme(README, FIGURES) == README, REMEDY


def test_the_picture_is_of_these_figures():
    assert picture.PICTURE.read_bytes() == picture.drawing(FIGURES), REMEDY
    assert "(host_tests/bench/comparison.svg)" in README
    ElementTree.parse(picture.PICTURE)


def test_another_figure_is_another_table_and_another_picture():
    other = copy.deepcopy(FIGURES)
    other["tagonode"]["wire"] *= 1.1
    assert picture.readme(README, other) != README
    assert picture.drawing(other) != picture.drawing(FIGURES)


def test_each_way_is_there_with_all_its_figures():
    assert list(FIGURES) == list(compare.PEERS) == list(picture.TITLES) == list(picture.LEAVES)
    keys = {key for key, _, _ in picture.COLUMNS}
    assert {name: keys - set(figures) for name, figures in FIGURES.items()} == dict.fromkeys(FIGURES, set())
    lines = README.split("\n")
    assert [sum(line.startswith(f"| {title} |") for line in lines) for title in picture.TITLES.values()] == [1] * 5


def test_the_figures_keep_what_is_promised():
    assert compare.missed_targets(FIGURES["tagonode"]) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("wire", uplink.MOST_WIRE + 0.01, "1.08 wire bytes a byte of JSON, at most 1.07"),
        ("instructions", 250_001, "2.5e+05 instructions a record, at most 250,000"),
        ("erases", 21, "21 erases a thousand records, at most 20"),
        ("heap_safe", None, "no heap that was tried is enough"),
    ],
)
def test_a_missed_target_is_told(key, value, told):
    assert compare.missed_targets({**FIGURES["tagonode"], key: value}) == [told]


def test_without_valgrind_there_are_no_instructions_and_how_to_get_them_is_said(monkeypatch):
    monkeypatch.setattr(compare.shutil, "which", lambda name: None)
    with compare.Bench() as bench:
        assert bench.instructions("expert") is None
    figures = {name: {**each, "instructions": None} for name, each in FIGURES.items()}
    console = Console(width=260, file=io.StringIO())
    compare.show(console, figures)
    said = console.file.getvalue()
    assert "sudo apt-get install -y valgrind" in said
    assert "–" in next(line for line in said.split("\n") if "instructions a record" in line)
    picture.table(figures)
    picture.drawing(figures)


@pytest.mark.parametrize(
    ("time", "stores", "ratio"), [(3.0, False, 1.5), (1.9, False, None), (28.0, True, None), (2560.0, True, 1280.0)]
)
def test_a_time_of_which_little_is_left_is_no_figure(time, stores, ratio):
    assert compare._ratio(time, 2.0, stores) == ratio
