"""What a node goes through in the field, in virtual time under real MicroPython, as a table.

    make scenarios [ARGS="-k word"]      runs the tests that live in virtual time, and prints what came of each

A scenario is a test that uses virtualnode.VirtualNode and says its `figure`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

import virtualnode

FOLDER = Path(__file__).parent


def files() -> list[str]:
    """Test files in which nodes live in virtual time."""
    return sorted(str(path) for path in FOLDER.glob("test_*.py") if "VirtualNode" in path.read_text())


def lived(seconds: float) -> str:
    """A time as people say it."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"


def table(rows: list[dict]) -> Table:
    right = [Column(name, justify="right") for name in ("lived", "starts", "unfed, ms", "took, s")]
    shown = Table("scenario", "board", *right, "what came of it")
    for row in rows:
        gap = f"{row['unfed'] * 1000:.0f}" + (" (bitten)" if row["bitten"] else "")
        name = escape(row["test"].rpartition("::")[2].removeprefix("test_").replace("_", " "))
        shown.add_row(
            name, row["board"], lived(row["lived"]), str(row["boots"]), gap, f"{row['took']:.1f}", row["figure"]
        )
    return shown


def main(arguments: list[str]) -> int:
    """Run them; the exit status is pytest's, or 1 when a watchdog was not fed in time."""
    with tempfile.NamedTemporaryFile("r") as file:
        environment = {**os.environ, virtualnode.FIGURES: file.name}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "load", *arguments, *files()]
        status = subprocess.run(command, env=environment).returncode
        rows = [json.loads(line) for line in file]
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table(sorted(rows, key=lambda row: row["test"])))
    fed = [row["unfed"] for row in rows if not row["bitten"]]
    longest = max(fed, default=0.0)
    print(f"scenarios: {len(rows)}; the watchdog was unfed for {longest * 1000:.0f} ms at most, of 8388")
    return status or int(longest >= virtualnode.WATCHDOG_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
