"""Reads a node's queue on the PC, from lib/spool/FORMAT.md alone: it shares no code with the device.

`load(path)` takes a flash image, a spool folder or one segment and returns a `Spool`; `show(path, json_lines)` prints
it. Nothing is ever written. Damage is reported, not raised.
"""

import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SLOTS = 28
SLOT_BYTES = 126
LONGEST_BODY = 8192
JUMP = 448
BLOCK = 4096

_SEGMENT_NAME = re.compile(r"s([1-9][0-9]*)")
_SLOT_NAME = re.compile(r"j(0|[1-9][0-9]*)")


class SpoolFormatError(Exception):
    """What lies at the path is no spool, or one that this version cannot read."""


@dataclass(frozen=True)
class Channel:
    variable: str
    unit: str
    decimals: int


@dataclass(frozen=True)
class Context:
    base: int
    total: int
    time: int
    every: int
    tag: str
    channels: tuple[Channel, ...]
    seed: int


@dataclass
class Sample:
    sequence: int
    time: int | None
    boot: int
    mono: int
    estimated: bool
    channels: tuple[Channel, ...]
    values: list[Any]
    location: Any
    metadata: Any


@dataclass(frozen=True)
class Reject:
    sequence: int
    index: int
    time: int | None
    variable: str
    unit: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Damage:
    """Bytes start … stop - 1 of a file which are no good record."""

    file: str
    start: int
    stop: int


@dataclass
class State:
    next: int = 1
    cursor: int = 1
    last_in_flight: int = 0
    boot: int = 0
    sampled: int = 0
    acknowledged: int = 0
    quarantined: int = 0
    dropped: int = 0
    damaged: int = 0
    declined: int = 0
    size: int = 0
    settled: dict[int, int] = field(default_factory=dict)
    moved: int = 0


@dataclass
class Spool:
    """What a spool holds. queued: samples with at least one reading not settled (settled ones are None)."""

    tag: str | None = None
    state: State = field(default_factory=State)
    queued: list[Sample] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def in_flight(self) -> tuple[int, int] | None:
        first, last = self.state.cursor, self.state.last_in_flight
        return (first, last) if last >= first else None

    @property
    def readings(self) -> int:
        return sum(value is not None for sample in self.queued for value in sample.values)


class _Fields:
    """Takes fields off the front of a record's body. Raises ValueError when they run over its end."""

    def __init__(self, body: bytes):
        self.body = body
        self.at = 0

    def raw(self, count: int) -> bytes:
        piece = self.body[self.at : self.at + count]
        if len(piece) < count:
            raise ValueError("the body is too short")
        self.at += count
        return piece

    def varint(self) -> int:
        result, shift = 0, 0
        while True:
            (byte,) = self.raw(1)
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def signed(self) -> int:
        coded = self.varint()
        return -(coded // 2) - 1 if coded % 2 else coded // 2

    def text(self) -> str:
        return self.raw(self.varint()).decode()

    def typed(self, decimals: int) -> Any:
        kind = self.varint()
        match kind:
            case 0:
                return None
            case 1 | 2:
                return kind == 2
            case 3:
                return self.signed()
            case 4:
                return self.signed() / 10**decimals
            case 5:
                return struct.unpack("<f", self.raw(4))[0]
            case 6:
                return struct.unpack("<d", self.raw(8))[0]
            case 7:
                return self.text()
        raise ValueError(f"unknown type {kind}")


def _context(body: bytes) -> Context:
    fields = _Fields(body[1:])
    base, total, time, every = (fields.varint() for _ in range(4))
    tag = fields.text()
    channels = tuple(Channel(fields.text(), fields.text(), fields.raw(1)[0]) for _ in range(fields.varint()))
    return Context(base, total, time, every, tag, channels, zlib.crc32(body))


def _sample(body: bytes, context: Context) -> Sample:
    flags = body[0]
    fields = _Fields(body[1:])
    delta = fields.varint()
    time, boot, mono = None, 0, 0
    if flags & 2:
        boot, mono = fields.varint(), fields.varint()
    else:
        time = fields.signed() + context.time + delta * context.every
    mask = fields.varint() if flags & 1 else 0
    values: list[Any] = []
    for index, channel in enumerate(context.channels):
        if mask >> index & 1:
            values.append(fields.typed(channel.decimals))
        else:
            number = fields.signed()
            values.append(number / 10**channel.decimals if channel.decimals else number)
    location = json.loads(fields.text()) if flags & 8 else None
    metadata = json.loads(fields.text()) if flags & 16 else None
    if fields.at != len(fields.body):
        raise ValueError("the fields do not fill the body")
    return Sample(context.base + delta, time, boot, mono, bool(flags & 4), context.channels, values, location, metadata)


class _File:
    """The good records of one file, and where it is damaged."""

    def __init__(self, name: str, data: bytes, start: int, context: Context | None = None, base: int | None = None):
        self.name = name
        self.data = data
        self.at = start
        self.context = context
        self.base = base
        self.damage: list[Damage] = []

    def _damaged(self, start: int, stop: int) -> None:
        if self.damage and self.damage[-1].stop == start:
            start = self.damage.pop().start
        self.damage.append(Damage(self.name, start, stop))

    def _try(self, at: int) -> tuple[bytes, int] | None:
        """(body, position behind) of a good record at this position."""
        data = self.data
        length, head = data[at], 1
        if length > 0x7F:
            length, head = length & 0x7F | data[at + 1] << 7, 2
        stop = at + head + length + 4
        if not 1 <= length <= LONGEST_BODY or stop > len(data):
            return None
        kind = data[at + head]
        if kind < 0x20:
            if self.context is None:
                return None
            seed = self.context.seed
        elif kind in (0x81, 0x82):
            if self.context is None:
                return None
            seed = zlib.crc32(self.context.tag.encode())
        elif kind in (0x80, 0x83):
            seed = 0
        else:
            return None
        if zlib.crc32(data[at : stop - 4], seed) != int.from_bytes(data[stop - 4 : stop], "little"):
            return None
        body = data[at + head : stop - 4]
        if kind == 0x80:
            try:
                context = _context(body)
            except ValueError:
                return None
            if self.base not in (None, context.base) or self.context not in (None, context):
                return None
            self.context = context
        return body, stop

    def records(self) -> Iterator[tuple[int, bytes]]:
        """(position, body) of each good record."""
        while len(self.data) - self.at >= 6:
            found = self._try(self.at)
            if found is None:
                self._damaged(self.at, self.at + 1)
                self.at += 1
            else:
                body, stop = found
                start, self.at = self.at, stop
                yield start, body
        if self.at < len(self.data):
            self._damaged(self.at, len(self.data))

    def samples(self) -> Iterator[Sample]:
        for start, body in self.records():
            if body[0] < 0x20 and self.context:
                try:
                    yield _sample(body, self.context)
                except ValueError:
                    self._damaged(start, self.at)


def _check_version(name: str, data: bytes) -> None:
    if data[:3] == b"TnS" and data[4:8] == struct.pack("<I", zlib.crc32(data[:4])) and data[3] > 1:
        raise SpoolFormatError(f"{name} is of format {data[3]}, written by newer firmware: update this tool")


class _Journal:
    """Steps 1 to 5 of "What is queued"."""

    def __init__(self, files: dict[str, bytes], spool: Spool):
        self.files = files
        self.spool = spool
        self.segments = sorted(int(m[1]) for name in files if (m := _SEGMENT_NAME.fullmatch(name)))
        for base in self.segments:
            _check_version(f"s{base}", files[f"s{base}"])
        self.context: Context | None = None
        while self.segments and self.context is None:
            file = self.segment(self.segments[-1])
            for _ in file.records():
                if file.context:
                    break
            self.context = file.context
            if self.context is None:
                spool.notes.append(f"s{self.segments.pop()} holds no readable context: ignored")
        self.slots: dict[int, bytes] = {}
        bad_head = self._find_slots()
        numbers = sorted(self.slots)
        self.state = self._base()
        self.used = numbers
        if self._replay(numbers) or bad_head:
            self.state = self._base()
            self._survey(8)
            self._replay(numbers)
            self.state.next += JUMP
            spool.notes.append("the journal is damaged: some of the newest samples may be missing")
        elif self.segments and len(files[f"s{self.segments[-1]}"]) != self.state.size:
            self._survey(self.state.size)
        if self.segments:
            self.state.cursor = max(self.state.cursor, self.segments[0])

    def segment(self, base: int, start: int = 8) -> _File:
        return _File(f"s{base}", self.files[f"s{base}"], start, base=base)

    def slot(self, number: int) -> _File:
        base = self.context.base if self.context else 0
        return _File(f"j{number % SLOTS}", self.slots[number], 5, self.context, base)

    def _find_slots(self) -> bool:
        bad = {}
        for name, data in self.files.items():
            match = _SLOT_NAME.fullmatch(name)
            if not match or int(match[1]) >= SLOTS or not data:
                continue
            index = int(match[1])
            number = int.from_bytes(data[:3], "little")
            check = struct.pack("<H", zlib.crc32(data[:3]) & 0xFFFF)
            if len(data) >= 5 and data[3:5] == check and number % SLOTS == index:
                self.slots[number] = data[:SLOT_BYTES]
            else:
                bad[index] = data[:SLOT_BYTES]
        top = max(self.slots) + 1 if self.slots else SLOTS
        for index, data in bad.items():
            self.slots[next(n for n in range(top, top - SLOTS, -1) if n % SLOTS == index)] = data
            self.spool.damage.append(Damage(f"j{index}", 0, min(5, len(data))))
        return bool(bad)

    def _base(self) -> State:
        context = self.context
        if not context:
            return State()
        total = context.total
        return State(next=context.base, cursor=context.base, sampled=total, acknowledged=total, moved=context.base - 1)

    def _take_state(self, body: bytes) -> bool:
        fields = _Fields(body[1:])
        try:
            numbers = [fields.varint() for _ in range(12)]
            cursor = numbers[0] - numbers[1]
            settled = {cursor + fields.varint(): fields.varint() for _ in range(numbers[11])}
        except ValueError:
            return False
        if numbers[0] < self.state.next:
            return False
        names = ("boot", "sampled", "acknowledged", "quarantined", "dropped", "damaged", "declined", "size")
        counters = dict(zip(names, numbers[3:11], strict=True))
        self.state = State(
            next=numbers[0],
            cursor=cursor,
            last_in_flight=cursor + numbers[2] - 1,
            settled=settled,
            moved=self.state.moved,
            **counters,
        )
        return True

    def _take_sample(self, body: bytes, context: Context) -> int | None:
        try:
            sample = _sample(body, context)
        except ValueError:
            return None
        left_out = sample.sequence - self.state.next
        if left_out >= 0:
            self.state.sampled += sum(value is not None for value in sample.values) + left_out * len(sample.values)
            self.state.next = sample.sequence + 1
        self.state.boot = max(self.state.boot, sample.boot)
        return sample.sequence

    def _replay(self, numbers: list[int]) -> bool:
        damaged = bool(numbers)
        self.used = numbers
        before = None
        for number in numbers:
            damaged = damaged or number - 1 != before
            before = number
            file = self.slot(number)
            for _, body in file.records():
                if body[0] in (0x81, 0x82):
                    if self._take_state(body) and body[0] == 0x82:
                        self.used = [n for n in numbers if n >= number]
                        self.state.moved = max(self.state.moved, self.state.next - 1)
                        damaged = False
                elif body[0] < 0x20 and file.context:
                    self._take_sample(body, file.context)
            damaged = damaged or bool(file.damage)
        return damaged

    def _survey(self, start: int) -> None:
        if not self.segments:
            return
        file = self.segment(self.segments[-1], start)
        file.context = self.context
        for _, body in file.records():
            if body[0] == 0x81:
                self._take_state(body)
            elif body[0] < 0x20 and file.context:
                sequence = self._take_sample(body, file.context)
                self.state.moved = max(self.state.moved, sequence or 0)


def read_files(files: dict[str, bytes]) -> Spool:
    """The spool made of these files (name → content). Raises SpoolFormatError for one of newer firmware."""
    spool = Spool()
    journal = _Journal(files, spool)
    state = spool.state = journal.state
    spool.tag = journal.context.tag if journal.context else None
    bases = journal.segments
    sources = [
        (journal.segment(base), bases[i + 1] if i + 1 < len(bases) else state.moved + 1) for i, base in enumerate(bases)
    ]
    sources += [(journal.slot(number), state.next) for number in journal.used]
    highest = 0
    for file, stop in sources:
        for sample in file.samples():
            if not max(highest + 1, state.cursor) <= sample.sequence < min(stop, state.next):
                continue
            highest = sample.sequence
            mask = state.settled.get(highest, 0)
            sample.values = [None if mask >> i & 1 else value for i, value in enumerate(sample.values)]
            if any(value is not None for value in sample.values):
                spool.queued.append(sample)
        spool.damage += file.damage
    for name in ("q1", "q0"):
        file = _File(name, files.get(name, b""), 0)
        for start, body in file.records():
            if body[0] == 0x83:
                try:
                    spool.rejects.append(_reject(body))
                except ValueError:
                    file._damaged(start, file.at)
        spool.damage += file.damage
    return spool


def _reject(body: bytes) -> Reject:
    fields = _Fields(body[1:])
    sequence, index, time = (fields.varint() for _ in range(3))
    variable, unit = fields.text(), fields.text()
    at = fields.at
    fields.typed(0)
    (decimals,) = fields.raw(1)
    reason = fields.text()
    fields.at = at
    return Reject(sequence, index, time - 1 if time else None, variable, unit, fields.typed(decimals), reason)


def read_segment(data: bytes, name: str = "segment") -> Spool:
    """All samples of one segment, settled or not (a segment alone does not know). Raises SpoolFormatError."""
    _check_version(name, data)
    spool = Spool(notes=["one segment alone: what is settled is not known"])
    file = _File(name, data, 8)
    highest = 0
    for sample in file.samples():
        if sample.sequence > highest:
            highest = sample.sequence
            spool.queued.append(sample)
    if file.context is None:
        raise SpoolFormatError(f"{name} is no segment of a spool: it holds no readable context")
    spool.tag = file.context.tag
    spool.damage += file.damage
    return spool


def _is_spool(names: list[str]) -> bool:
    return any(_SEGMENT_NAME.fullmatch(n) or _SLOT_NAME.fullmatch(n) for n in names)


def image_files(image: bytes) -> dict[str, bytes]:
    """The files of the spool folder in a littlefs image. Raises SpoolFormatError when there is none."""
    from littlefs import LittleFS, LittleFSError, UserContext

    filesystem = LittleFS(
        UserContext(buffer=bytearray(image)), block_size=BLOCK, block_count=len(image) // BLOCK, mount=False
    )
    try:
        filesystem.mount()
        for folder, _, names in filesystem.walk("/"):
            if _is_spool(names):
                found = {}
                for name in names:
                    with filesystem.open(f"{folder.rstrip('/')}/{name}", "rb") as f:
                        found[name] = f.read()
                return found
    except LittleFSError as e:
        raise SpoolFormatError(f"this is no littlefs image that can be read ({e})") from e
    raise SpoolFormatError("the image holds no spool: the node has not sampled yet, or keeps it elsewhere")


def load(path: Path | str) -> Spool:
    """The spool at a path: a flash image, a spool folder, or one segment. Raises SpoolFormatError, OSError."""
    path = Path(path)
    if path.is_dir():
        files = {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()}
        if not _is_spool(list(files)):
            raise SpoolFormatError(f"{path} holds no spool: neither segments (s1 …) nor slots (j0 …)")
        return read_files(files)
    data = path.read_bytes()
    if b"littlefs" in data[: 2 * BLOCK]:
        return read_files(image_files(data))
    return read_segment(data, path.name)


def _when(sample: Sample) -> str:
    if sample.time is None:
        return f"boot {sample.boot} + {sample.mono / 1000:.3f} s"
    try:
        text = datetime.fromtimestamp(sample.time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        text = f"{sample.time} ms"
    return text + (" estimated" if sample.estimated else "")


def rows(spool: Spool) -> Iterator[dict[str, Any]]:
    """The queue as flat rows, one a reading."""
    for sample in spool.queued:
        for channel, value in zip(sample.channels, sample.values, strict=True):
            if value is None:
                continue
            row: dict[str, Any] = {"sequence": sample.sequence, "variable": channel.variable, "value": value}
            row["unit"] = channel.unit
            if sample.time is None:
                row |= {"boot": sample.boot, "mono": sample.mono}
            else:
                row["time"] = sample.time
            if sample.estimated:
                row["estimated"] = True
            for name in ("location", "metadata"):
                if getattr(sample, name) is not None:
                    row[name] = getattr(sample, name)
            yield row


def show(path: Path | str, json_lines: bool = False) -> int:
    """Prints the spool at a path, as print_spool() does. Returns the exit status: 0, or 1 when it cannot be read."""
    try:
        spool = load(path)
    except (SpoolFormatError, OSError) as e:
        print(f"{path}: {e}", file=sys.stderr)
        return 1
    print_spool(spool, json_lines)
    return 0


def print_spool(spool: Spool, json_lines: bool = False) -> None:
    """A table, or JSON lines: queued readings, then quarantined ones, then damage, then a summary; each with "kind"."""
    state = spool.state
    books = {
        "tag": spool.tag,
        "next_sequence": state.next,
        "in_flight": spool.in_flight,
        "sampled": state.sampled + state.declined,
        "acknowledged": state.acknowledged,
        "queued": spool.readings,
        "quarantined": state.quarantined,
        "dropped": state.dropped + state.declined,
        "damaged": state.damaged,
    }
    if json_lines:
        lines = [{"kind": "reading", **row} for row in rows(spool)]
        lines += [{"kind": "quarantined", **reject.__dict__} for reject in spool.rejects]
        lines += [{"kind": "damage", **damage.__dict__} for damage in spool.damage]
        lines.append({"kind": "summary", **books, "notes": spool.notes})
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if spool.queued:
        table = Table("sequence", "time", "variable", "value", "unit", "also")
        for sample in spool.queued:
            also = " ".join(json.dumps(x, ensure_ascii=False) for x in (sample.location, sample.metadata) if x)
            for channel, value in zip(sample.channels, sample.values, strict=True):
                if value is not None:
                    shown = f"{value:.{channel.decimals}f}" if isinstance(value, float) else str(value)
                    table.add_row(
                        str(sample.sequence), _when(sample), channel.variable, shown, channel.unit, also or ""
                    )
        console.print(table)
    if spool.rejects:
        table = Table("sequence", "variable", "value", "unit", "reason", title="quarantined")
        for reject in spool.rejects:
            table.add_row(str(reject.sequence), reject.variable, str(reject.value), reject.unit, reject.reason)
        console.print(table)
    for damage in spool.damage:
        console.print(f"damaged: {damage.file}, bytes {damage.start} to {damage.stop - 1}", markup=False)
    for note in spool.notes:
        console.print(note, markup=False)
    console.print(", ".join(f"{name} {value}" for name, value in books.items()), markup=False)
