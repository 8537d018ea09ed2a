"""MicroPython's firmware images: where to get one, what one is for, whether it is whole.

UF2 for RP2040 and RP2350 (the UF2 specification; family ids of Raspberry Pi's bootrom), .bin for the ESP32 family
(Espressif's image format, "ESP-IDF: App Image Format"; offsets of MicroPython's combined images).
"""

import hashlib
import http.client
import re
import ssl
import struct
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

import certifi

OLDEST = (1, 24)
LARGEST = 16 << 20
DOWNLOADS = "https://micropython.org/download"

_UF2_BLOCK = 512
_UF2_HEAD = struct.Struct("<8I")
_UF2_MAGIC = b"UF2\n\x57\x51\x5d\x9e"
_UF2_END = 0x0AB16F30
_NOT_MAIN_FLASH, _HAS_FAMILY = 0x0001, 0x2000
_ABSOLUTE = 0xE48BFF57  # a lone block before the others, "1 of 2", that evades an erratum of the RP2350 (E10)
_UF2_CHIPS = {0xE48BFF56: "RP2040", 0xE48BFF59: "RP2350", 0xE48BFF5A: "RP2350", 0xE48BFF5B: "RP2350"}
_UF2_OTHERS = {0x1C5F21B0: "ESP32", 0xBFDD4EEE: "ESP32-S2", 0xC47E5767: "ESP32-S3", 0xD42BA06C: "ESP32-C3"}

_ESP_MAGIC = 0xE9
_ESP_CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6"}
_ESP_CHIPS |= {16: "ESP32-H2", 18: "ESP32-P4", 20: "ESP32-C61", 23: "ESP32-C5"}
_APPLICATION_AT, _APPLICATION = 32, 0xABCD5432  # an application without bootloader and partitions says so there
_PARTITIONS_AT, _PARTITION = 0x8000, 0x50AA

_VERSION = re.compile(rb"MicroPython v(\d+)\.(\d+)[\w.+-]*")
# a build for the board without Wi-Fi starts on the one with it, and then has no network
_WITHOUT_WIFI = {"RP2040": b"Raspberry Pi Pico with RP2040", "RP2350": b"Raspberry Pi Pico2 with RP2350"}

_TIMEOUT_S = 30
_PIECE = 65536


class ImageError(Exception):
    """Why the image cannot be used, with the remedy."""


class Target(NamedTuple):
    """A board that can be flashed: its chip, MicroPython's name for it, where on an ESP32's flash the image goes."""

    chip: str
    download: str
    offset: int | None

    @property
    def page(self) -> str:
        """Where its images are."""
        return f"{DOWNLOADS}/{self.download}/"


TARGETS = {
    "esp32": Target("ESP32", "ESP32_GENERIC", 0x1000),
    "esp32s3": Target("ESP32-S3", "ESP32_GENERIC_S3", 0),
    "esp32c3": Target("ESP32-C3", "ESP32_GENERIC_C3", 0),
    "pico_w": Target("RP2040", "RPI_PICO_W", None),
    "pico2_w": Target("RP2350", "RPI_PICO2_W", None),
}


def board_with(chip: str) -> str | None:
    """The board of ours with this chip."""
    return next((name for name, target in TARGETS.items() if target.chip == chip), None)


@dataclass(frozen=True)
class Image:
    """name: what the user called it; version: as it calls itself, None when it does not say that it is MicroPython."""

    name: str
    content: bytes
    chip: str
    version: str | None
    sha256: str

    @property
    def is_uf2(self) -> bool:
        return self.content.startswith(_UF2_MAGIC)


def read(content: bytes, name: str) -> Image:
    """Look into an image. Raises ImageError when it is none, not whole, or of a MicroPython that is too old."""
    if content.startswith(_UF2_MAGIC):
        chip, payload = _uf2(content, name)
    elif content[:1] == bytes([_ESP_MAGIC]):
        chip, payload = _esp(content, name), content
    else:
        raise ImageError(f"{name} is no firmware image ({_looks_like(content)}): take a .uf2 or .bin from {DOWNLOADS}/")
    found = _VERSION.search(payload)
    version = found[0].decode().removeprefix("MicroPython ") if found else None
    if found and (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ImageError(f"{name} is MicroPython {version}: TagoNode needs {oldest} or newer, from {DOWNLOADS}/")
    without = _WITHOUT_WIFI.get(chip)
    if without and without in payload:
        right = TARGETS[board_with(chip) or ""]
        raise ImageError(f"{name} is for a board without Wi-Fi: take the one for the board with it from {right.page}")
    return Image(name, content, chip, version, hashlib.sha256(content).hexdigest())


def _looks_like(content: bytes) -> str:
    for head, what in (
        (b"PK\x03\x04", "a zip file: unpack it"),
        (b"\x1f\x8b", "a gzip file: unpack it"),
        (b"\x7fELF", "an ELF file"),
        (b":1", "a hex file"),
        (b":0", "a hex file"),
        (b"M\x06", "compiled Python"),
    ):
        if content.startswith(head):
            return what
    if not content:
        return "it is empty"
    return "a web page" if b"<html" in content[:2000].lower() else "of no form that is known"


def _uf2(content: bytes, name: str) -> tuple[str, bytes]:
    """(chip, what goes to flash). Every block is looked at: a download that broke off is found here."""
    if len(content) % _UF2_BLOCK:
        raise ImageError(f"{name} is cut short: it has {len(content)} bytes, no multiple of 512; download it again")
    chips: dict[int, list[int]] = {}
    payload = bytearray()
    for at in range(0, len(content), _UF2_BLOCK):
        head = _UF2_HEAD.unpack_from(content, at)
        (end,) = struct.unpack_from("<I", content, at + _UF2_BLOCK - 4)
        _, _, flags, _, size, number, count, family = head
        if content[at : at + 8] != _UF2_MAGIC or end != _UF2_END or size > 476 or number >= count:
            raise ImageError(f"{name} is damaged at byte {at}: download it again")
        if flags & _NOT_MAIN_FLASH or family == _ABSOLUTE and flags & _HAS_FAMILY:
            continue
        if not flags & _HAS_FAMILY:
            raise ImageError(f"{name} does not say which chip it is for: take one from {DOWNLOADS}/")
        blocks = chips.setdefault(family, [0, count])
        if number != blocks[0] or count != blocks[1]:
            raise ImageError(f"{name} is damaged: a block is missing before byte {at}; download it again")
        blocks[0] += 1
        payload += content[at + _UF2_HEAD.size : at + _UF2_HEAD.size + size]
    for got, count in chips.values():
        if got != count:
            raise ImageError(f"{name} is cut short: it has {got} of {count} blocks; download it again")
    if len(chips) != 1:
        raise ImageError(f"{name} is for {len(chips) or 'no'} kinds of chips: take one from {DOWNLOADS}/")
    (family,) = chips
    known = _UF2_CHIPS | _UF2_OTHERS
    return known.get(family, f"a chip of family {family:#010x}"), bytes(payload)


def _esp(content: bytes, name: str) -> str:
    if len(content) < _APPLICATION_AT + 4:
        raise ImageError(f"{name} is cut short: download it again")
    (chip,) = struct.unpack_from("<H", content, 12)
    (word,) = struct.unpack_from("<I", content, _APPLICATION_AT)
    if word == _APPLICATION:
        raise ImageError(
            f"{name} is the application alone, for updates over the network: take the .bin that is called firmware on "
            f"{DOWNLOADS}/, without .app-bin in its name"
        )
    if chip not in _ESP_CHIPS:
        raise ImageError(f"{name} is for no chip that is known (number {chip}): take one from {DOWNLOADS}/")
    found = _ESP_CHIPS[chip]
    board = board_with(found)
    if board and not _esp_is_whole(content, TARGETS[board].offset or 0):
        raise ImageError(f"{name} is cut short: it has {len(content)} bytes, less than it says; download it again")
    return found


def _esp_is_whole(content: bytes, base: int) -> bool:
    """Whether the segments of the application are all there. base: where on flash the file begins."""
    start = -1
    for at in range(_PARTITIONS_AT - base, min(_PARTITIONS_AT - base + 0xC00, len(content) - 32), 32):
        magic, kind, _, offset = struct.unpack_from("<HBBI", content, at)
        if magic == _PARTITION and kind == 0:
            start = offset - base
            break
    if not 0 <= start <= len(content) - 24 or content[start] != _ESP_MAGIC:
        return False
    end = start + 24
    for _ in range(content[start + 1]):
        if end + 8 > len(content):
            return False
        end += 8 + int.from_bytes(content[end + 4 : end + 8], "little")
    # a checksum follows at the end of a row of 16 bytes, and a SHA-256 where the head says so
    return start + ((end - start) // 16 + 1) * 16 + (32 if content[start + 23] else 0) <= len(content)


def check_board(image: Image, chip: str, board: str | None) -> None:
    """Raises ImageError when the image is for another chip than the one that is there."""
    if image.chip == chip:
        return
    mine = board_with(chip)
    page = TARGETS[mine].page if mine else f"{DOWNLOADS}/"
    it = f"this board ({board}) has an {chip}" if board else f"the board there has an {chip}"
    raise ImageError(f"{image.name} is for {image.chip}, but {it}: take the image from {page}")


def check_digits(sha256: str) -> str:
    """The number as a text that can be compared. Raises ImageError when it cannot be one."""
    given = sha256.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", given):
        raise ImageError(f"--sha256 {sha256}: a SHA-256 has 64 hexadecimal digits: copy it again")
    return given


def check_hash(image: Image, wanted: str) -> None:
    """Raises ImageError when its SHA-256 is another one."""
    if image.sha256 != check_digits(wanted):
        raise ImageError(
            f"{image.name} has another SHA-256 than you gave, {image.sha256}: nothing was written; download it again, "
            "and make sure that the number is this file's"
        )


def load(source: str, progress: Callable[[int, int | None], None] = lambda done, total: None) -> Image:
    """The image of a file or an https URL. progress(bytes so far, all of them or None). Raises ImageError."""
    if "://" in source:
        return read(fetch(source, progress), source.rpartition("/")[2] or source)
    path = Path(source)
    try:
        if path.stat().st_size > LARGEST:
            raise ImageError(f"{source} is larger than {LARGEST >> 20} MB: it is no firmware image")
        return read(path.read_bytes(), path.name)
    except OSError as error:
        raise ImageError(f"{source}: {error.strerror}: name an image, or its URL from {DOWNLOADS}/") from None


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects as long as they stay verified."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_url(url: str) -> None:
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ImageError("the image's URL holds a user or a password: give one that works without, or a file")
    if urlsplit(url).scheme != "https":
        raise ImageError(f"{url}: give an https URL: what comes over http could be anybody's")


def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()  # the PC's own roots, or those of SSL_CERT_FILE
    if not context.get_ca_certs():
        context.load_verify_locations(certifi.where())
    return context


def fetch(url: str, progress: Callable[[int, int | None], None]) -> bytes:
    """What is at an https URL, whole. Raises ImageError."""
    _check_url(url)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_trust()), _HttpsOnly())
    opener.addheaders = [("User-Agent", "tagonode")]
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as answer, tempfile.TemporaryFile() as file:
            return _receive(url, answer, file, progress)
    except urllib.error.HTTPError as error:
        raise ImageError(f"{url}: the server answers {error.code} {error.reason}: check the address") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ImageError(f"{url} cannot be reached: {reason}: check the address and your network") from None


def _receive(url: str, answer, file: IO[bytes], progress: Callable[[int, int | None], None]) -> bytes:  # type: ignore[no-untyped-def]
    said = answer.headers.get("Content-Length", "")
    total = int(said) if said.isdigit() else None
    if total is not None and total > LARGEST:
        raise ImageError(f"{url} is {total >> 20} MB: larger than any image; check the address")
    while piece := answer.read(_PIECE):
        file.write(piece)
        progress(file.tell(), total)
        if file.tell() > LARGEST:
            raise ImageError(f"{url} is larger than {LARGEST >> 20} MB, which no image is: check the address")
    if total is not None and file.tell() != total:
        raise ImageError(f"{url}: the download broke off after {file.tell()} of {total} bytes: try again")
    file.seek(0)
    return file.read()
