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
# what each leaves to whoever uses it
LEAVES = {
    "per_sample": "gives its token to any server; what cannot be sent is lost",
    "batched": "the same, and a batch at a time",
    "files": "gives its token to any server; sends again what an answer was lost of",
    "expert": "what waits is in memory: a reset, a failed request or a long outage takes it",
    "tagonode": "asks what became of a lost answer; its code takes most of that heap",
}


def _plain(digits: int):
    return lambda value: "–" if value is None else f"{value:,.{digits}f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _thousands(value: float | None) -> str:
    """Two digits are what two runs agree on."""
    return "–" if value is None else f"{float(f'{value / 1000:.2g}'):,.0f}"


def _per_thousand(value: float | None) -> str:
    return "–" if value is None else f"{value / 1000:,.0f}"


# key of the figures, what the console calls it, how it is written
COLUMNS = (
    ("verified", "server verified", str),
    ("survives", "survives a power cut", str),
    ("once", "no reading twice when an answer is lost", str),
    ("wire", "wire bytes ÷ compact JSON", _plain(2)),
    ("up", "wire bytes up, a record", _plain(1)),
    ("down", "wire bytes down, a record", _plain(1)),
    ("handshakes", "TLS handshakes", _plain(0)),
    ("requests", "requests", _plain(0)),
    ("segments_up", "TCP segments up", _plain(0)),
    ("segments_down", "TCP segments down", _plain(0)),
    ("time_prompt", "time ÷ expert's", _ratio),
    ("time_late", "time ÷ expert's, delayed ACKs", _ratio),
    ("cpu", "CPU ÷ expert's", _ratio),
    ("instructions", "1,000 instructions a record", _thousands),
    ("erases", "flash erases / 1,000 records", _plain(0)),
    ("programmed", "flash bytes programmed a record", _per_thousand),
    ("kept", "flash bytes kept a record", _plain(1)),
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
_LEGEND = ("POST a sample", "POST 20 samples", "a file, a POST each", "expert's script", "TagoNode")
_COLOURS = ("#9aa5b1", "#6b7785", "#c99a5b", "#5b8def", "#1f9d6b")
_DARK = """inline:@media (prefers-color-scheme: dark) {
.background, .plot > .background { fill: #0d1117 !important; }
text, .title, .axis text, .legends text, .major { fill: #e6edf3 !important; }
.axis .guides, .axis .line { stroke: #6e7681 !important; }
}"""

_BEFORE = """The same 200 samples of five readings, five ways, in one run on real MicroPython over real TLS:

![What each way costs, as a multiple of TagoNode's](host_tests/bench/comparison.svg)

"""
_AFTER = """
The first three verify nobody; they and the expert's script send twice, or lose, what a lost answer was about. The
expert's script is the floor: nothing of it is stored. Times are multiples of its own, with a server that delays its
acknowledgements, as servers do, less what the PC's flash takes; where little is left there is no figure (sending
alone takes TagoNode twice the expert's time). Instructions have sensors, checks and queue in them. Heap is the size
from which on every one tried is enough, code and all. Uploads come one right after the other here; when they are
minutes apart, each has a connection of its own, and a handshake of 3.2 KB. `make bench` does all this again.
"""


def rows(figures: dict[str, dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """(what, a cell for each peer) for the console."""
    for key, title, write in COLUMNS:
        yield title, [write(figures[name][key]) for name in TITLES]


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown, a row for each peer."""
    columns = [column for column in COLUMNS if column[0] in _PAGE_ONE]
    lines = ["| | " + " | ".join(title for _, title, _ in columns) + " | what else |"]
    lines.append("|---|" + "--:|" * len(columns) + "---|")
    for name, title in TITLES.items():
        cells = [write(figures[name][key]) for key, _, write in columns]
        lines.append("| " + " | ".join((title, *cells, LEAVES[name])) + " |")
    return "\n".join(lines) + "\n"


def drawing(figures: dict[str, dict[str, Any]]) -> bytes:
    """SVG: each peer's cost as a multiple of TagoNode's, on a logarithmic scale; for light and dark pages."""
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#24292f",
        foreground_strong="#24292f",
        foreground_subtle="#57606a",
        colors=_COLOURS,
        font_family="sans-serif",
        label_font_size=15,
        major_label_font_size=15,
        legend_font_size=15,
        title_font_size=18,
        value_font_size=12,
        value_colors=("#24292f",) * 5,
        opacity=".95",
    )
    chart = pygal.Bar(
        style=style,
        css=["file://style.css", "file://graph.css", _DARK],
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
        value_formatter=lambda value: f"{value:.0f}" if value >= 10 else f"{value:.2g}",
        range=(0.1, 1000),
        zero=0.1,
        print_values=True,
        print_values_position="top",
        margin=12,
        title="What the same readings cost, as a multiple of TagoNode's (logarithmic)",
    )
    chart.uuid = "comparison"  # and not another one each time
    node = figures["tagonode"]
    drawn = [(key, title) for key, title in _DRAWN if node[key]]
    chart.x_labels = [title for _, title in drawn]
    for name, title in zip(TITLES, _LEGEND, strict=True):
        chart.add(title, [float(f"{figures[name][key] / node[key]:.3g}") for key, _ in drawn])
    # pygal writes the day into a comment
    return re.sub(rb"<!--.*?-->", b"", chart.render(), flags=re.DOTALL) + b"\n"


def readme(text: str, figures: dict[str, dict[str, Any]]) -> str:
    """README with its table replaced. Raises ValueError when it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} … {END}: put both where the table belongs")
    return f"{before}{BEGIN}\n{_BEFORE}{table(figures)}{_AFTER}{END}{after}"


def write(figures: dict[str, dict[str, Any]]) -> None:
    """Keep the figures, and what is made of them."""
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PICTURE.write_bytes(drawing(figures))
    README.write_text(readme(README.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text()))
    sys.exit(0)
