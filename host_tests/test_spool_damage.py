"""A slice of the damage campaign: device reader and independent reader on flipped, cut and foreign bytes."""

import pytest
import spool.queue
from campaigns.spool_damage import campaign
from spool.records import Sample, Scan
from tagonode import spoolreader


@pytest.fixture(autouse=True)
def _own_os(monkeypatch):
    monkeypatch.setattr(spool.queue, "os", spool.queue.os)
    monkeypatch.setattr(spool.queue, "open", open, raising=False)


def test_a_slice_of_the_campaign():
    assert [f"{what}: {violation}" for what, violation in campaign(250, seed=1) if violation] == []


def make_folder(tmp_path):
    queue = spool.Spool(str(tmp_path / "spool"), (("temperature", "°C", 2), ("door", "", 0)))
    for i in range(400):
        queue.append([20 + i / 100, i % 2 == 0], 1767322800000 + i * 60000)
    queue.quarantine(3, 0, "refused")
    queue.ack(2)
    return tmp_path / "spool"


def test_a_folder_and_one_segment_are_shown(tmp_path, capsys):
    folder = make_folder(tmp_path)
    assert spoolreader.show(folder, json_lines=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('{"kind": "reading", "sequence": 3, "variable": "door", "value": true')
    assert '"queued": 795' in lines[-1] and '"quarantined": 1' in lines[-1]
    assert spoolreader.show(folder) == 0
    shown = capsys.readouterr().out
    assert "temperature" in shown and "refused" in shown
    alone = spoolreader.load(folder / "s1")
    assert alone.queued[0].sequence == 1
    assert spoolreader.show(tmp_path / "missing") == 1
    assert spoolreader.show(tmp_path) == 1
    assert "holds no spool" in capsys.readouterr().err


def test_damage_is_shown_with_its_place(tmp_path, capsys):
    folder = make_folder(tmp_path)
    data = bytearray((folder / "s1").read_bytes())
    data[2000] ^= 0xFF
    (folder / "s1").write_bytes(data)
    assert spoolreader.show(folder) == 0
    assert "damaged: s1, bytes " in capsys.readouterr().out
    assert len(spoolreader.load(folder).queued) == 397


def test_a_sample_before_any_context_is_not_good(tmp_path):
    folder = make_folder(tmp_path)
    data = (folder / "s1").read_bytes()
    scan = Scan(None, data, 1, 8)
    while scan.step() and not (scan.kind < 0x20 and scan.sample(sample := Sample()) and sample.sequence == 50):
        pass
    (folder / "s1").write_bytes(data[:8] + data[scan.start : scan.stop] + data[8:])
    found = [sample.sequence for sample in spool.Spool(str(folder), ()).peek()]
    assert found == [sample.sequence for sample in spoolreader.load(folder).queued] == list(range(3, 401))


def test_a_flash_image_is_read(tmp_path):
    from littlefs import LittleFS

    folder = make_folder(tmp_path)
    filesystem = LittleFS(block_size=4096, block_count=64)
    filesystem.mkdir("/spool")
    for path in folder.iterdir():
        with filesystem.open(f"/spool/{path.name}", "wb") as f:
            f.write(path.read_bytes())
    image = tmp_path / "flash.bin"
    image.write_bytes(filesystem.context.buffer)
    assert len(spoolreader.load(image).queued) == 398
