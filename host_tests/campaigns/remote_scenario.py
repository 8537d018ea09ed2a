"""Remote changes on littlefs, with the power cut at every flash operation. Runs under MicroPython.

A board's flash in memory, TagoIO's parameters in a list, and the agent's own modules between them: a start judges what
was fetched (agent.overlay), a look fetches, reports and marks (agent.changes), a change on trial is watched
(agent.trial). Each story is told once without a cut, then once for each of its flash operations with the power going
before, in the middle of and after it, and then with several cuts at random, one a start. In the end all has to be as it
should: every parameter marked as read, told exactly once and as it ended, the settings those before or those after at
every start, no command done twice.

Usage: micropython remote_scenario.py ROOT CERTIFICATE PROGRAM FIRST EVERY SEEDS
ROOT: the project's folder; CERTIFICATE: a file with a root certificate in PEM; cuts with number % EVERY == FIRST, SEEDS
rounds of several cuts. Prints one line of JSON: {"cuts", "operations", "violations": [text …]}.
"""

import asyncio
import gc
import json
import random
import sys

ROOT = sys.argv[1]
sys.path[:] = [ROOT + "/firmware", ROOT + "/lib", ROOT, ".frozen"]

import os  # noqa: E402

import vfs  # noqa: E402

from agent import changes, overlay, parameters, trial  # noqa: E402
from tagoio import verdicts  # noqa: E402

BLOCK = 4096
BLOCKS = 24
FOLDER = "/cut/remote"
EIO = -5
LIVES = 14
TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"


class Restart(Exception):
    """The board starts again."""


class Flash:
    """A block device in memory whose power goes at its `left`-th operation from now (0: never), of which a share `torn`
    is done. `count`: operations so far."""

    def __init__(self, program):
        self.program = program
        self.content = bytearray(BLOCK * BLOCKS)
        self.count = self.left = 0
        self.torn = 0.5
        self.off = False

    def filesystem(self):
        return vfs.VfsLfs2(self, readsize=32, progsize=self.program, lookahead=32)

    def readblocks(self, block, buffer, offset=0):
        if self.off:
            return EIO  # what the collector closes of a board that is off
        at = block * BLOCK + offset
        buffer[:] = self.content[at : at + len(buffer)]
        return 0

    def writeblocks(self, block, buffer, offset=0):
        return self._write(block * BLOCK + offset, buffer)

    def _write(self, at, data):
        if self.off:
            return EIO
        size = len(data)
        self.count += 1
        if self.left:
            self.left -= 1
            self.off = self.left == 0
            if self.off:
                size = int(size * self.torn)
        self.content[at : at + size] = data[:size]
        return EIO if self.off else 0

    def ioctl(self, op, argument):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            return self._write(argument * BLOCK, b"\xff" * BLOCK)
        return 0


class Cloud:
    """TagoIO's side: parameters, and what it was told: {group: text}."""

    def __init__(self):
        self.rows = []
        self.told = {}
        self.done = []
        self.wrong = []
        self.now = 1767268800000

    def edit(self, parameters, sent=False):
        for key in sorted(parameters):
            found = [row for row in self.rows if row["key"] == key]
            if not found:
                found = [{"id": "id%d" % len(self.rows), "key": key}]
                self.rows += found
            found[0].update(value=parameters[key], sent=sent)

    def unread(self):
        return [row["key"] for row in self.rows if not row["sent"]]

    def answer(self, method, path, body):
        if method == "POST":
            for record in json.loads(body):
                text = record["value"]
                if self.told.get(record["group"], text) != text:
                    self.wrong.append("told differently: " + text + " and " + self.told[record["group"]])
                self.told[record["group"]] = text
            return "1 Data Added"
        if method == "PUT":
            for row in self.rows:
                if path.endswith("/" + row["id"]):
                    row["sent"] = True
            return "Params Successfully Updated"
        # in the order of TagoIO's documentation, which MicroPython's dicts do not keep
        return [
            '{"id":%s,"key":%s,"value":%s,"sent":%s}'
            % tuple([json.dumps(row[name]) for name in ("id", "key", "value", "sent")])
            for row in self.rows
        ]


class Node:
    """In the place of agent.app.Node, its uplink, its clock, its log, its queue, and its task's pulse."""

    tag = "abc"

    def __init__(self, cloud, delivers):
        self.cloud = cloud
        self.spool = self.clock = self.link = self.log = self.session = self.up = self.flush = self
        self.buffer = bytearray(4096)
        self.status = {"verdict": "", "error": "" if delivers else "unavailable: x"}
        self.ms = 0
        self.maintenance = self.identified = self.watches = self.last = 0
        self.trial = True

    def now(self):
        return self.cloud.now + self.ms

    def mono(self):
        return self.ms

    def is_set(self):
        return True

    def busy(self):
        return False

    def set(self):
        self.cloud.done.append("flush")

    def info(self, who, text):
        pass

    warning = info

    def restart(self):
        raise Restart

    async def sleep(self, ms):
        self.ms += ms

    async def exchange(self, pulse, method, path, body=None, size=None, response=None):
        sent = b"".join([bytes(piece) for piece in body or ()])
        self.cloud.now += 1500
        result = self.cloud.answer(method, path, sent)
        result = json.dumps(result) if isinstance(result, str) else "[" + ",".join(result) + "]"
        text = ('{"status":true,"result":%s}' % result).encode()
        if response is None:
            return verdicts.ACCEPTED, "", None
        response.begin(method)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text
        for at in range(0, len(answer), 512):
            response.feed(answer[at : at + 512])
        return verdicts.judge(response.status, response.header, response.body(), TOKEN)


class Story:
    """before: parameters that were taken earlier; edits: what is edited; delivers: whether anything is delivered with
    it; old, new: (sample.every, offset of the temperature) before and after; outcome: how each report ends; sent:
    whether what is edited stays marked as read."""

    def __init__(self, before, edits, delivers, old, new, outcome, sent=False):
        self.before = before
        self.edits = edits
        self.delivers = delivers
        self.old = old
        self.new = new
        self.outcome = outcome
        self.sent = sent


def stories(root):
    mixed = {"sample.every": "10", "temperature.offset": "0.5", "root": root, "nonsense": "1", "command": "flush"}
    ended = {"sample.every": "applied", "temperature.offset": "applied", "root": "applied", "nonsense": "setting"}
    ended["command"] = "accepted"
    undone = {key: text if text != "applied" else "x)" for key, text in ended.items()}
    old = (60000, 0)
    return {
        "applied": Story({}, mixed, True, old, (10000, 0.5), ended),
        "taken back": Story({}, mixed, False, old, old, undone),
        "over another": Story(
            {"sample.every": "30", "temperature.offset": "2", "root": root},
            {"sample.every": "20", "temperature.offset": "", "root": ""},
            True,
            (30000, 2),
            (20000, 0),
            {"sample.every": "applied", "temperature.offset": "applied", "root": "applied"},
        ),
        "taken back to another": Story(
            {"sample.every": "30", "root": root}, {"sample.every": "20", "root": ""}, False, (30000, 0), (30000, 0),
            {"sample.every": "x)", "root": "x)"},
        ),
        "refused": Story({}, {"sample.every": "0"}, True, old, old, {"sample.every": "seconds"}),
        "commands": Story({}, {"command": "flush"}, True, old, old, {"command": "accepted"}),
        "marked as read": Story(
            {key: "identify" if key == "command" else "3" for key in mixed}, mixed, True, (3000, 3), (10000, 0.5),
            ended, sent=True,
        ),
    }  # fmt: skip


def config():
    channels = [["temperature", "°C", 2], ["humidity", "%", 2]]
    sensors = [{"driver": "bme280", "bus": "i2c0", "channels": channels}]
    return {"sample.every": 60000, "duty.on": False, "sensors": sensors}


def in_force(settings):
    row = settings["sensors"][0]["channels"][0]
    return settings["sample.every"], row[3].get("offset", 0) if len(row) > 3 else 0


def life(cloud, flash, story):
    """One start, and all that the node does until the next, or until nothing is left to do: True then."""
    flash.off = False
    vfs.mount(flash.filesystem(), "/cut")
    over = False
    try:
        settings = config()
        settings["remote.stage"] = ""
        if "remote" in os.listdir("/cut"):
            overlay.apply(settings, Node(cloud, True), FOLDER)
        found = in_force(settings)
        on_trial = settings["remote.stage"][:6] == "trial."
        if found not in (story.old, story.new) and not (on_trial and not story.delivers):
            cloud.wrong.append("started with %s" % (found,))
        node = Node(cloud, story.delivers or not on_trial)
        for _ in range(6):
            node.trial = on_trial
            if on_trial and not story.delivers:
                asyncio.run(trial.watch(node, node, node, FOLDER))
            well = asyncio.run(changes.Look(node, node, node, node, FOLDER).go())
            on_trial = node.trial and on_trial
            if well and not cloud.unread() and not parameters.stage(FOLDER):
                over = True
                break
    except Restart:
        pass
    except OSError as error:
        if not flash.off:
            cloud.wrong.append("%r with the power on" % error)
    vfs.umount("/cut")
    went = flash.off
    flash.off = True
    flash.left = 0
    gc.collect()
    return over and not went


def play(flash, story, cuts):
    """From the edit to the end, the power going in the first starts as (operation, torn) of `cuts` say. Returns what is
    wrong, and the lives it took."""
    cloud = Cloud()
    cloud.edit(story.before)
    for row in cloud.rows:
        row["sent"] = True
    cloud.edit(story.edits, story.sent)
    lives = 0
    while lives < LIVES:
        flash.left, flash.torn = cuts[lives] if lives < len(cuts) else (0, 1)
        lives += 1
        if life(cloud, flash, story):
            break
    wrong = cloud.wrong
    if lives == LIVES:
        wrong.append("comes to no end")
    if cloud.unread():
        wrong.append("not marked as read: %s" % cloud.unread())
    told = sorted(cloud.told.values())
    for key in story.outcome:
        texts = [text for text in told if text.split(" ")[0].rstrip(":") == key]
        if len(texts) != 1 or not texts[0].endswith(story.outcome[key]):
            wrong.append("%s: %s" % (key, texts))
    if len(told) != len(story.outcome):
        wrong.append("told %s" % told)
    commands = "command" in story.edits
    if len(cloud.done) > commands or not cuts and len(cloud.done) != commands:
        wrong.append("done: %s" % cloud.done)
    flash.off = False
    vfs.mount(flash.filesystem(), "/cut")
    settings = config()
    overlay.apply(settings, Node(cloud, True), FOLDER)
    if in_force(settings) != story.new:
        wrong.append("in the end %s" % (in_force(settings),))
    names = [name for name in os.listdir(FOLDER) if name not in ("values", "next", "new", "seen")]
    roots = (story.edits if story.delivers else story.before).get("root")
    if [name[-4:] for name in names] != [".der"] * bool(roots):
        wrong.append("left: %s" % names)
    vfs.umount("/cut")
    flash.off = True
    gc.collect()
    return wrong, lives


def begin(flash, story):
    """The flash of a board on which what was taken earlier is in force."""
    flash.off = False
    flash.left = 0
    vfs.VfsLfs2.mkfs(flash, readsize=32, progsize=flash.program, lookahead=32)
    cloud = Cloud()
    cloud.edit(story.before)
    earlier = Story({}, story.before, True, (60000, 0), story.old, {})
    while not life(cloud, flash, earlier):
        pass
    return bytes(flash.content)


def main():
    program, first, every, seeds = [int(each) for each in sys.argv[3:]]
    with open(sys.argv[2]) as file:
        root = file.read()
    random.seed(program * 100 + first)
    result = {"cuts": 0, "operations": 0, "violations": []}
    number = 0

    def judge(name, wrong):
        for text in wrong:
            result["violations"].append("%s: %s" % (name, text))

    for name, story in sorted(stories(root).items()):
        flash = Flash(program)
        snapshot = begin(flash, story)
        flash.count = 0
        judge(name + ", without a cut", play(flash, story, [])[0])
        operations = flash.count
        result["operations"] += operations
        for left in range(1, operations + 1):
            for torn in (0, 0.5, 1):
                number += 1
                if number % every == first:
                    # the operation may be in any of the lives: the first ones are without a cut
                    flash.content[:] = snapshot
                    result["cuts"] += 1
                    judge("%s, cut %d %s" % (name, left, torn), cut_at(flash, story, left, torn))
        for seed in range(seeds):
            flash.content[:] = snapshot
            cuts = [(random.getrandbits(10) % 60 + 1, random.getrandbits(2) / 3) for _ in range(5)]
            result["cuts"] += len(cuts)
            judge("%s, seed %d" % (name, seed), play(flash, story, cuts)[0])
    print(json.dumps(result))


class _Counted:
    """Cuts that go on counting across lives: (operation, torn) at the given one of all."""

    def __init__(self, flash, left, torn):
        self._flash = flash
        self._end = flash.count + left
        self._torn = torn

    def __len__(self):
        return LIVES

    def __getitem__(self, index):
        return max(self._end - self._flash.count, 0), self._torn


def cut_at(flash, story, left, torn):
    return play(flash, story, _Counted(flash, left, torn))[0]


main()
