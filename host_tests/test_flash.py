"""`tagonode flash`: images looked at in full, a fake drive of a Pico's bootloader, the real esptool.

esptool talks to a ROM loader on a pty (harness/romloader.py), which knows the protocol and no chip: it does take the
image and keeps it as its flash, through esptool's own verification. What is not there is what runs on a chip: the
flasher that esptool loads into RAM is acknowledged, not run, and no line resets anything.
"""

import contextlib
import errno
import hashlib
import http.server
import os
import pty
import random
import re
import shutil
import ssl
import stat
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import trustme

import pytest
from harness import boards, commands, firmwares
from harness.romloader import RomLoader
from tagonode import firmware_image, flash, port
from tagonode.firmware_image import ImageError
from tagonode.flash import FlashError, Options, WrongUse

TAGONODE = boards.MPREMOTE.parent / "tagonode"
PICOS, ESPS = ("pico_w", "pico2_w"), ("esp32", "esp32s3", "esp32c3")
INFO = {"pico_w": "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"}
INFO["pico2_w"] = "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"


def make(board: str, **given) -> bytes:
    return firmwares.uf2(board, **given) if board in PICOS else firmwares.esp(board, **given)


def run(*arguments: object, **options):
    return commands.run(TAGONODE, "flash", *arguments, timeout=60, stdin=-3, **options)


def usb(device: str, vid: int, pid: int, serial_number: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=serial_number)


@pytest.fixture(autouse=True)
def bare_pc(monkeypatch):
    """No board of the machine that runs the tests."""
    monkeypatch.setattr(flash, "_mounted", lambda: iter(()))
    monkeypatch.setattr(flash.serial.tools.list_ports, "comports", list)
    monkeypatch.setattr(flash, "_unmounted", lambda: None)
    monkeypatch.setattr(flash, "_LOOK_S", 0.01)
    monkeypatch.setattr(flash, "_PATIENCE_S", 5)
    which = shutil.which
    monkeypatch.setattr(flash.shutil, "which", lambda name: None if name == "picotool" else which(name))


# ---- images


@pytest.mark.parametrize("board", PICOS + ESPS)
def test_a_whole_image(board):
    content = make(board)
    image = firmware_image.read(content, "x")
    assert image.chip == firmware_image.TARGETS[board].chip
    assert image.version == "v1.27.0"
    assert image.sha256 == hashlib.sha256(content).hexdigest()
    assert firmware_image.board_with(image.chip) == board
    firmware_image.check_board(image, image.chip, board)
    firmware_image.check_hash(image, f" {image.sha256.upper()}\n")


@pytest.mark.parametrize("board", PICOS + ESPS)
def test_an_image_that_is_cut_anywhere_is_not_taken(board):
    content = make(board, code=firmwares.program(board, size=20_000))
    cuts = {1, 7, 8, 31, 35, 512, 513, len(content) // 2, len(content) - 600, len(content) - 512, len(content) - 1}
    for length in sorted(cuts | set(random.Random(1).sample(range(len(content)), 100))):
        with pytest.raises(ImageError, match="download it again|no firmware image|no kinds of chips"):
            firmware_image.read(content[:length], "x")


@pytest.mark.parametrize("board", PICOS)
def test_a_uf2_with_a_damaged_block(board):
    content = make(board)
    for at in (512 * 7, 512 * 7 + 508, len(content) - 1, len(content) - 512):
        wrong = bytearray(content)
        wrong[at] ^= 1
        with pytest.raises(ImageError, match=f"x is damaged at byte {at // 512 * 512}: download it again"):
            firmware_image.read(bytes(wrong), "x")
    without = content[: 512 * 5] + content[512 * 6 :]
    with pytest.raises(ImageError, match="x is damaged: a block is missing before byte 2560"):
        firmware_image.read(without, "x")
    with pytest.raises(ImageError, match=r"x is cut short: it has \d+ of \d+ blocks"):
        firmware_image.read(content[:-512], "x")


BLOCK = (b"x" * 256, 0, 1, 0xE48BFF56, 0x10000000)
BAD_IMAGES = {
    "empty": (
        b"",
        r"x is no firmware image \(it is empty\): take a .uf2 or .bin from https://micropython.org/download/",
    ),
    "zip": (b"PK\x03\x04" + b"x" * 600, "a zip file: unpack it"),
    "gzip": (b"\x1f\x8b" + b"x" * 600, "a gzip file: unpack it"),
    "web page": (b"<!doctype html><HTML><body>Not found", "a web page"),
    "elf": (b"\x7fELF" + b"x" * 600, "an ELF file"),
    "hex": (b":020000041000EA\n:10", "a hex file"),
    "mpy": (b"M\x06\x00\x1f", "compiled Python"),
    "python": (b"import machine\n", "of no form that is known"),
    "no family": (firmwares.uf2_block(*BLOCK, flags=0), "x does not say which chip it is for"),
    "two families": (
        firmwares.uf2_block(*BLOCK) + firmwares.uf2_block(b"y", 0, 1, 0xE48BFF59, 0x10000000),
        "x is for 2 kinds of chips",
    ),
    "not for flash": (firmwares.uf2_block(*BLOCK, flags=0x2001), "x is for no kinds of chips"),
    "too long": (
        firmwares.uf2_block(*BLOCK)[:16] + struct.pack("<I", 477) + firmwares.uf2_block(*BLOCK)[20:],
        "x is damaged at byte 0",
    ),
    "application": (firmwares.application("esp32"), "x is the application alone, .* without .app-bin in its name"),
    "no chip": (b"\xe9\x01" + bytes(10) + b"\x77\x00" + bytes(100), r"x is for no chip that is known \(number 119\)"),
    "old": (
        make("pico_w", code=firmwares.program("x", b"MicroPython v1.22.2 on 2024-02-22; Raspberry Pi Pico W")),
        "x is MicroPython v1.22.2: TagoNode needs 1.24 or newer",
    ),
    "no Wi-Fi": (
        make("pico_w", code=firmwares.program("x", firmwares.BANNER + b"Raspberry Pi Pico with RP2040")),
        "x is for a board without Wi-Fi: .* https://micropython.org/download/RPI_PICO_W/",
    ),
    "no Wi-Fi 2": (
        make("pico2_w", code=firmwares.program("x", firmwares.BANNER + b"Raspberry Pi Pico2 with RP2350")),
        "x is for a board without Wi-Fi: .* https://micropython.org/download/RPI_PICO2_W/",
    ),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_an_image_that_is_none(name):
    content, words = BAD_IMAGES[name]
    with pytest.raises(ImageError, match=words):
        firmware_image.read(content, "x")


@pytest.mark.parametrize("version", ["v1.24.0", "v1.30.0-preview.12.gabcdef", "v2.0.0", "v1.24.1-5-gabc-dirty"])
def test_versions_that_will_do(version):
    banner = f"MicroPython {version} on 2026-01-01; Raspberry Pi Pico W with RP2040".encode()
    assert firmware_image.read(make("pico_w", code=firmwares.program("x", banner)), "x").version == version


def test_an_image_for_a_chip_that_others_have():
    content = make("pico_w").replace(struct.pack("<I", 0xE48BFF56), struct.pack("<I", 0xC47E5767))
    image = firmware_image.read(content, "x.uf2")
    with pytest.raises(ImageError, match=r"x.uf2 is for ESP32-S3, but this board \(pico_w\) has an RP2040"):
        firmware_image.check_board(image, "RP2040", "pico_w")


# ---- URLs


class Files(http.server.BaseHTTPRequestHandler):
    """/whole, /short (breaks off), /endless, /huge, /to-http, /to-whole; anything else is not there."""

    content = b""

    def do_GET(self):  # noqa: N802 - the library's name
        if self.path in ("/whole.uf2", "/short.uf2"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content[: len(self.content) // (2 if "short" in self.path else 1)])
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 20))
        elif self.path == "/huge":
            self.send_response(200)
            self.send_header("Content-Length", str(100 << 20))
            self.end_headers()
        elif self.path.startswith("/to-"):
            self.send_response(302)
            where = "http://127.0.0.1/whole.uf2" if self.path == "/to-http" else "/whole.uf2"
            self.send_header("Location", where)
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def site():
    """(address, CA file) of a server on this PC, with a certificate."""
    Files.content = make("pico_w")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with ca.cert_pem.tempfile() as pem:
        yield f"https://localhost:{server.server_address[1]}", pem
    server.shutdown()
    server.server_close()


def test_an_image_of_a_url(site, monkeypatch):
    address, pem = site
    monkeypatch.setenv("SSL_CERT_FILE", pem)
    seen = []
    image = firmware_image.load(f"{address}/whole.uf2", lambda done, total: seen.append((done, total)))
    assert (image.name, image.content) == ("whole.uf2", Files.content)
    assert seen[-1] == (len(Files.content), len(Files.content)) and len(seen) > 2
    assert firmware_image.load(f"{address}/to-whole").content == Files.content


@pytest.mark.parametrize(
    "path, words",
    [
        ("/short.uf2", r"the download broke off after \d+ of \d+ bytes: try again"),
        ("/endless", "is larger than 16 MB, which no image is: check the address"),
        ("/huge", "is 100 MB: larger than any image; check the address"),
        ("/nothing", "the server answers 404 Not Found: check the address"),
        ("/to-http", "http://127.0.0.1/whole.uf2: give an https URL: what comes over http could be anybody's"),
    ],
)
def test_a_url_that_gives_no_image(path, words, site, monkeypatch):
    address, pem = site
    monkeypatch.setenv("SSL_CERT_FILE", pem)
    with pytest.raises(ImageError, match=words):
        firmware_image.load(address + path)


def test_a_server_that_nobody_vouches_for(site):
    with pytest.raises(ImageError, match="cannot be reached: .*certificate verify failed.*: check the address"):
        firmware_image.load(f"{site[0]}/whole.uf2")


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://micropython.org/x.uf2", "give an https URL"),
        ("ftp://micropython.org/x.uf2", "give an https URL"),
        ("https://localhost:1/x.uf2", "https://localhost:1/x.uf2 cannot be reached: .*: check the address and"),
        ("https://", "cannot be reached: "),
    ],
)
def test_a_url_that_is_none(url, words):
    with pytest.raises(ImageError, match=words):
        firmware_image.load(url)


# ---- a Pico's drive


@contextlib.contextmanager
def pico(folder: Path, board: str, monkeypatch, starts: bool = True):
    """A fake drive: when all of a UF2 has arrived, the board starts; the drive is gone, a port is there. Yields a list
    that what has arrived is put into."""
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_bytes(INFO[board].encode())
    (folder / "INDEX.HTM").write_text("<html>")
    arrived: list[bytes] = []
    fsync = os.fsync

    def sync(file: int) -> None:
        fsync(file)
        content = (folder / "firmware.uf2").read_bytes()
        (count,) = struct.unpack_from("<I", content, 512 + 24)
        whole = len(content) >= 512 * (count + (board == "pico2_w"))
        if whole and starts:
            arrived.append(content)
            shutil.rmtree(folder)
            found = [usb("/dev/ttyACM7", flash.RASPBERRY_PI, 5)]
            monkeypatch.setattr(flash.serial.tools.list_ports, "comports", lambda: found)
            raise OSError(5, "Input/output error")  # as it is when the drive goes while the last block is acknowledged

    monkeypatch.setattr(flash.os, "fsync", sync)
    monkeypatch.setattr(flash, "_mounted", lambda: iter([folder]) if folder.exists() else iter(()))
    yield arrived


@pytest.mark.parametrize("board", PICOS)
@pytest.mark.parametrize("given", ["drive", "nothing"])
def test_a_uf2_arrives_whole_and_the_drive_goes(board, given, tmp_path, monkeypatch, capsys):
    file = tmp_path / "firmware-1.27.uf2"
    file.write_bytes(make(board))
    folder = tmp_path / "RPI RP2"
    with pico(folder, board, monkeypatch) as arrived:
        options = Options(image=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest(), yes=given == "nothing")
        if given == "drive":
            options = Options(drive=folder, image=str(file), board=board)
        assert flash.flash(options) == 0
    assert arrived == [file.read_bytes()]
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "MicroPython v1.27.0 is on the board at /dev/ttyACM7",
        "next: tagonode deploy node.toml --port /dev/ttyACM7",
    ]
    assert "firmware-1.27.uf2: MicroPython v1.27.0 for" in said.err


@pytest.mark.parametrize("board, other", [("pico_w", "pico2_w"), ("pico2_w", "pico_w"), ("pico_w", "esp32s3")])
def test_an_image_of_another_family_is_refused(board, other, tmp_path, monkeypatch):
    file = tmp_path / "firmware"
    file.write_bytes(make(other))
    target, mine = firmware_image.TARGETS[other], firmware_image.TARGETS[board]
    with (
        pico(tmp_path / "drive", board, monkeypatch) as arrived,
        pytest.raises(ImageError, match=f"is for {target.chip}, but .* has an {mine.chip}: .*{mine.download}/"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(file), yes=True))
    assert not arrived and sorted(os.listdir(tmp_path / "drive")) == ["INDEX.HTM", "INFO_UF2.TXT"]


def test_a_drive_that_is_pulled_too_early(tmp_path, monkeypatch):
    folder = tmp_path / "drive"
    with pico(folder, "pico_w", monkeypatch):
        content = make("pico_w")
        (tmp_path / "x.uf2").write_bytes(content)
        write, written = os.write, []

        def pulled(file: int, data: bytes) -> int:
            if len(written) == 3:
                shutil.rmtree(folder)
                raise OSError(19, "No such device")
            written.append(len(data))
            return write(file, data)

        monkeypatch.setattr(flash.os, "write", pulled)
        words = rf"went away after 192 of {len(content) // 1024} KB \(No such device\): .*BOOTSEL"
        with pytest.raises(FlashError, match=words):
            flash.flash(Options(drive=folder, image=str(tmp_path / "x.uf2"), yes=True))


def test_a_board_that_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(flash, "_PATIENCE_S", 0.05)
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch, starts=False),
        pytest.raises(FlashError, match="took the image and did not start it: its drive is still at"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), yes=True))


def test_a_board_that_starts_without_a_port(tmp_path, monkeypatch):
    monkeypatch.setattr(flash, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(flash, "_new_port", lambda before: None)
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived,
        pytest.raises(FlashError, match="the image is written, but no port has come in 0.05 s: unplug the board"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), yes=True))
    assert arrived


def test_a_drive_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with pico(tmp_path / "drive", "pico_w", monkeypatch):
        (tmp_path / "drive" / "firmware.uf2").mkdir()
        with pytest.raises(FlashError, match=r"drive cannot be written to \(Is a directory\): mount it for your user"):
            flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), yes=True))


@pytest.mark.parametrize(
    "text, chip", [(INFO["pico_w"], "RP2040"), (INFO["pico2_w"], "RP2350"), ("Board-ID: SAMD21\n", None), ("", None)]
)
def test_drives_are_told_apart(text, chip, tmp_path):
    (tmp_path / "INFO_UF2.TXT").write_text(text)
    assert flash.drive_chip(tmp_path) == chip
    assert flash.drive_chip(tmp_path / "nothing") is None


def test_mounts_of_linux(monkeypatch):
    monkeypatch.undo()
    mounts = "proc /proc proc rw 0 0\n/dev/sda1 /media/me/RPI\\040RP2 vfat rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\n"
    monkeypatch.setattr(flash.Path, "read_text", lambda self, *how: mounts)
    assert list(flash._mounted()) == [Path("/media/me/RPI RP2")]


# ---- picotool


def picotool(folder: Path, monkeypatch, status: int = 0, chip: str = "RP2040") -> Path:
    """A program of that name that keeps what it is told, and a copy of what it is to load."""
    tool = folder / "picotool"
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/told\nlast=$(for each; do :; done; echo "$each")\n'
        f'[ "$1" = info ] && {{ echo " type: {chip}"; exit 0; }}\n[ -f "$last" ] && cp "$last" {folder}/loaded\n'
        f'[ {status} = 0 ] || echo "ERROR: no accessible device" >&2\nexit {status}\n'
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(flash.shutil, "which", lambda name: str(tool) if name == "picotool" else None)
    return tool


def test_picotool_where_it_is_installed(tmp_path, monkeypatch, capsys):
    picotool(tmp_path, monkeypatch)
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    monkeypatch.setattr(flash, "_new_port", lambda before: "/dev/ttyACM3")
    assert flash.flash(Options(board="pico_w", image=str(tmp_path / "x.uf2"), erase=True, yes=True)) == 0
    assert (tmp_path / "loaded").read_bytes() == make("pico_w")
    told = (tmp_path / "told").read_text().splitlines()
    assert told[-2] == "erase -a" and told[-1].startswith("load -v -x ")
    assert "next: tagonode deploy node.toml --port /dev/ttyACM3" in capsys.readouterr().out


def test_picotool_that_fails(tmp_path, monkeypatch):
    picotool(tmp_path, monkeypatch, status=7)
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with pytest.raises(FlashError, match="picotool load: ERROR: no accessible device: hold BOOTSEL"):
        flash.flash(Options(image=str(tmp_path / "x.uf2"), yes=True))


def test_erasing_a_pico_without_picotool(tmp_path, monkeypatch):
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived,
        pytest.raises(FlashError, match="--erase needs picotool for a Pico: install it, or .* connect PORT rm -r :$"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), erase=True, yes=True))
    assert not arrived


# ---- a Pico that runs MicroPython


class Prompt:
    """The board's prompt, as far as flash asks it."""

    def __init__(self, name: str):
        self.name = name
        self.in_raw_repl = True
        self.done: list[str] = []

    def eval(self, text: str) -> str:
        return self.name

    def exec_raw_no_follow(self, text: str) -> None:
        self.done.append(text)


def test_a_pico_that_runs_micropython_shows_its_drive(tmp_path, monkeypatch, capsys):
    prompt = Prompt("Raspberry Pi Pico 2 W with RP2350")
    monkeypatch.setattr(port, "board_at", lambda where: contextlib.nullcontext(prompt))
    (tmp_path / "x.uf2").write_bytes(make("pico2_w"))
    with pico(tmp_path / "drive", "pico2_w", monkeypatch) as arrived:
        options = Options(port="/dev/ttyACM7", board="pico2_w", image=str(tmp_path / "x.uf2"))
        assert flash.flash(options) == 0
    assert arrived and prompt.done == ["import machine; machine.bootloader()"] and not prompt.in_raw_repl
    assert "next: tagonode deploy node.toml --port /dev/ttyACM7" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, image, words",
    [
        ("Generic ESP32 module with ESP32", "pico_w", "/dev/ttyACM7 is no Pico, but a Generic ESP32 module"),
        ("Raspberry Pi Pico W with RP2040", "pico_w", "no drive came in 0.05 s: mount it, and name it with --drive"),
        ("Raspberry Pi Pico W with RP2040", "pico2_w", "x.uf2 is for RP2350, but this board"),
    ],
)
def test_a_pico_that_does_not(name, image, words, tmp_path, monkeypatch):
    monkeypatch.setattr(flash, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(port, "board_at", lambda where: contextlib.nullcontext(Prompt(name)))
    (tmp_path / "x.uf2").write_bytes(make(image))
    if image == "pico2_w":
        monkeypatch.setattr(flash, "_drives", lambda: [flash.Place("drive", "x", "RP2040", False)])
    with pytest.raises((FlashError, ImageError), match=words):
        flash.flash(Options(port="/dev/ttyACM7", board="pico_w", image=str(tmp_path / "x.uf2"), yes=True))


def test_a_pico_on_which_no_micropython_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(port, "_PROMPT_S", 0.1)
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    ours, line = pty.openpty()
    try:
        with pytest.raises(FlashError, match="no MicroPython answers at .*: hold the board's BOOTSEL .*--port out"):
            flash.flash(Options(port=os.ttyname(line), board="pico_w", image=str(tmp_path / "x.uf2"), yes=True))
    finally:
        os.close(ours)
        os.close(line)


# ---- the real esptool


@pytest.mark.parametrize("board", ESPS)
def test_esptool_recognises_the_chip_and_writes_the_image(board, tmp_path):
    """Into the memory of the ROM loader's stand-in, not a chip's flash: see this file's first lines."""
    target = firmware_image.TARGETS[board]
    content = make(board)
    (tmp_path / "x.bin").write_bytes(content)
    with RomLoader(target.chip) as rom:
        rom.flash[0x3F0000:] = b"q" * 0x10000
        done = run("--port", rom.port, "--image", tmp_path / "x.bin")
    assert done.returncode == 0, done.stderr
    start = target.offset
    assert rom.flash[start : start + len(content)] == content
    assert rom.flash[:start] == b"\xff" * start
    assert rom.flash[0x3F0000:] == b"q" * 0x10000 and rom.erased == 0  # settings and queue stay
    assert done.stdout.splitlines() == [
        f"MicroPython v1.27.0 is on the board at {rom.port}",
        f"next: tagonode deploy node.toml --port {rom.port}",
    ]
    assert "\x1b" not in done.stderr


def test_esptool_erases_when_it_is_told_to(tmp_path):
    (tmp_path / "x.bin").write_bytes(make("esp32s3"))
    with RomLoader("ESP32-S3") as rom:
        rom.flash[0x3F0000:] = b"q" * 0x10000
        asked = run("--port", rom.port, "--image", tmp_path / "x.bin", "--erase")
        assert asked.returncode == 2
        assert "This erases the whole board, its settings and its queue, too. " in asked.stderr
        assert "Say --yes to go on without being asked" in asked.stderr and rom.erased == 0
        done = run("--port", rom.port, "--image", tmp_path / "x.bin", "--erase", "--yes")
    assert done.returncode == 0, done.stderr
    assert rom.erased == 1 and rom.flash[0x3F0000:] == b"\xff" * 0x10000


@pytest.mark.parametrize(
    "chip, board, image, words",
    [
        ("ESP32-C3", "esp32s3", "esp32s3", "has an ESP32-C3, but --board esp32s3 an ESP32-S3: correct one of them"),
        ("ESP32-C3", None, "esp32s3", "x.bin is for ESP32-S3, but the board there has an ESP32-C3: .*GENERIC_C3/"),
        ("ESP32", "esp32", "pico_w", r"x.bin is for RP2040, but this board \(esp32\) has an ESP32: .*ESP32_GENERIC/"),
        ("ESP32-C6", None, "esp32c3", "has an ESP32-C6; TagoNode runs on esp32, esp32s3, esp32c3, pico_w, pico2_w"),
    ],
)
def test_the_wrong_image_for_the_chip(chip, board, image, words, tmp_path):
    (tmp_path / "x.bin").write_bytes(make(image))
    with RomLoader(chip) as rom:
        with pytest.raises((FlashError, ImageError), match=words):
            flash.flash(Options(port=rom.port, board=board, image=str(tmp_path / "x.bin"), yes=True))
        assert set(rom.flash) == {0xFF}


def test_a_uf2_for_an_esp32(tmp_path):
    content = make("pico_w").replace(struct.pack("<I", 0xE48BFF56), struct.pack("<I", 0xC47E5767))
    (tmp_path / "x.uf2").write_bytes(content)
    with RomLoader("ESP32-S3") as rom, pytest.raises(ImageError, match="x.uf2 is a UF2, .* takes the .bin"):
        flash.flash(Options(port=rom.port, image=str(tmp_path / "x.uf2"), yes=True))


def test_a_chip_that_does_not_answer(tmp_path, monkeypatch):
    (tmp_path / "x.bin").write_bytes(make("esp32"))
    run_it = flash._Esptool._run
    monkeypatch.setattr(flash._Esptool, "_run", lambda self, *said: run_it(self, "--connect-attempts", "1", *said))
    with RomLoader("ESP32") as rom:
        rom.deaf = True
        with pytest.raises(FlashError, match=f"no ESP32 answers at {rom.port}: hold its BOOT button"):
            flash.flash(Options(port=rom.port, image=str(tmp_path / "x.bin"), yes=True))


def test_a_flash_that_does_not_keep_what_it_is_sent(tmp_path):
    (tmp_path / "x.bin").write_bytes(make("esp32"))
    with RomLoader("ESP32") as rom:
        rom.flash[0x20000] = 0
        rom.forgets = True
        with pytest.raises(FlashError, match="what is on the flash now is not what was sent to .*: try again"):
            flash.flash(Options(port=rom.port, image=str(tmp_path / "x.bin"), yes=True))


@pytest.mark.parametrize(
    "said, words",
    [
        ("A fatal error occurred: Failed to connect to ESP32: No serial data received.", "no ESP32 answers at P: hold"),
        ("A fatal error occurred: Wrong boot mode detected (0x13)!", "no ESP32 answers at P: hold"),
        ("A fatal error occurred: MD5 of file does not match data in flash!", "is not what was sent to P: try again"),
        ("A fatal error occurred: Secure Boot V1 detected", r"the chip at P is locked \(Secure Boot V1 detected\)"),
        ("serial.serialutil.SerialException: device disconnected", "the board at P went away: check its cable"),
        ("A fatal error occurred: Something new", "esptool could not do it: Something new"),
        ("", "esptool could not do it: no reason given"),
    ],
    ids=range(7),
)
def test_what_esptool_says_in_other_words(said, words):
    assert re.search(words, flash._Esptool("P")._why(said))


# ---- which board


def place(way: str, where: str, chip: str | None = None, named: bool = False) -> flash.Place:
    return flash.Place(way, where, chip, named)


PICO_PORT = usb("/dev/ttyACM0", 0x2E8A, 5)
S3_PORT = usb("/dev/ttyACM1", 0x303A, 0x1001)
CP210X = usb("/dev/ttyUSB0", 0x10C4, 0xEA60)
GPS = usb("/dev/ttyUSB9", 0x1546, 0x01A7)
MODEM = usb("/dev/ttyS0", None, None)
BOOTSEL = usb("/dev/ttyACM5", 0x2E8A, 3)


@pytest.mark.parametrize(
    "ports, options, found",
    [
        ([GPS, CP210X, MODEM], Options(), place("esptool", "/dev/ttyUSB0")),
        ([S3_PORT, GPS], Options(), place("esptool", "/dev/ttyACM1")),
        ([PICO_PORT, BOOTSEL], Options(), place("prompt", "/dev/ttyACM0")),
        ([PICO_PORT, CP210X], Options(board="pico_w"), place("prompt", "/dev/ttyACM0")),
        ([PICO_PORT, CP210X], Options(board="esp32"), place("esptool", "/dev/ttyUSB0")),
        ([PICO_PORT], Options(port="/dev/ttyACM0"), place("prompt", "/dev/ttyACM0", None, True)),
        ([CP210X], Options(port="/dev/ttyUSB0"), place("esptool", "/dev/ttyUSB0", None, True)),
        ([], Options(port="/dev/ttyX", board="pico_w"), place("prompt", "/dev/ttyX", None, True)),
        ([], Options(port="/dev/ttyX"), place("esptool", "/dev/ttyX", None, True)),
    ],
    ids=range(9),
)
def test_the_board_that_is_meant(ports, options, found, monkeypatch):
    monkeypatch.setattr(flash.serial.tools.list_ports, "comports", lambda: ports)
    assert flash.find(options) == found


ANY = "no board is found. A Pico: hold its BOOTSEL button .*An ESP32: plug it in with a cable that carries data"


@pytest.mark.parametrize(
    "ports, options, error, words",
    [
        ([], Options(), FlashError, ANY),
        ([GPS], Options(), FlashError, ANY),
        ([], Options(board="pico_w"), FlashError, "no pico_w is found. a Pico: hold its BOOTSEL button"),
        ([CP210X], Options(board="pico2_w"), FlashError, r"no pico2_w is found \(there is /dev/ttyUSB0, which is none"),
        ([PICO_PORT], Options(board="esp32c3"), FlashError, "no esp32c3 is found .* an ESP32: plug it in with a cable"),
        (
            [CP210X, S3_PORT],
            Options(image="x"),
            WrongUse,
            r"there is more than one board \(/dev/ttyACM1, /dev/ttyUSB0\): say which with --port or --drive",
        ),
        ([], Options(drive=Path("/nowhere")), FlashError, "/nowhere is no drive of a Pico's bootloader: hold"),
        ([], Options(board="pico"), WrongUse, "--board pico: there is no such board to flash; there are esp32, "),
        ([], Options(port="x", drive=Path("y")), WrongUse, "--port and --drive exclude each other"),
        ([], Options(sha256="abc"), WrongUse, "--sha256 abc: a SHA-256 has 64 hexadecimal digits"),
        (
            [CP210X],
            Options(board="esp32"),
            WrongUse,
            "give --image .* is at https://micropython.org/download/ESP32_GENERIC/",
        ),
        (
            [],
            Options(),
            WrongUse,
            "give --image FILE or URL: MicroPython for your board is at https://micropython.org/",
        ),
        ([], Options(port="/dev/ttyNOWHERE9", image="x"), port.PortError, "there is no port /dev/ttyNOWHERE9"),
    ],
    ids=range(13),
)
def test_no_board_or_no_sense(ports, options, error, words, monkeypatch, tmp_path):
    monkeypatch.setattr(flash.serial.tools.list_ports, "comports", lambda: ports)
    if options.image is None and error is FlashError:
        options = Options(options.port, options.drive, options.board, str(tmp_path / "x"))
    with pytest.raises(error, match=words):
        flash.flash(options)


def test_a_drive_that_is_not_mounted(monkeypatch):
    monkeypatch.setattr(flash, "_unmounted", lambda: "/dev/disk/by-label/RP2350")
    with pytest.raises(FlashError, match="not mounted: udisksctl mount -b /dev/disk/by-label/RP2350, and try again"):
        flash.find(Options())


def test_where_the_image_is_for_the_board_that_is_there(tmp_path, monkeypatch):
    with pico(tmp_path / "drive", "pico2_w", monkeypatch), pytest.raises(WrongUse, match="download/RPI_PICO2_W/"):
        flash.flash(Options())


# ---- files and asking


def test_the_wrong_hash(tmp_path, monkeypatch):
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived,
        pytest.raises(ImageError, match="x.uf2 has another SHA-256 than you gave, [0-9a-f]{64}: nothing was written"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), sha256="0" * 64, yes=True))
    assert not arrived


@pytest.mark.parametrize("name, words", [("nothing", "No such file"), ("", "Is a directory|no firmware")])
def test_a_file_that_is_none(name, words, tmp_path, monkeypatch):
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch),
        pytest.raises(ImageError, match=f"{words}.*: name an image, or its URL"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / name), yes=True))


def test_a_file_that_is_too_large(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ImageError, match="is larger than 16 MB: it is no firmware image"):
        firmware_image.load(str(tmp_path / "x"))


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", "n\n", "\n", ""])
def test_it_asks_before_it_writes_to_a_board_that_nobody_named(answer, tmp_path, monkeypatch, capsys):
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    monkeypatch.setattr(flash.sys, "stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: answer))
    with pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived:
        options = Options(image=str(tmp_path / "x.uf2"))
        written = answer.lower().startswith("y")
        if written:
            assert flash.flash(options) == 0
        else:
            with pytest.raises(FlashError, match="nothing was written"):
                flash.flash(options)
    assert bool(arrived) == written
    assert f"Write x.uf2 to the RP2040 at {tmp_path / 'drive'}? [y/N]" in capsys.readouterr().err


def test_it_asks_when_the_image_does_not_say_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "x.uf2").write_bytes(make("pico_w", code=b"blink" * 1000))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived,
        pytest.raises(WrongUse, match="x.uf2 does not say that it is MicroPython. Write x.uf2 to the RP2040"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2")))
    assert not arrived


def test_yes_does_not_say_that_an_image_is_micropython(tmp_path, monkeypatch):
    (tmp_path / "x.uf2").write_bytes(make("pico_w", code=b"blink" * 1000))
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch) as arrived,
        pytest.raises(WrongUse, match="x.uf2 does not say that it is MicroPython, and --yes does not answer for that"),
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=str(tmp_path / "x.uf2"), yes=True))
    assert not arrived


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@example.com/x.uf2", "http://hunter2@example.com/x.uf2"], ids=["https", "http"]
)
def test_a_url_with_a_password_is_not_repeated(url, tmp_path, monkeypatch, capsys):
    with (
        pico(tmp_path / "drive", "pico_w", monkeypatch),
        pytest.raises(ImageError, match="the image's URL holds a user or a password: give one that wo") as caught,
    ):
        flash.flash(Options(drive=tmp_path / "drive", image=url, yes=True))
    assert "hunter2" not in str(caught.value) + "".join(capsys.readouterr())


def test_a_drive_that_is_full(tmp_path, monkeypatch):
    """At its last piece, too, where any other error is the board that starts."""
    (tmp_path / "INFO_UF2.TXT").write_text(INFO["pico_w"])
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(flash.os, "fsync", full)
    with pytest.raises(FlashError, match=r"is full after 0 of \d+ KB: the board has no whole MicroPython now"):
        flash._copy(firmware_image.load(str(tmp_path / "x.uf2")), tmp_path, lambda size: None)


# ---- the command


def test_the_commands_own_words(tmp_path):
    (tmp_path / "x.uf2").write_bytes(make("pico_w"))
    (tmp_path / "INFO_UF2.TXT").write_text(INFO["pico2_w"])
    done = run("--drive", tmp_path, "--image", tmp_path / "x.uf2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "x.uf2 is for RP2040, but the board there has an RP2350: take the image from" in done.stderr
    done = run("--board", "pico")
    assert done.returncode == 2 and done.stderr.startswith("--board pico: there is no such board to flash")
    done = run("--drive", tmp_path, "--image", tmp_path / "x.uf2", "--sha256", "abc")
    assert done.returncode == 2 and done.stderr.startswith("--sha256 abc: a SHA-256 has 64 hexadecimal digits")
    done = run("--drive", tmp_path, "--image", tmp_path / "x.uf2", "--sha256", "0" * 64)
    assert done.returncode == 1 and "x.uf2 has another SHA-256 than you gave" in done.stderr
    done = run("--help")
    assert done.returncode == 0 and "Example: tagonode flash" in done.stdout


def test_a_port_in_use(tmp_path):
    (tmp_path / "x.bin").write_bytes(make("esp32"))
    with RomLoader("ESP32") as rom, port.serial.Serial(rom.port, exclusive=True):
        done = run("--port", rom.port, "--image", tmp_path / "x.bin")
    assert done.returncode == 1 and f"{rom.port} is in use by another program: close it" in done.stderr


def test_no_permission(tmp_path, monkeypatch):
    (tmp_path / "port").write_text("")
    (tmp_path / "x.bin").write_bytes(make("esp32"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(port.PortError, match=r"no permission to open .*sudo usermod -aG"):
        flash.flash(Options(port=str(tmp_path / "port"), image=str(tmp_path / "x.bin"), yes=True))


@pytest.mark.parametrize("board", ESPS)
def test_images_of_the_tests_are_images_to_esptool(board, tmp_path):
    """The application in them, whole with checksum and SHA-256, by esptool's own reader."""
    target = firmware_image.TARGETS[board]
    (tmp_path / "x.bin").write_bytes(make(board)[0x10000 - (target.offset or 0) :])
    chip = target.chip.lower().replace("-", "")
    esptool = boards.MPREMOTE.parent / "esptool"
    done = commands.run(esptool, "--chip", chip, "image-info", tmp_path / "x.bin", timeout=60)
    assert done.returncode == 0 and "(valid)" in done.stdout and "(invalid" not in done.stdout
