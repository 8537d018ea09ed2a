"""What is kept of a crash, and how many of them make safe mode."""

from agentworld import Console, World

import pytest
from agent import clock, crash, diary, events
from agent.log import Log

NOON_MS = (1767225600 + 43200) * 1000
DAY_MS = 86400000


class Node:
    """As much of a node as a record tells of."""

    def __init__(self, tmp):
        self.folder = tmp + "/events"
        self.tally = tmp + "/crashes"
        self.world = World()
        self.world.install(clock)
        self.console = Console()
        self.log = Log("info", self.console)
        self.log.keep(3)
        self.clock = clock.Clock(1767225600, lambda second: None, self.log)
        self.log.mono = self.clock.mono
        self.cause = "power on"
        crash._seen.clear()
        events.young.clear()

    def record(self, what, error):
        crash.record(what, error, self, self.folder)

    def records(self):
        found = []
        for _, name in diary.listing(self.folder):
            with open(self.folder + "/" + name) as file:
                found.append(file.read())
        return found


def caught(error):
    """The error with a traceback."""
    try:
        raise error
    except Exception as raised:  # noqa: BLE001 - whichever it is
        return raised


async def test_a_record_tells_what_when_why_and_the_last_lines(tmp):
    node = Node(tmp)
    node.clock.set(NOON_MS, node.world.ticks_ms(), clock.SYNCED)
    for n in range(5):
        node.log.info("a", "line %d" % n)
    node.world.ms += 61000
    node.record("sampler", caught(ValueError("no sense")))
    (text,) = node.records()
    lines = text.split("\n")
    assert lines[0] == str(NOON_MS + 61000)
    assert lines[1].startswith("sampler failed: ValueError('no sense'")
    assert lines[1].endswith("; 61 s after start by power on")
    assert [line[-6:] for line in lines[2:5]] == ["line 2", "line 3", "line 4"]
    assert lines[5].startswith("Traceback")
    assert "test_agent_crash.py" in lines[6] and "in caught" in lines[6]
    assert "ValueError: no sense" in text


async def test_last_words_without_an_error(tmp):
    node = Node(tmp)
    node.record("no progress in uplink", None)
    assert node.records() == ["0\nno progress in uplink; 0 s after start by power on\n"]


async def test_a_task_that_fails_every_minute_is_recorded_once_a_day(tmp):
    node = Node(tmp)
    for _ in range(3 * 1440):
        node.record("sampler", ValueError("again"))
        node.world.ms += 60000
    assert [number for number, _ in diary.listing(node.folder)] == [1, 2, 3]
    node.record("sampler", ValueError("another"))
    node.record("uplink", ValueError("another"))
    assert [text.split("\n")[1].split("(")[0] for text in node.records()[-2:]] == [
        "sampler failed: ValueError",
        "uplink failed: ValueError",
    ]


async def test_the_flash_holds_three_records_whatever_fails(tmp):
    node = Node(tmp)
    for n in range(50):
        node.record("task %d" % n, ValueError("x"))
        assert len(node.records()) <= 3
    assert "task 49" in node.records()[-1]
    assert len(crash._seen) <= 9


BOOTS = (
    # (why each boot comes about, "!": the agent ended in an error before; crashes counted; what the last was called)
    (["power on"], 0, "power on"),
    (["power on", "watchdog"], 1, "watchdog"),
    (["watchdog"] * 4, 4, "watchdog"),
    (["watchdog"] * 5, 5, "watchdog"),
    (["watchdog"] * 9, 9, "watchdog"),
    # safe mode crashes as well: so back to work
    (["watchdog"] * 10, 0, "watchdog"),
    (["watchdog"] * 12, 2, "watchdog"),
    (["power on"] * 9 + ["reset", "deep sleep", "soft reset"], 0, "soft reset"),
    # the watchdog may bite while main.py waits to reset: that is one crash, not two
    (["!watchdog"], 1, "error"),
    (["!reset", "!watchdog", "watchdog", "!reset"], 4, "error"),
    (["!reset", "reset"], 1, "reset"),
    (["!reset"] * 9, 9, "error"),
    (["!reset"] * 11, 1, "error"),
)


@pytest.mark.parametrize("boots, count, called", BOOTS, ids=[str(i) for i in range(len(BOOTS))])
async def test_what_counts_towards_safe_mode(tmp, boots, count, called):
    node = Node(tmp)
    for cause in boots:
        if cause[0] == "!":
            crash.ended(ValueError("x"), None, node.tally, node.folder)
            cause = cause[1:]
        said = crash.started(cause, node.tally)
    assert said == (called, count)


async def test_forgiven(tmp):
    node = Node(tmp)
    crash.forgive(node.tally)
    crash.started("watchdog", node.tally)
    crash.forgive(node.tally)
    assert crash.started("power on", node.tally) == ("power on", 0)


async def test_an_agent_that_could_not_even_be_made_leaves_a_record(tmp):
    node = Node(tmp)
    crash.ended(caught(ImportError("no module named 'drivers.x'")), None, node.tally, node.folder)
    (text,) = node.records()
    assert text.startswith("0\nagent failed: ImportError(") and "Traceback" in text
