"""What the two runtimes promise to a device test."""

import asyncio
import os
import sys
import time

import pytest


def test_runs_here():
    assert sys.implementation.name in ("cpython", "micropython")


@pytest.mark.parametrize("a, b, total", [(1, 2, 3), (0.5, 0.25, 0.75), pytest.param(-1, 1, 0, id="zero")])
def test_cases(a, b, total):
    assert a + b == total


async def test_coroutines_run():
    start = time.ticks_ms()
    await asyncio.sleep_ms(30)
    assert time.ticks_diff(time.ticks_ms(), start) >= 30


def test_tmp_is_an_empty_file_system(tmp):
    assert os.listdir(tmp) == []
    with open(tmp + "/a", "wb") as file:
        file.write(b"abc")
    os.rename(tmp + "/a", tmp + "/b")
    with open(tmp + "/b", "rb") as file:
        assert file.read() == b"abc"
    assert [entry[0] for entry in os.ilistdir(tmp)] == ["b"]


def test_errno_of_an_error_raised_here():
    with pytest.raises(OSError) as caught:
        raise OSError(110)
    assert caught.value.errno == 110
