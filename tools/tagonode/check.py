"""tagonode check: every mistake of a config, with file and line; and what the config will cost, with the arithmetic."""

import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tagonode import config, energy, estimate, rules
from tagonode.locate import line_of
from tagonode.problems import ConfigError, Problem, shown

_LONG_LIFE_YEARS = 10
_MUCH = 1.5  # bytes on the wire, of a byte of JSON


def check(path: Path, as_json: bool = False) -> int:
    """Check a node.toml, secrets.toml beside it, and secrets of the environment. Returns 0 when all will do, else 1.

    Raises ConfigError when there is no such file.
    """
    if not path.is_file():
        config.load(path)  # which says so
    checked = None
    mistakes = config.secret_problems(path)
    try:
        checked = config.load(path)
    except ConfigError as error:
        mistakes = error.mistakes + mistakes
    figures = None
    notes: list[Problem] = []
    if checked:
        figures = _figures(checked)
        mistakes += config.unknown_networks(checked, path)
        notes = [*_notes(checked, figures), *([] if mistakes else _secrets_file(path))]
    if as_json:
        sys.stdout.write(json.dumps(_as_dict(path, mistakes, notes, checked, figures), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        _show(path, mistakes, notes, checked, figures)
    return 1 if mistakes else 0


_Lines = list[tuple[str, str, str]]
_Figures = tuple[estimate.Load, estimate.Estimates, energy.Energy | None, _Lines]


def _figures(checked: config.NodeConfig) -> _Figures | None:
    flash = config.flash_of(checked.board)
    if flash is None:
        return None
    load = estimate.load_of(checked.device_settings("", "", 0))
    result = estimate.estimate(load, flash)
    lines = estimate.lines(load, result)
    supply = energy.SUPPLIES.get(checked.board)
    if supply is None:
        return load, result, None, lines
    model = checked.model
    wait_s = max(rules.conversion_s(sensor) for sensor in model.sensors)
    what = supply, model.duty.on, load.sample_s, result.upload_s, wait_s
    return load, result, energy.energy(*what), lines + energy.lines(*what)


def _notes(checked: config.NodeConfig, figures: _Figures | None) -> Iterator[Problem]:
    """What is allowed and should be known."""

    def note(location: tuple, text: str) -> Problem:
        lines = checked.lines or {}
        # of a section that is not there, no line says anything
        line = line_of(lines, location) if location[:1] in lines else None
        return Problem(checked.origin, line, shown(location), text)

    for location, text in rules.notes(checked.model):
        yield note(location, text)
    if figures is None:
        return
    load, result, *_ = figures
    if result.flash_years < _LONG_LIFE_YEARS:
        life = estimate.shown_time(result.flash_years * estimate.YEAR_S)
        remedy = "write several samples at once, or take them less often"
        yield note(("queue", "commit_samples"), f"the flash lasts {life}: {remedy}")
    if result.wire_factor > _MUCH and result.connections:
        yield note(
            ("upload", "every"),
            f"of {result.wire_factor:.1f} bytes sent one is a reading's: an upload costs "
            f"{estimate.REQUEST_BYTES + estimate.CONNECTION_BYTES:,} of its own; on a line that is paid by the byte, "
            "upload less often",
        )
    if result.nodes["Free"] < 1:
        yield note(("upload", "every"), "more requests than TagoIO's free plan takes: upload less often")


def _secrets_file(path: Path) -> Iterator[Problem]:
    """Notes on secrets.toml, and on the environment that goes before it."""
    held = config.read_secrets(path)
    file = path.parent / config.SECRETS_FILE
    if os.name == "posix" and file.exists() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Problem(str(file), None, "", f"others on this computer can read it: chmod 600 {shlex.quote(str(file))}")
    for name, key in ((config.ENV_TOKEN, "token"), (config.ENV_WIFI, "wifi_password")):
        if name in os.environ and held.get(key):
            yield Problem(name, None, "", f"is set in this shell, and goes before {key} in {file}")


def _as_dict(
    path: Path,
    mistakes: list[Problem],
    notes: list[Problem],
    checked: config.NodeConfig | None,
    figures: _Figures | None,
) -> dict[str, Any]:
    estimates = None
    if figures:
        _, result, power, lines = figures
        estimates = {
            **asdict(result),
            "mah_a_day": power.mah_a_day if power else None,
            "battery_days": power.days if power else None,
            "arithmetic": [{"what": what, "figure": figure, "how": how} for what, figure, how in lines],
        }
    return {
        "config": str(path),
        "ok": not mistakes,
        "board": checked.board if checked else None,
        "mistakes": [asdict(each) for each in mistakes],
        "notes": [asdict(each) for each in notes],
        "estimates": estimates,
    }


def _show(
    path: Path,
    mistakes: list[Problem],
    notes: list[Problem],
    checked: config.NodeConfig | None,
    figures: _Figures | None,
) -> None:
    for mistake in mistakes:
        sys.stderr.write(f"{mistake}\n")
    if mistakes:
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        sys.stderr.write(f"{path}: {count}\n")
    console = Console()
    if checked and not mistakes:
        console.print(f"{path}: no mistake", style="green", markup=False, highlight=False, soft_wrap=True)
    if checked and figures:
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for row in figures[-1]:
            table.add_row(*row)
        console.print(table, highlight=False)
    for each in notes:
        console.print(f"note: {each}", style="yellow", markup=False, highlight=False, soft_wrap=True)
