"""The power goes at any write of a crash record, of the tally, or of what becomes of a delivered event."""

import gc

from agentworld import Console, Pulse
from test_agent_crash import Node, caught
from test_agent_events import TOKEN, Uplink

from agent import clock, crash, diary, events
from agent.log import Log, Secret
from harness import heap, only, timeout

BLOCK = 4096
BLOCKS = 24
ERASED = b"\xff" * BLOCK


class Flash:
    """A block device in memory whose power goes at its `left`-th write from now, of which `torn` is done."""

    def __init__(self, program):
        self.program = program
        self.content = bytearray(BLOCK * BLOCKS)
        self.left = 0
        self.torn = 0.5
        self.off = False

    def start(self, snapshot=None, left=0, torn=0.5):
        """Its power is on again, with this content (a new file system without)."""
        import vfs

        self.off = False
        self.left = left
        self.torn = torn
        if snapshot is not None:
            self.content[:] = snapshot
        return vfs.VfsLfs2(self, readsize=32, progsize=self.program, lookahead=32)

    def format(self):
        import vfs

        self.off = False
        self.left = 0
        vfs.VfsLfs2.mkfs(self, readsize=32, progsize=self.program, lookahead=32)

    def readblocks(self, block, buf, offset=0):
        if self.off:
            return -5  # what the collector closes of a board that is off
        at = block * BLOCK + offset
        buf[:] = self.content[at : at + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=0):
        return self._write(block * BLOCK + offset, buf)

    def _write(self, at, data):
        if self.off:
            return -5
        size = len(data)
        if self.left:
            self.left -= 1
            self.off = self.left == 0
            if self.off:
                size = int(size * self.torn)
        self.content[at : at + size] = data[:size]
        return -5 if self.off else 0

    def ioctl(self, op, arg):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            return self._write(arg * BLOCK, ERASED)
        return 0


def within(flash, work, *start):
    """Run work() with the flash at /cut; True when the power went."""
    import vfs

    vfs.mount(flash.start(*start), "/cut")
    try:
        work()
    except OSError:
        if not flash.off:
            raise
    vfs.umount("/cut")
    went = flash.off
    flash.off = True
    gc.collect()
    return went


def waiting():
    """Texts of the events that wait, those without a text left out; every one of them whole."""
    found = []
    for _, name in diary.listing("/cut/events"):
        with open("/cut/events/" + name) as file:
            text = file.read()
        if text and not name.endswith(".sent"):
            assert text.endswith("END\n"), (name, text)
            found.append(text.split("\n")[1])
    return found


def numbers():
    return [number for number, _ in diary.listing("/cut/events")]


def ended(_):
    crash._seen.clear()
    crash.ended(caught(ValueError("some words END")), Node("/cut"), "/cut/crashes", "/cut/events")


def history(flash, crashes):
    """A new flash of a board that has crashed so many times."""
    flash.format()
    within(flash, lambda: [ended(n) or crash.started("reset", "/cut/crashes") for n in range(crashes)])
    return bytes(flash.content)


def crash_cut_off(flash, crashes, *start):
    """It crashes once more, and the power goes; then again, and all is whole. False when the power outlasted it."""

    def look():
        tally = crash.tally("/cut/crashes")
        assert tally in ("e" * crashes, "e" * crashes + "e!"), tally
        assert min(crashes, 2) <= len(waiting()) <= 3
        seen = numbers()
        ended(crashes)
        if crashes < 4 or tally[-1:] != "!":
            assert max(numbers()) > max(seen + [0])
        assert len(waiting()) <= 3

    went = within(flash, lambda: ended(crashes), *start)
    assert not within(flash, look)
    return went


@heap("1M")
@timeout(120)
@only("micropython", why="littlefs is MicroPython's")
def test_while_a_crash_is_written_down():
    cuts = 0
    for program in (32, 256):
        flash = Flash(program)
        for crashes in (0, 1, 3, 4):
            snapshot = history(flash, crashes)
            for torn in (0, 0.5, 1):
                left = 1
                while crash_cut_off(flash, crashes, snapshot, left, torn):
                    cuts += 1
                    left += 1
    print(cuts, "cuts")
    assert cuts > 100


@heap("1M")
@timeout(120)
@only("micropython", why="littlefs is MicroPython's")
async def test_while_events_are_delivered():
    """Each arrives, none of them changed; at worst one twice, under the same number."""
    import vfs

    cuts = 0
    for program in (32, 256):
        flash = Flash(program)
        flash.format()

        def fill():
            for n in range(4):
                ended(n)
            diary.create("event", None, "/cut/events").close()  # without a text
            with diary.create("event", None, "/cut/events") as file:
                file.write("last END\n")

        within(flash, fill)
        snapshot = bytes(flash.content)
        left = 0
        went = True
        while went:
            left += 1
            sent = []
            for start in ((snapshot, left), ()):
                node = Node("/cut")
                node.clock.set(1767268800000, node.world.ticks_ms(), clock.SYNCED)
                log = Log("info", Console())
                vfs.mount(flash.start(*start), "/cut")
                uplink = Uplink()
                told = events.Events(node.clock, "tag", (Secret(TOKEN),), log, "/cut/events")
                try:
                    await told.send(Pulse(node.world), uplink)
                except OSError:
                    assert flash.off
                sent.append([record["group"] for record in uplink.sent if record["value"]])
                vfs.umount("/cut")
                if start:
                    went = flash.off
                flash.off = True
                gc.collect()
            assert sorted(set(sent[0] + sent[1])) == ["tag_e2", "tag_e3", "tag_e4", "tag_e6"], (left, sent)
            assert len(set(sent[0]) & set(sent[1])) <= 1
            cuts += went
    print(cuts, "cuts")
    assert cuts > 10
