"""Every date that the standard library writes is read back."""

import time
from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

import pytest
from tagonode import device

if not hasattr(time, "ticks_ms"):
    time.ticks_ms = lambda: 0  # type: ignore[attr-defined]
date = device.load("session.date")


@given(st.integers(0, 253402300799))
def test_every_second_until_9999(unix: int) -> None:
    assert date.parse(formatdate(unix, usegmt=True)) == unix


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    try:
        found = date.parse(text)
    except ValueError:
        return
    pytest.fail(f"{text!r} is taken for {found}")
