"""What a config is said to cost, against the parts that cost it: encoder, uplink, queue on littlefs, build."""

import json
import math
import random
import sys
import tomllib
from pathlib import Path

from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import pytest
from bench import spool as wear
from harness import commands
from tagonode import build, config, estimate, places
from tagonode.device import settings as device_settings
from tagonode.virtual import image

TAGONODE = Path(sys.executable).parent / "tagonode"
PICO = estimate.Flash(848 * 1024, 256)
ESP32 = estimate.Flash(2048 * 1024, 32)
BASE = """
board = "pico_w"
[wifi]
networks = ["field"]
[health]
every = 0
[[sensors]]
driver = "bme280"
bus = "i2c0"
[[sensors]]
driver = "battery"
bus = "battery"
[[sensors]]
driver = "rssi"
bus = "wifi"
"""


def load(text: str) -> estimate.Load:
    """Of a node.toml."""
    return estimate.load_of(config.check(tomllib.loads(text), "node.toml").device_settings("", "", 0))


def figures(text: str, flash: estimate.Flash = PICO) -> estimate.Estimates:
    return estimate.estimate(load(text), flash)


# ---- records and requests: text in BASE and what stands in its place, samples, records and requests a month
MONTH = 30 * 24 * 60
COUNTS = {
    "every minute": ("", "", MONTH, 5 * MONTH, MONTH / 5),
    "an upload a sample": ("[wifi]", "[upload]\nevery = 0\n[wifi]", MONTH, 5 * MONTH, MONTH),
    "uploads oftener than samples": ("[wifi]", "[upload]\nevery = 1\n[wifi]", MONTH, 5 * MONTH, MONTH),
    "an upload of ten samples": (
        "[wifi]",
        "[upload]\nevery = 3600\nsamples = 10\n[wifi]",
        MONTH,
        5 * MONTH,
        MONTH / 10,
    ),
    "a day's body is cut in pieces of 32 KB": ("[wifi]", "[upload]\nevery = 86400\n[wifi]", MONTH, 5 * MONTH, 30 * 24),
    "one of a slower sensor": ('bus = "wifi"', 'bus = "wifi"\nevery = 3600', MONTH, 4 * MONTH + 720, MONTH / 5),
    "one of a faster sensor, of more than a body": (
        'bus = "wifi"',
        'bus = "wifi"\nevery = 1',
        60 * MONTH,
        4 * MONTH + 60 * MONTH,
        2 * MONTH / 5,
    ),
    "intervals that meet seldom": (
        'bus = "wifi"',
        'bus = "wifi"\nevery = 90',
        # of three minutes, points at 0, 60, 90 and 120 s
        MONTH / 3 * 4,
        4 * MONTH + MONTH * 60 / 90,
        MONTH / 5,
    ),
    "a window": (
        'bus = "wifi"',
        'bus = "wifi"\n[sensors.channels.rssi]\nfilters = [{window = "mean", every = 600}]',
        MONTH,
        4 * MONTH + MONTH / 10,
        MONTH / 5,
    ),
    "a reading of others": ("[wifi]", '[[derived]]\nformula = "dew_point"\n[wifi]', MONTH, 6 * MONTH, MONTH / 5),
    "how the node is": ("[health]\nevery = 0", "[health]\nevery = 3600", MONTH, 5 * MONTH + 11 * 720, MONTH / 5),
}


@pytest.mark.parametrize("old, new, samples, records, requests", COUNTS.values(), ids=COUNTS)
def test_records_and_requests(old, new, samples, records, requests):
    assert old in BASE
    found = figures(BASE.replace(old, new, 1))
    assert (found.samples, found.records, found.requests) == pytest.approx((samples, records, requests))


def test_a_filter_of_changes_is_reckoned_at_its_most():
    text = BASE + "[sensors.channels.rssi]\nfilters = [{delta = 3, heartbeat = 3600}]\n"
    assert figures(text).records == 5 * MONTH
    (how,) = [how for what, _, how in estimate.lines(load(text), figures(text)) if what == "records a month"]
    assert how.startswith("at most, as filters leave out what has not changed: 5 readings × 2,592,000 s ÷ 60 s; each")


def test_the_limits_are_tagoios():
    """250, 5,000 and 15,000 requests a minute; 50,000 records of a mutable device, 36 million of an immutable one."""
    found = figures(BASE)
    assert found.requests_a_minute == pytest.approx(0.2)
    assert found.nodes == {"Free": 1250, "Starter": 25000, "Scale": 75000}
    assert found.mutable_days == pytest.approx(50000 / 7200)
    assert found.immutable_years == pytest.approx(36e6 / 7200 / 365.25)


# ---- against what costs it


def test_bytes_of_a_record_are_the_encoders():
    from tagoio.records import EMPTY, Encoder

    class Sample:
        sequence = 262800
        time = 1767322800123
        location = metadata = None
        channels: tuple = ()
        values: tuple = ()

    for text in (BASE, BASE.replace('"bme280"', '"scd4x"'), BASE.replace('"bme280"', '"ina219"')):
        load_ = load(text)
        rows = config.check(tomllib.loads(text), "x").device_settings("", "", 0)["sensors"]
        sample = Sample()
        sample.channels = tuple(tuple(row) for sensor in rows for row in sensor["channels"])
        units = {unit: estimate._TYPICAL[unit] for _, unit, _ in sample.channels}
        sample.values = tuple(
            float(units[unit]) if decimals else int(units[unit]) for _, unit, decimals in sample.channels
        )
        written = Encoder("abcdef", bytearray(4096)).size(sample) - EMPTY
        reckoned = sum(reading.json_bytes for reading in load_.readings)
        # a float's last zeros are left out
        assert written <= reckoned <= written + 3 * len(sample.values)


def test_bytes_on_the_wire_are_those_of_a_run():
    """The counts of TLS's bytes are of a relay between a virtual board and the local TagoIO."""
    run = commands.run(
        *(TAGONODE, "simulate", "--samples", 60, "--sample-every", 0.05, "--upload-every", 600, "--json"), timeout=120
    )
    result = json.loads(run.stdout.splitlines()[-1])
    assert (result["readings"], result["requests"], result["handshakes"]) == (300, 1, 1), run.stderr
    size = figures(BASE).json_bytes / figures(BASE).records * 300
    reckoned = size * estimate.TLS_FACTOR + estimate.REQUEST_BYTES + estimate.CONNECTION_BYTES
    assert result["bytes_up"] + result["bytes_down"] == pytest.approx(reckoned, rel=0.12)


@pytest.mark.parametrize(
    "port, flash, commit, acknowledged",
    [("rp2", PICO, 1, 5), ("rp2", PICO, 6, 40), ("esp32", ESP32, 1, 40), ("esp32", ESP32, 1, 5)],
)
def test_erases_are_those_of_the_queue_on_littlefs(port, flash, commit, acknowledged):
    """As a mean over uploads of three sizes: the ring of slots may go round in step with one of them, and when all is
    acknowledged just as it is full, nothing moves and a fifth of the erases is saved.
    """
    measured, reckoned = [], []
    for samples in (acknowledged - 1, acknowledged, acknowledged + 1):
        measured.append(wear.measure(port, 5, commit, samples, 10000)["erases"] * 5 / 1000)
        # whose readings are integers of their decimals
        readings = tuple(estimate.Reading("x", 60.0, 60.0, 108, 2) for _ in range(5))
        found = estimate.estimate(estimate.Load(readings, samples * 60.0, 0, 32768, 393216, commit, 0.0), flash)
        assert found.samples_a_request == pytest.approx(samples)
        reckoned.append(found.erases_a_sample)
    assert sum(reckoned) == pytest.approx(sum(measured), rel=0.15)


@pytest.mark.parametrize("limit", [65536, 131072])
def test_the_queue_holds_what_is_said(tmp_path, limit):
    from spool import Spool

    text = BASE.replace("[wifi]", f"[queue]\nbytes = {limit}\n[wifi]", 1)
    said = figures(text).held_samples
    rows = config.check(tomllib.loads(text), "x").device_settings("", "", 0)["sensors"]
    channels = tuple(tuple(row) for sensor in rows for row in sensor["channels"])
    queue = Spool(str(tmp_path / "queue"), channels, limit=limit)
    least = math.inf
    drawn = random.Random(7)
    for n in range(3 * said):
        values = [drawn.uniform(*ends) for ends in ((20, 22), (50, 60), (1000, 1020), (3.7, 4.1))]
        # with the decimals that are sent, as the sampler stores them
        single = [round(value, decimals) for value, (*_, decimals) in zip(values, channels, strict=False)]
        queue.append((*single, -drawn.randrange(50, 80)), 1767322800000 + 60000 * n)
        if queue.counters.dropped:
            least = min(least, queue.samples_queued)
    assert said <= least <= 1.3 * said


@pytest.mark.parametrize("board", sorted(image.GEOMETRIES))
def test_flash_is_that_of_the_board(board):
    flash = config.flash_of(board)
    assert flash is not None and flash.program in estimate.WEAR
    assert flash.size == image.GEOMETRIES[board].blocks * image.BLOCK


def test_firmware_fits_in_what_is_set_aside_for_it(tmp_path):
    files = build.firmware_files("esp32", [*config.load(None).drivers, "scd4x", "ds18b20", "pms5003"])
    files |= {f"/roots/{n:02d}.der": bytes(1400) for n in range(6)}
    files |= dict.fromkeys((*device_settings.FILES, "/manifest.json"), bytes(5000))
    with image.mounted(tmp_path / "flash.img", image.GEOMETRIES["pico_w"]) as filesystem:
        image.write_tree(filesystem, files)
        used = filesystem.used_block_count * image.BLOCK
    assert 0.6 * estimate.FIRMWARE_BYTES < used <= estimate.FIRMWARE_BYTES


# ---- whatever the settings


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, 60), min_size=1, max_size=5))
def test_grids_meet_as_often_as_they_do(seconds):
    together = math.lcm(*seconds)
    assume(together <= 100_000)
    points = {point for each in seconds for point in range(0, together, each)}
    assert estimate._rate(seconds) == pytest.approx(len(points) / together)


READINGS = st.builds(
    estimate.Reading,
    st.just("x"),
    st.integers(1, 86400).map(float),
    st.just(86400.0),
    st.integers(80, 250),
    st.integers(1, 5),
)
LOADS = st.builds(
    estimate.Load,
    st.lists(READINGS, min_size=1, max_size=20).map(tuple),
    st.integers(0, 604800).map(float),
    st.integers(0, 100000),
    st.integers(2048, 200000),
    st.integers(65536, 400000),
    st.integers(1, 100),
    st.integers(0, 86400).map(float),
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(LOADS, st.sampled_from([PICO, ESP32]))
def test_figures_go_together(load, flash):
    found = estimate.estimate(load, flash)
    assert all(
        value > 0 and math.isfinite(value)
        for name, value in vars(found).items()
        if isinstance(value, float) and name != "connections"
    )
    assert found.samples <= found.records * 1.000001
    assert found.samples >= max(estimate.MONTH_S / reading.every_s for reading in load.readings) * 0.999999
    assert found.wire_bytes >= found.json_bytes
    # no body is larger than allowed
    assert found.json_bytes / found.requests <= load.body_bytes * 1.000001
    assert found.requests >= found.connections
    # a queue never holds more than its bytes
    assert found.held_samples * found.stored_bytes <= load.queue_bytes
    for what, figure, how in estimate.lines(load, found):
        assert what and figure and how and "nan" not in figure + how


@hypothesis_settings(max_examples=100, deadline=None)
@given(LOADS, st.integers(2, 10))
def test_less_work_costs_less(load, times):
    """Slower by a factor: fewer records and bytes, a longer life; and a longer outage is covered."""
    slow = estimate.Load(
        tuple(
            estimate.Reading(each.variable, each.every_s * times, each.seldom_s, each.json_bytes, each.stored_bytes)
            for each in load.readings
        ),
        load.upload_s * times,
        load.upload_samples,
        load.body_bytes,
        load.queue_bytes,
        load.commit_samples,
        load.commit_s * times,
    )
    before, after = estimate.estimate(load, PICO), estimate.estimate(slow, PICO)
    assert after.records * times == pytest.approx(before.records)
    assert after.requests * times == pytest.approx(before.requests)
    assert after.flash_years == pytest.approx(before.flash_years * times)
    assert after.outage_s == pytest.approx(before.outage_s * times)


TIMES = (
    (0.5, "0.5 s"),
    (59, "59 s"),
    (119, "119 s"),
    (120, "2 minutes"),
    (5400, "90 minutes"),
    (7200, "2 hours"),
    (172800, "2 days"),
    (31557600, "365 days"),
    (63115200, "2 years"),
    (3155760000, "100 years"),
)


@pytest.mark.parametrize("seconds, shown", TIMES)
def test_times_are_shown_in_the_unit_that_suits(seconds, shown):
    assert estimate.shown_time(seconds) == shown


def test_the_arithmetic_adds_up():
    """What is shown gives the figure, done again by hand."""
    found = figures(BASE)
    rows = {what: (figure, how) for what, figure, how in estimate.lines(load(BASE), found)}
    assert rows["records a month"] == ("216,000", "5 readings × 2,592,000 s ÷ 60 s; each is one data input of TagoIO's")
    assert 5 * 2592000 / 60 == 216000
    assert rows["requests a month"] == ("8,640", "one every 5 minutes, of 5 samples, 2.69 KB")
    assert rows["room at TagoIO"][0] == "13.7 years"
    figure, how = rows["flash life"]
    blocks, samples, erases = 16, 43200, 0.134
    assert f"{blocks} blocks beside firmware and a full queue × 100,000 erases each ÷ ({samples:,} samples" in how
    assert f" a month × {erases} erases" in how
    years = blocks * 100000 / (samples * erases) * 30 / 365.25
    assert float(figure.removesuffix(" years")) == pytest.approx(years, rel=0.01)
    figure, how = rows["outage covered"]
    assert how.startswith("13,293 samples of 22 bytes in a queue of 393,216 × 60 s")
    assert float(figure.removesuffix(" days")) == pytest.approx(13293 * 60 / 86400, rel=0.01)


def test_the_default_config_is_in_proportion():
    checked = config.load(places.DEFAULT_CONFIG)
    flash = config.flash_of(checked.board)
    assert flash is not None
    found = estimate.estimate(estimate.load_of(checked.device_settings("", "", 0)), flash)
    assert found.flash_years > 20 and found.outage_s > 7 * 86400
