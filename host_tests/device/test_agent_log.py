"""What the node says: one line a thing, levels, state lines, and never a secret."""

import json

from agentworld import Console

import pytest
from agent import settings
from agent.log import LEVELS, Log


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level):
    console = Console()
    log = Log(level, console)
    for each in LEVELS:
        getattr(log, each)("who", "what " + each)
    shown = LEVELS[: LEVELS.index(level) + 1]
    assert console.lines == [f"0.000 {each} who: what {each}" for each in shown]


def test_level_can_change():
    console = Console()
    log = Log("error", console)
    log.warning("a", "b")
    log.set_level("debug")
    log.debug("a", "b")
    assert console.lines == ["0.000 debug a: b"]
    with pytest.raises(ValueError):
        log.set_level("loud")


def test_seconds_since_boot():
    console = Console()
    log = Log("info", console)
    for ms in (0, 7, 1007, 12345, 86400000 * 400):
        log.mono = lambda: ms  # noqa: B023 - called at once
        log.info("a", "b")
    assert [line.split(" ")[0] for line in console.lines] == ["0.000", "0.007", "1.007", "12.345", "34560000.000"]


@pytest.mark.parametrize("keep", (0, 1, 3))
def test_the_newest_lines_are_kept(keep):
    log = Log("info", Console())
    log.keep(keep)
    for i in range(10):
        log.info("a", "line %d" % i)
        log.debug("a", "not shown, not kept")
        log.state({"a": 1})
    assert log.last == ["0.000 info a: line %d" % i for i in range(10 - keep, 10)]


def test_kept_lines_are_short_and_can_become_fewer():
    log = Log("info", Console())
    log.keep(4)
    for i in range(4):
        log.info("a", str(i) + "x" * 500)
    assert [len(line) for line in log.last] == [100] * 4
    log.keep(2)
    assert [line[14] for line in log.last] == ["2", "3"]
    log.keep(0)
    log.info("a", "b")
    assert log.last == []


def test_a_state_line_is_one_line_of_json_at_every_level():
    console = Console()
    state = {"queued": 5, "error": 'unavailable: "°C"\nnext', "done": False}
    Log("error", console).state(state)
    (line,) = console.lines
    assert line.startswith("@{") and "\n" not in line
    assert json.loads(line[1:]) == state


def test_secrets_do_not_show():
    secret = settings.Secret("hunter2")
    shown = [str(secret), repr(secret), f"{secret}", "%s %r" % (secret, secret), str([secret]), repr({"a": secret})]
    assert "hunter2" not in "".join(shown)
    assert secret.reveal() == "hunter2"
