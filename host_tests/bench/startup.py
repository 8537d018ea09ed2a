"""What a start costs: `python host_tests/bench/startup.py [--json]` (make bench-growth).

A whole node on a virtual Pico W in virtual time, from power-on to its first sample and to the first batch that TagoIO
has accepted: instructions (valgrind's) and heap. What the interpreter, the fakes of the board's firmware and an empty
main.py take is taken out, and so is the PC's flash, which is C and a chip on a board.
"""

import argparse
import contextlib
import json
import re
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import pytest  # noqa: E402
from bench import compare, uplink  # noqa: E402
from bench.uplink_readings import START_MS  # noqa: E402
from tagonode.build import HEAP_KIB  # noqa: E402
from tagonode.virtual import board  # noqa: E402
from virtualnode import VirtualNode  # noqa: E402

_EMPTY = {"/main.py": b"import time\nwhile True:\n    time.sleep(1)\n", "/boot.py": b""}
_PATIENCE_S = 60  # a processor that valgrind plays takes its time
MOMENTS: dict[str, Callable[[VirtualNode], object]] = {
    "to the first sample": lambda node: node.state.get("sampled"),
    "to the first POST accepted": lambda node: node.state.get("acknowledged"),
}


def cost(out: Path) -> int:
    """Instructions of a callgrind file, without those of the Python block device."""
    text = out.read_text()
    total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
    if total is None:
        raise RuntimeError(f"callgrind left no total in {out}")
    names: dict[str, str] = {}
    flash = 0
    called = ""
    lines = iter(text.splitlines())
    for line in lines:
        key, _, rest = line.partition("=")
        if key in ("fn", "cfn"):
            number, _, name = rest.partition(" ")
            if name:
                names[number] = name
            called = names[number]
        elif key == "calls":
            spent = int(next(lines).split()[-1])
            if re.fullmatch(r"mp_vfs_blockdev_(read|write|ioctl)(_ext)?('\d+)?", called):
                flash += spent
    return int(total[1]) - flash


def instructions(folder: Path, until: Callable[[VirtualNode], object], **more: Any) -> int:
    """From the start of the interpreter until `until`, by callgrind."""
    wrapper = folder / "micropython"
    real = [sys.executable, str(Path(sys.executable).parent / "micropython")]
    under = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/spent.%p", *real]
    wrapper.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in under) + ' "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("MICROPYTHON", str(wrapper))
        patch.setattr(board, "_STALLED_S", _PATIENCE_S)
        node = stack.enter_context(VirtualNode(unix=START_MS // 1000, **more))
        node.may_be_bitten = True  # for it is not there any more
        node.clock.patience = _PATIENCE_S
        node.run_until(lambda: until(node), 600, 1)
        process = node.board._process
        process.send_signal(signal.SIGTERM)  # at which callgrind writes down what it has
        process.wait(_PATIENCE_S)
    return cost(folder / f"spent.{process.pid}")


def measure(counting: bool) -> dict[str, dict[str, Any]]:
    """{moment: bytes of heap in use; instructions if `counting`}."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        folder = Path(name)
        none = instructions(folder, lambda node: node.clock() > 2, files=_EMPTY) if counting else 0
        for moment, until in MOMENTS.items():
            with VirtualNode(unix=START_MS // 1000) as node:
                node.run_until(lambda until=until, node=node: until(node), 600, 1)
                found[moment] = {"heap": HEAP_KIB["pico_w"] * 1024 - node.state["free"]}
            if counting:
                found[moment]["instructions"] = instructions(folder, until) - none
    return found


def show(console: Console, found: dict[str, dict[str, Any]]) -> None:
    table = Table(title="A start of a whole node: five channels, TLS, its queue new")
    for head in ("from power-on", "heap in use, bytes", "million instructions"):
        table.add_column(head, justify="left" if head.startswith("from") else "right")
    for moment, row in found.items():
        spent = row.get("instructions")
        table.add_row(moment, f"{row['heap']:,}", "–" if spent is None else f"{spent / 1e6:,.0f}")
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="What a start costs.")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout, the table on stderr")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    counting = shutil.which("valgrind") is not None
    if not counting:
        console.print(f"instructions: {compare.NO_VALGRIND}", style="yellow")
    with uplink.working(console, "starts"):
        found = measure(counting)
    show(console, found)
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
