"""Where the instructions of the hot path go: `python host_tests/bench/hotpath.py [--samples N]` (make bench-hotpath).

TagoNode's whole pipeline, as in compare.py, under callgrind: drivers, sampler, queue, encoder, uplink, session. Two
tables of instructions a record, by function of the firmware, from the marks of hotpath_marks.py, whose own cost is
taken out, and by function of the interpreter. The queue is in a folder of the PC: no littlefs. What is done once, like
a handshake, is in neither: they are the difference between a short run and a longer one. `sampling` stands for sensors;
it is not the node's and not in the shares.
"""

import argparse
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench import compare, uplink  # noqa: E402
from bench.uplink_readings import CHANNELS  # noqa: E402

FEW, MANY = 4, 100  # samples
SHOWN = 40
_FOREIGN = ("counting_flash.", "sampling.", "nothing", "calls of nothing", "(")
_COST = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


class Function:
    """calls; own: instructions without those of what it calls; all: with them."""

    def __init__(self):
        self.calls = self.own = self.all = self.called = self.beneath = 0

    def less(self, other: "Function") -> "Function":
        rest = Function()
        rest.calls, rest.own, rest.all = self.calls - other.calls, self.own - other.own, self.all - other.all
        return rest


class Bench(compare.Bench):
    def marked(self, samples: int) -> dict[str, Function]:
        """{function: what it cost} in a run of so many samples."""
        peer = compare.PEERS["tagonode"]
        out, trace = self._folder / "marks", self._folder / "trace"
        self._under = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        self._under += ["--dump-before=mp_builtin_hex", "--combine-dumps=no", "--dump-line=no", sys.executable]
        place = {"image": "", "folder": str(self._queue()), "trace": str(trace)}
        try:
            self._measured("hotpath_marks", "8M", **{**self._order(peer), **place, "samples": samples, "turn": samples})
        finally:
            self._under = []
        return functions(trace.read_text().split("\n")[:-1], costs(out))

    def interpreters(self, samples: int) -> dict[str, int]:
        """{function of the interpreter: what it cost itself} in a run of so many samples."""
        place = {"image": "", "folder": str(self._queue()), "turn": samples // 2}
        self._counted(lambda: self.run("tagonode", samples, **place))
        return interpreters((self._folder / "callgrind").read_text())

    def _queue(self) -> Path:
        queue = self._folder / "hot"
        shutil.rmtree(queue, ignore_errors=True)
        return queue


def costs(out: Path) -> Iterator[int]:
    """Instructions before the first mark, between it and the second, and so on."""
    number = 1
    while True:
        part = out.with_name(f"{out.name}.{number}")
        if not part.exists():
            return
        found = _COST.search(part.read_text())
        part.unlink()
        yield int(found[1]) if found else 0
        number += 1


def functions(trace: list[str], spent: Iterator[int]) -> dict[str, Function]:
    found: dict[str, Function] = defaultdict(Function)
    stack = ["(outside)"]
    next(spent)
    # what is written down at a mark was spent before it: the first mark is about what the second one tells
    for name, cost in zip(trace, spent, strict=False):
        if name:
            found[stack[-1]].called += 1
            found[name].calls += 1
            for each in set(stack):
                found[each].beneath += 1
            stack.append(name)
        else:
            stack.pop()
        found[stack[-1]].own += cost
        for each in set(stack):
            found[each].all += cost
    marks, plain = found["calls of nothing, marked"], found["calls of nothing"]
    inner = found["nothing"].own / found["nothing"].calls
    outer = (marks.own - plain.own) / marks.called
    for each in found.values():
        each.own -= round(inner * each.calls + outer * each.called)
        each.all -= round(inner * each.calls + (inner + outer) * each.beneath)
    return found


def interpreters(text: str) -> dict[str, int]:
    """{function: what it cost without what it calls} of a callgrind file."""
    names: dict[str, str] = {}
    cost: dict[str, int] = defaultdict(int)
    current, of_call = "", False
    for line in text.splitlines():
        key, _, rest = line.partition("=")
        if key in ("fn", "cfn"):
            number, _, name = rest.partition(" ")
            if name:
                names[number] = re.sub(r"('\d+|@@.*)$", "", name)
            if key == "fn":
                current = names[number]
        elif key == "calls":
            of_call = True
        elif re.match(r"[+*\-\d]", line):
            if not of_call:
                cost[current] += int(line.split()[1])
            of_call = False
    return cost


def main() -> int:
    parser = argparse.ArgumentParser(description="Where the instructions of the hot path go.")
    parser.add_argument("--samples", type=int, default=12, help="of five readings each")
    options = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = uplink.WIDTH
    if shutil.which("valgrind") is None:
        console.print(compare.NO_VALGRIND)
        return 1
    records = options.samples * len(CHANNELS)
    with Bench() as bench, uplink.working(console, "marks, twice"):
        # what is done once, like the handshake, is in both
        few, many = bench.marked(FEW), bench.marked(FEW + options.samples)
        first, second = bench.interpreters(FEW), bench.interpreters(FEW + MANY)
    own = {name: each.less(few[name]) for name, each in many.items() if not name.startswith(_FOREIGN)}
    total = sum(each.own for each in own.values())
    table = Table(title=f"Firmware: instructions a record of {records}, {total / records:,.0f} in all")
    for head in ("function", "calls a sample", "its own", "share", "with what it calls"):
        table.add_column(head, justify="left" if head == "function" else "right")
    for name, each in sorted(own.items(), key=lambda item: -item[1].own)[:SHOWN]:
        cells = (f"{each.own / records:,.0f}", f"{each.own / total:.1%}", f"{each.all / records:,.0f}")
        table.add_row(name, f"{each.calls / options.samples:.1f}", *cells)
    console.print(table)
    spent = {name: number - first.get(name, 0) for name, number in second.items()}
    total, records = sum(spent.values()), MANY * len(CHANNELS)
    table = Table(title=f"Interpreter: instructions a record of {records}, {total / records:,.0f} in all")
    for head in ("function", "its own", "share"):
        table.add_column(head, justify="left" if head == "function" else "right")
    for name, number in sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]:
        table.add_row(name, f"{number / records:,.0f}", f"{number / total:.1%}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
