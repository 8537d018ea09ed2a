"""The comparison for people: rows of a table, the README's table, and a picture. Made from figures.json alone.

`python host_tests/bench/picture.py` makes README's table and comparison.svg anew from the figures that are kept.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygal
from pygal.style import Style

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "figures.json"
PICTURE = HERE / "comparison.svg"
README = HERE.parent.parent / "README.md"
BEGIN, END = "<!-- comparison: made by make bench -->", "<!-- end of comparison -->"

TITLES = {
    "per_sample": "`requests`, a POST a sample",
    "batched": "`requests`, 20 samples a POST",
    "files": "a file a sample, a POST a file",
    "expert": "an expert's script, 50 a POST",
    "tagonode": "**TagoNode**, 50 a POST",
}


def _plain(digits: int):
    return lambda value: "–" if value is None else f"{value:,.{digits}f}"


# key of the figures, what the console calls it, how it is written
COLUMNS = (
    ("verified", "server verified", str),
    ("survives", "survives a power cut", str),
    ("wire", "wire bytes ÷ JSON", _plain(2)),
    ("up", "bytes up", _plain(0)),
    ("down", "bytes down", _plain(0)),
    ("handshakes", "TLS handshakes", _plain(0)),
    ("requests", "requests", _plain(0)),
    ("segments_up", "TCP segments up", _plain(0)),
    ("segments_down", "TCP segments down", _plain(0)),
    ("time_prompt", "time ÷ expert's", _plain(1)),
    ("time_late", "… with delayed ACKs", _plain(1)),
    ("instructions", "instructions a record", _plain(0)),
    ("erases", "flash erases / 1,000 records", _plain(0)),
    ("programmed", "flash bytes programmed / 1,000 records", _plain(0)),
    ("heap_smallest", "smallest heap, KB", _plain(0)),
    ("heap_safe", "safe heap, KB", _plain(0)),
)
_PAGE_ONE = ("verified", "survives", "wire", "handshakes", "time_late", "instructions", "erases", "heap_safe")
_DRAWN = (
    ("wire", "bytes on the wire"),
    ("handshakes", "TLS handshakes"),
    ("time_late", "time, delayed ACKs"),
    ("instructions", "CPU instructions"),
)
_LEGEND = ("POST a sample", "POST 20 samples", "file + POST a sample", "expert's script", "TagoNode")
_COLOURS = ("#9aa5b1", "#7b8794", "#c99a5b", "#5b8def", "#1f9d6b")


def rows(figures: dict[str, dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """(what, a cell for each peer) for the console."""
    for key, title, write in COLUMNS:
        yield title, [write(figures[name][key]) for name in TITLES]


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown, a row for each peer."""
    columns = [column for column in COLUMNS if column[0] in _PAGE_ONE]
    lines = ["| | " + " | ".join(title for _, title, _ in columns) + " |"]
    lines.append("|---|" + "--:|" * len(columns))
    for name, title in TITLES.items():
        lines.append(f"| {title} | " + " | ".join(write(figures[name][key]) for key, _, write in columns) + " |")
    return "\n".join(lines) + "\n"


def drawing(figures: dict[str, dict[str, Any]]) -> bytes:
    """SVG: each peer's cost as a multiple of TagoNode's, on a logarithmic scale."""
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        colors=_COLOURS,
        font_family="sans-serif",
        label_font_size=15,
        major_label_font_size=15,
        legend_font_size=15,
        title_font_size=18,
        opacity=".9",
    )
    chart = pygal.Bar(
        style=style,
        logarithmic=True,
        js=[],
        no_prefix=True,
        width=960,
        height=420,
        legend_at_bottom=True,
        legend_at_bottom_columns=5,
        truncate_legend=-1,
        truncate_label=-1,
        y_labels=(0.1, 1, 10, 100, 1000),
        range=(0.1, 1000),
        margin=12,
        title="What the same readings cost, as a multiple of TagoNode's (logarithmic)",
    )
    node = figures["tagonode"]
    drawn = [(key, title) for key, title in _DRAWN if node[key]]
    chart.x_labels = [title for _, title in drawn]
    for name, title in zip(TITLES, _LEGEND, strict=True):
        chart.add(title, [round(figures[name][key] / node[key], 3) for key, _ in drawn])
    # pygal writes the day into a comment
    return re.sub(rb"<!--.*?-->", b"", chart.render(), flags=re.DOTALL) + b"\n"


def readme(text: str, figures: dict[str, dict[str, Any]]) -> str:
    """README with its table replaced. Raises ValueError when it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} … {END}: put both where the table belongs")
    return f"{before}{BEGIN}\n{table(figures)}{END}{after}"


def write(figures: dict[str, dict[str, Any]]) -> None:
    """Keep the figures, and what is made of them."""
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PICTURE.write_bytes(drawing(figures))
    README.write_text(readme(README.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text()))
    sys.exit(0)
