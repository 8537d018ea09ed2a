"""The import rules hold, and a breach of each of them is noticed."""

import ast
from pathlib import Path

import arrows
import pytest


def test_the_house_keeps_its_rules():
    assert [str(breach) for breach in arrows.check()] == []


def write(root: Path, file: str, source: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(source)


# file, source, the module it must not import, a part of the reason
BREACHES = [
    ("firmware/main.py", "import session", "session", "everything else is the agent's to load"),
    ("firmware/boot.py", "import main", None, ""),
    ("firmware/agent/app.py", "import main", "main", "what boots it"),
    ("firmware/agent/app.py", "from spool import Spool\nimport boards.pico_w", None, ""),
    ("firmware/agent/app.py", "import ssl", "ssl", "the only place with sockets"),
    ("firmware/agent/app.py", "from machine import I2C", "machine", "handed in by the board"),
    ("firmware/agent/link.py", "from network import WLAN", "network", "handed in by the board"),
    ("lib/session/client.py", "from http1 import Response\nimport ssl, socket, asyncio", None, ""),
    ("lib/session/client.py", "import tagoio.records", "tagoio.records", "serves any peer"),
    ("lib/session/client.py", "import spool", "spool", "serves any peer"),
    ("lib/session/client.py", "import agent.log", "agent.log", "serves any peer"),
    ("lib/urequests/__init__.py", "from session.client import Session\nimport http1, network", None, ""),
    ("lib/urequests/__init__.py", "import tagoio.calls", "tagoio.calls", "users' own programs"),
    ("lib/urequests/__init__.py", "import socket", "socket", "the only place with sockets"),
    ("lib/urequests/__init__.py", "import machine", "machine", "asks the joined Wi-Fi"),
    ("lib/http1/__init__.py", "import session", "session", "without I/O stands alone"),
    ("lib/http1/__init__.py", "import asyncio", "asyncio", "no I/O"),
    ("lib/tagoio/records.py", "from time import time", "time", "read no clock"),
    ("lib/tagoio/records.py", "import http1", "http1", "pure functions"),
    (
        "lib/tagoio/calls.py",
        "def f():\n    if 1:\n        from agent import log\n",
        "agent",
        "pure functions",
    ),
    ("lib/spool/__init__.py", "import tagoio", "tagoio", "keeps readings whatever they are"),
    ("lib/spool/__init__.py", "import agent.settings", "agent.settings", "keeps readings"),
    ("lib/spool/__init__.py", "import vfs", "vfs", "handed in"),
    ("lib/drivers/x.py", "import machine", "machine", "handed in"),
    ("lib/drivers/x.py", "import spool", "spool", "knows its chip"),
    ("lib/drivers/x.py", "from drivers import SensorError\nfrom . import y", None, ""),
    ("lib/drivers/x.py", "import asyncio", "asyncio", "the agent decides when"),
    ("boards/esp32.py", "import machine, network, esp32", None, ""),
    ("boards/esp32.py", "import drivers.bme280", "drivers.bme280", "it knows MicroPython only"),
    ("boards/esp32.py", "import agent.log", "agent.log", "it knows MicroPython only"),
    ("boards/esp32.py", "import socket", "socket", "the only place with sockets"),
    ("lib/spool/__init__.py", "import tagonode.config", "tagonode.config", "never imports the PC's tools"),
    ("lib/drivers/x.py", "from harness import answer", "harness", "never imports its tests"),
    ("lib/drivers/x.py", "import dataclasses", "dataclasses", "no such module on a board"),
    ("lib/drivers/x.py", "from enum import Enum", "enum", "no such module on a board"),
    ("firmware/agent/app.py", "import typing", "typing", "no such module on a board"),
    ("firmware/agent/app.py", "import logging", "logging", "no such module on a board"),
    ("firmware/agent/app.py", "from pathlib import Path", "pathlib", "no such module on a board"),
    ("firmware/agent/app.py", "from abc import ABC", "abc", "no such module on a board"),
    ("lib/drivers/x.py", '__import__("spool.queue")', "spool.queue", "knows its chip"),
    ("lib/drivers/x.py", 'def f(n):\n    __import__("boards." + n)', "boards.", "knows its chip"),
    ("lib/drivers/x.py", 'def f(n):\n    __import__(f"agent.{n}")', "agent.", "knows its chip"),
    ("lib/drivers/x.py", 'def f(n):\n    m = "agent." + n\n    __import__(m)', "agent.", "knows its chip"),
]


@pytest.mark.parametrize("file, source, module, why", BREACHES)
def test_each_breach_is_reported_with_its_reason(tmp_path, file, source, module, why):
    write(tmp_path, "lib/http1/good.py", "import json\n")
    write(tmp_path, file, source)
    breaches = arrows.check(tmp_path)
    if module is None:
        assert breaches == []
        return
    (breach,) = breaches
    assert breach.module == module
    assert why in breach.why
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "import" in text)
    assert str(breach).startswith(f"{file}:")
    assert breach.line >= line


def test_every_rule_has_a_breach_above():
    """No rule without a test that it is enforced."""
    seen = {part for part in arrows.ARROWS for file, *_, module, _ in BREACHES if module and _of(file) == part}
    assert seen == set(arrows.ARROWS)
    reasons = [why for *_, why in BREACHES]
    everything = [why for _, why in arrows.ARROWS.values()] + [ban.why for ban in arrows.BANS]
    everything += [*arrows.NEVER.values(), arrows.NOT_ON_BOARD]
    for reason in everything:
        assert any(part and part in reason for part in reasons), reason


def _of(file: str) -> str:
    for part in arrows.ARROWS:
        if any(file == place or file.startswith(place + "/") for place in arrows.PARTS[part][0]):
            return part
    raise AssertionError(file)


def test_line_numbers_are_those_of_the_import():
    tree = ast.parse("import json\n\n\ndef f():\n    import ssl, os\n")
    assert list(arrows.imports(tree)) == [(1, "json"), (5, "ssl"), (5, "os")]
