"""Arithmetic as a board does it: floats of single precision, rounded after each operation.

Hand `Int(n)` and `Single(x)` to a decoding function in place of numbers: what it computes from them is
rounded as MicroPython on esp32 and rp2 rounds it.
"""

import operator
import struct


class Single:
    """A float in IEEE 754 single precision."""

    def __init__(self, value: float):
        self.value = struct.unpack("<f", struct.pack("<f", float(value)))[0]

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return repr(self.value)

    def __neg__(self) -> "Single":
        return Single(-self.value)

    def __lt__(self, other) -> bool:
        return self.value < float(other)

    def __gt__(self, other) -> bool:
        return self.value > float(other)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


class Int(int):
    """An int that becomes Single, not float, in a division."""


def _binary(name: str):
    work = getattr(operator, name)

    def forward(self, other):
        return Single(work(self.value, Single(other).value))

    def backward(self, other):
        return Single(work(Single(other).value, self.value))

    return forward, backward


def _whole(name: str):
    def forward(self, other):
        result = getattr(int, name)(self, other)
        return result if result is NotImplemented else Int(result)

    return forward


for _name in ("add", "sub", "mul", "truediv"):
    _forward, _backward = _binary(_name)
    setattr(Single, f"__{_name}__", _forward)
    setattr(Single, f"__r{_name}__", _backward)
for _name in ("add", "sub", "mul", "lshift", "rshift", "and", "or"):
    for _slot in (f"__{_name}__", f"__r{_name}__"):
        setattr(Int, _slot, _whole(_slot))
Int.__truediv__ = lambda self, other: Single(self) / other  # type: ignore[assignment]
Int.__rtruediv__ = lambda self, other: Single(other) / Single(self)  # type: ignore[assignment]
