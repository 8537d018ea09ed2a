"""Buses and pins of the boards, as a config names them."""

import ast
import contextlib
import functools
from dataclasses import dataclass
from typing import Any

from tagonode import places
from tagonode.problems import or_nearest

PIN_KINDS = {"pin": 1, "onewire": 1, "adc": 1, "pins": 2}  # how many pins each takes
SHARED = ("i2c", "onewire", "wifi")  # kinds that several sensors may be on


@dataclass(frozen=True)
class BoardBuses:
    """What a board's file says of its buses. Pins are called as they are printed on the board.

    fixed: {"i2c0": ("gp5", "gp4"), …}, those without pins of their own with (). pins: what "pin:" and the like may
    name. adc: what "adc:" may name. shown: `pins` in few words.
    """

    board: str
    fixed: dict[str, tuple[str, ...]]
    pins: tuple[str, ...]
    adc: tuple[str, ...]
    shown: str

    def resolve(self, bus: str) -> tuple[str, tuple[str, ...]]:
        """(kind, pins) of a sensor's `bus`. Raises ValueError, naming the remedy."""
        kind, colon, names = bus.partition(":")
        if not colon:
            if bus in self.pins or bus in self.adc:
                kinds = " or ".join(f'"{kind}:{bus}"' for kind in PIN_KINDS if kind != "pins")
                raise ValueError(f"{bus!r} is a pin: say how it is used, {kinds}")
            if bus not in self.fixed:
                raise ValueError(f"{self.board} has no bus {bus!r}{or_nearest(bus, self.fixed)}")
            return _fixed_kind(bus), self.fixed[bus]
        if kind not in PIN_KINDS:
            raise ValueError(f"there is no kind of bus {kind!r}{or_nearest(kind, PIN_KINDS)}")
        pins = tuple(names.split(","))
        if len(set(pins)) != PIN_KINDS[kind]:
            raise ValueError(f"{bus!r}: give {('one pin', 'two pins, joined by a comma')[PIN_KINDS[kind] - 1]}")
        for pin in pins:
            if kind == "adc" and pin not in self.adc:
                raise ValueError(f"{pin!r} has no ADC that works while Wi-Fi is on: use one of {', '.join(self.adc)}")
            if kind != "adc" and pin not in self.pins:
                raise ValueError(f"{self.board} has no pin {pin!r} that is free for sensors: there are {self.shown}")
        return kind, pins

    def free(self, kind: str, taken: set[str]) -> str | None:
        """A bus of this kind without the pins `taken`, and with those of no fixed bus where there are others; None
        when there is none left."""
        for name, pins in self.fixed.items():
            if _fixed_kind(name) == kind and not taken & {name, *pins}:
                return name
        if kind not in PIN_KINDS:
            return None
        others = {*self.adc, *(pin for pins in self.fixed.values() for pin in pins)}
        candidates = [pin for pin in (self.adc if kind == "adc" else self.pins) if pin not in taken]
        candidates.sort(key=lambda pin: pin not in others or kind == "adc")  # those of nothing else come last
        chosen = candidates[-PIN_KINDS[kind] :]
        return f"{kind}:{','.join(chosen)}" if len(chosen) == PIN_KINDS[kind] else None

    def remedy(self, kind: str) -> str:
        """How to name a bus of this kind."""
        named = [f'"{name}"' for name in self.fixed if _fixed_kind(name) == kind]
        own = self.free(kind, set(self.fixed))
        return " or ".join([*named, f'"{own}"'] if own else named)


def _fixed_kind(name: str) -> str:
    return {"battery": "adc", "vsys": "adc"}.get(name, name.rstrip("0123456789"))


@functools.cache
def board_buses(board: str) -> BoardBuses:
    """Buses and pins of a board, read from the source of boards/<board>.py: importing that would reach for hardware.

    BUSES is a dict of pins joined by commas, ADC has numbers of pins, _PINS ranges ("gp0-gp22 gp26-gp28"). Raises
    ValueError for a board's file without them.
    """
    found: dict[str, Any] = {}
    for node in ast.parse((places.BOARDS / f"{board}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            called = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "const"
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value.args[0] if called else node.value)  # type: ignore
    missing = {"BUSES", "ADC", "_PINS"} - set(found)
    if missing:
        raise ValueError(f"boards/{board}.py has no {', '.join(sorted(missing))}")
    pins = []
    for part in found["_PINS"].split():
        first, _, last = part.partition("-")
        prefix = first.rstrip("0123456789")
        ends = [int(end.removeprefix(prefix)) for end in (first, last or first)]
        pins += [f"{prefix}{number}" for number in range(ends[0], ends[1] + 1)]
    fixed = {name: tuple(filter(None, text.split(","))) for name, text in found["BUSES"].items()}
    return BoardBuses(board, fixed, tuple(pins), tuple(f"{prefix}{number}" for number in found["ADC"]), found["_PINS"])
