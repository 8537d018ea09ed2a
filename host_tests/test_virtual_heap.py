"""A virtual board's heap is its board's: what the fakes keep of it, which is firmware on a board, comes on top."""

import threading

import pytest
from tagonode import build, places
from tagonode.virtual import board, image, wiring

MAIN = b"import gc\ngc.collect()\nprint('fakes', gc.mem_alloc(), gc.mem_free())\n"
BARE = 1024  # bytes that the interpreter itself has allocated


@pytest.mark.parametrize("name", sorted(image.GEOMETRIES))
def test_what_the_fakes_keep(name, tmp_path):
    guest = tmp_path / "guest"
    guest.mkdir()
    for source in places.GUEST.glob("*.py"):
        (guest / f"{source.stem}.mpy").write_bytes(build.compile_module(source, source.stem))
    flash, geometry = tmp_path / "flash.img", image.GEOMETRIES[name]
    with image.mounted(flash, geometry) as files:
        image.write_tree(files, {"/boot.py": b"", "/main.py": MAIN})
    hardware = wiring.build_hardware(name, [], {}, "127.0.0.1:53", serial="x", seed=1)
    said: list[str] = []
    heard = threading.Event()

    def take(line: str) -> None:
        said.append(line)
        heard.set()

    virtual = board.VirtualBoard(flash, geometry, hardware, 128, guest, take)
    virtual.power_on()
    try:
        assert heard.wait(20), said
    finally:
        virtual.power_cut()
    word, kept, free = said[0].split()
    assert word == "fakes"
    fakes = (int(kept) - BARE) / 1024 - board.NAMES_KIB
    assert abs(fakes - board.FAKES_KIB) < 2, f"FAKES_KIB has to be {fakes:.1f}"
    assert int(free) > (122 - board.NAMES_KIB) * 1024  # what is left is the collector's own table
