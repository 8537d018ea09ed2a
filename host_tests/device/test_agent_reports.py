"""What came of remote settings is told, whatever becomes of the server and of the list; a trial ends."""

import json

from agentworld import Pulse, World

from agent import changes, parameters, reports, trial
from tagoio import verdicts

DAY_MS = 86400000


class Node:
    """A node and its uplink, whose requests end in these verdicts, the last one again and again: `told`."""

    tag = "tag"
    buffer = bytearray(256)

    def __init__(self, *answers):
        self.world = World()
        self.clock = self.spool = self.link = self.session = self.up = self.log = self
        self.status = {"verdict": "", "error": ""}
        self.answers = list(answers)
        self.told = []
        self.ms = 0
        self.watches = 0
        self.trial = True

    def now(self):
        return 1767268800000

    def mono(self):
        return self.ms

    def is_set(self):
        return False

    busy = is_set

    def warning(self, who, text):
        pass

    def restart(self):
        pass

    async def exchange(self, pulse, method, path, body=None, size=None, response=None):
        data = b"".join([bytes(piece) for piece in body])
        assert (method, path, len(data)) == ("POST", "/data", size)
        self.told.append(json.loads(data))
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]), "why", None


def listed(path, *rows):
    with open(path, "wb") as file:
        for row in rows:
            parameters.write(file, row)
    return path


REFUSED = ["1a", "duty.on", 5, "has to be true or false", ""]
APPLIED = ["1b", "sample.every", 6, "", "30"]


async def test_what_a_server_in_trouble_refuses_is_told_again(tmp):
    """It is given up when it is refused for days, while readings are taken."""
    accepted = verdicts.ACCEPTED
    for days, on_trial, readings, verdict, over in (
        (0, False, "", verdicts.REJECTED, False),
        (0, False, accepted, verdicts.REJECTED, False),
        (2, False, accepted, verdicts.TOO_LARGE, False),
        (4, False, verdicts.REJECTED, verdicts.REJECTED, False),
        (4, False, accepted, verdicts.UNAVAILABLE, False),
        (4, False, accepted, verdicts.AMBIGUOUS, False),
        (4, True, accepted, verdicts.REJECTED, False),
        (4, False, accepted, verdicts.REJECTED, True),
        (4, False, accepted, verdicts.TOO_LARGE, True),
        # fetched while the time was wrong: TagoIO takes nothing of that time
        (-4, False, verdicts.ACCEPTED_WITH_WARNING, verdicts.DEVICE_REFUSES, True),
        (4, False, accepted, accepted, True),
    ):
        node = Node(verdict)
        node.status["verdict"] = readings
        path = listed(tmp + "/done", [(node.now() - days * DAY_MS) // 1000, "tag", 0, "", ""], REFUSED)
        look = changes.Look(Pulse(node.world), node, node, None, tmp)
        assert await reports.report(look, path, on_trial) is over, (days, readings, verdict)
        assert node.told[0][0]["value"] == "duty.on: refused: has to be true or false"


async def test_of_a_list_without_its_head_all_is_told_without_a_time(tmp):
    node = Node(verdicts.REJECTED, verdicts.ACCEPTED)
    node.status["verdict"] = verdicts.ACCEPTED
    look = changes.Look(Pulse(node.world), node, node, None, tmp)
    path = listed(tmp + "/done", REFUSED, APPLIED)
    assert not await reports.report(look, path, False)
    assert await reports.report(look, path, False)
    first, again = node.told
    assert first == again
    assert first == [
        {"variable": "settings", "value": "duty.on: refused: has to be true or false", "group": "tag_s0_5"},
        {"variable": "settings", "value": "sample.every = 30: applied", "group": "tag_s0_6"},
    ]


async def test_two_looks_at_one_second_are_told_apart(tmp):
    """A clock that was wrong, and was set right, comes by the same second again."""
    node = Node(verdicts.ACCEPTED)
    look = changes.Look(Pulse(node.world), node, node, None, tmp)
    for row in (REFUSED, APPLIED):
        path = listed(tmp + "/done", [1767268800, "tag", 0, "", ""], row)
        assert await reports.report(look, path, False)
    assert [told[0]["group"] for told in node.told] == ["tag_s1767268800_5", "tag_s1767268800_6"]


async def test_what_was_taken_back_is_told_by_the_name_of_the_list(tmp):
    """The line with the reason may be damaged; and the power may go right after it was written."""
    head, why = [1767268800, "tag", 0, "", ""], ["", "", 0, "5 starts", ""]
    for name, rows, text in (
        ("undone", (head, APPLIED, why), "sample.every = 30: taken back: 5 starts"),
        ("undone", (head, APPLIED), "sample.every = 30: taken back: "),
        ("trial.5", (head, APPLIED, why), "sample.every = 30: applied"),
    ):
        node = Node(verdicts.ACCEPTED)
        look = changes.Look(Pulse(node.world), node, node, None, tmp)
        assert await reports.report(look, listed(tmp + "/" + name, *rows), False)
        assert [record["value"] for record in node.told[0]] == [text]


async def test_of_a_list_that_is_damaged_nothing_is_told(tmp):
    """A change on trial is confirmed by readings that arrive, then."""
    node = Node()
    look = changes.Look(Pulse(node.world), node, node, None, tmp)
    path = listed(tmp + "/trial.5", [1, "tag", 0, "", ""], ["", "", 0, "5 starts without a delivered upload", ""])
    with open(path, "ab") as file:
        file.write(b"damaged")
    assert await reports.report(look, path, False)
    assert not await reports.report(look, path, True)
    node.status["verdict"] = verdicts.ACCEPTED
    assert await reports.report(look, path, True)
    assert node.told == []


async def test_a_trial_lasts_a_day_whether_the_time_is_known_or_not(tmp):
    """The count of milliseconds goes on in sleep, where each wake looks anew; the list may be damaged."""
    head = [1767268800, "tag", 0, "", ""]
    for rows, now in (((head, APPLIED), 1767268800000), ((head,), None), ((APPLIED,), 1767268800000), ((), 1)):
        for ms, stage in ((DAY_MS - 1, "trial.1"), (DAY_MS, "undone")):
            folder = tmp + "/remote"
            parameters.folder(folder)
            parameters.remove(folder + "/undone")
            listed(folder + "/trial.1", *rows)
            node = Node()
            node.now = lambda now=now: now
            node.ms = ms
            await trial.watch(Pulse(None, lambda ms, node=node: setattr(node, "trial", False)), node, node, folder)
            assert parameters.stage(folder) == stage, (rows, now, ms)


async def test_a_change_that_is_confirmed_already_is_brought_to_its_end(tmp):
    """The flash failed the last time, when `next` had become `values`."""
    node = Node(verdicts.ACCEPTED)
    node.status["verdict"] = verdicts.ACCEPTED
    node.info = node.warning
    listed(tmp + "/trial.1", [node.now() // 1000, "tag", 0, "", ""], APPLIED)
    look = changes.Look(Pulse(node.world), node, node, node, tmp)
    marked = []

    async def mark(*_):
        marked.append(parameters.stage(tmp))
        return True

    real, reports.mark = reports.mark, mark
    try:
        assert await look._go_on("trial.1")
    finally:
        reports.mark = real
    assert marked == ["told"] and not node.trial
