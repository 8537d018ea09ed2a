"""`make check` notices what it is there to notice."""

import check
import pytest

needs_stubs = pytest.mark.skipif(
    not (check.STUBS / "rp2" / "machine.pyi").exists(), reason="make check installs the stubs"
)

GOOD = """
import asyncio
import machine
import time


def blink(bus):
    pin = machine.Pin(2, machine.Pin.OUT)
    pin.value(1)
    time.sleep_ms(5)


async def wait(reader: asyncio.StreamReader) -> bytes:
    await asyncio.sleep_ms(5)
    return await reader.readline()
"""

# source -> what must be said, on which ports
WRONG = [
    (GOOD.replace("pin.value(1)", "pin.vlaue(1)"), '"Pin" has no attribute "vlaue"', check.PORTS),
    (GOOD.replace("machine.Pin(2", "machine.Pni(2"), 'Module has no attribute "Pni"', check.PORTS),
    (GOOD.replace("sleep_ms(5)", "sleep_sm(5)"), 'Module has no attribute "sleep_sm"', check.PORTS),
    (GOOD.replace("await asyncio.sleep_ms", "asyncio.sleep_ms"), "must be used", check.PORTS),
    (GOOD.replace("-> bytes", "-> int"), "Incompatible return value type", check.PORTS),
    ("import asyncio\nasyncio.TaskGroup()\n", 'Module has no attribute "TaskGroup"', check.PORTS),
    ("import esp32\n", 'module named "esp32"', ("rp2",)),
    ("import rp2\n", 'module named "rp2"', ("esp32",)),
]


@needs_stubs
@pytest.mark.parametrize("port", check.PORTS)
def test_types_of_device_code(tmp_path, port):
    files = []
    for number, (source, _, _) in enumerate(WRONG):
        (tmp_path / f"wrong{number}.py").write_text(source)
        files.append(str(tmp_path / f"wrong{number}.py"))
    (tmp_path / "good.py").write_text(GOOD)
    said = check.device_types(port, [*files, str(tmp_path / "good.py")])
    for number, (_, text, ports) in enumerate(WRONG):
        found = [line for line in said.splitlines() if f"wrong{number}.py" in line and ": error:" in line]
        assert len(found) == (1 if port in ports else 0) or number == 2, said
        assert port not in ports or any(text in line for line in found)
    assert "good.py" not in said
    assert ".stubs" not in said


@needs_stubs
@pytest.mark.parametrize("port", check.PORTS)
def test_clean_device_code_says_nothing(tmp_path, port):
    (tmp_path / "good.py").write_text(GOOD)
    assert check.device_types(port, [str(tmp_path / "good.py")]) == ""


def test_boards_are_checked_on_their_own_port():
    for port, other in (("rp2", "esp32"), ("esp32", "pico"), ("esp32", "rp2")):
        files = [file.replace("/_", "/") for file in check.device_files(port)]
        assert any(file.startswith("lib/drivers/") for file in files)
        assert {"boards/port.py", "boards/virtual.py"} < set(files)
        assert not any(file.startswith("boards/" + other) for file in files)


def test_missing_stubs_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(check, "STUBS", check.REPOSITORY / "no-stubs")
    assert "run make check" in check.device_types("rp2")


def test_steps_and_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(check, "STEPS", {"good": lambda: "", "bad": lambda: "a.py:1: wrong"})
    assert check.main([]) == 1
    said = capsys.readouterr().out
    assert "ok      good" in said
    assert "FAILED  bad" in said
    assert "    a.py:1: wrong" in said
    assert check.main(["good"]) == 0
    assert check.main(["better"]) == 2
    assert "there are good, bad" in capsys.readouterr().err
