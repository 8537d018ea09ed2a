"""Every board's module: the same names, nothing touched on import, the port's own limits kept."""

import sys

import machine
import network

import pytest
from harness import chips

BOARDS = ("pico_w", "pico2_w", "esp32", "esp32s3", "esp32c3", "virtual")
NAMES = {
    "ADC",
    "BUSES",
    "NAME",
    "WATCHDOG_MAX_MS",
    "WIFI_WAITS",
    "bus",
    "led",
    "recover",
    "reset",
    "reset_cause",
    "rtc_memory",
    "rtc_ms",
    "set_rtc",
    "sleep",
    "temperature",
    "unique_id",
    "watchdog",
    "wifi",
    "wifi_off",
    "wifi_problem",
}
# what boards are made of
INSIDE = {"ADC_OPTIONS", "WATCHDOG_REASON", "WIFI_PROBLEMS", "const", "machine", "network", "sys", "time"}
CHIPS = {"pico_w": "rp2", "pico2_w": "rp2350"}  # others are called as their chip
PICOS = ("pico_w", "pico2_w")
ESP32S = ("esp32", "esp32s3", "esp32c3")


def load(name):
    """The board's module, fresh, and what it is made of."""
    for each in list(sys.modules):
        if each.split(".")[0] == "boards":
            del sys.modules[each]
    __import__("boards." + name)
    return sys.modules["boards." + name]


def on(boards, **options):
    """(board, chips) pairs for parametrize: the module's name, and a world with its chip."""
    return pytest.mark.parametrize(
        "board, chips", [(name, chips(port=CHIPS.get(name, name), **options)) for name in boards], ids=list(boards)
    )


def on_each_board(**options):
    return on(BOARDS, **options)


@pytest.mark.parametrize("name", BOARDS)
def test_importing_touches_nothing_and_gives_the_names_of_all(name):
    # no hardware is wired up in this test: a touch would raise
    module = load(name)
    public = [each for each in dir(module) if not each.startswith("_")]
    assert set(public) - INSIDE == NAMES
    assert name == module.NAME


@on_each_board()
def test_watchdog_is_clamped_and_fed(board, chips):
    module = load(board)
    feed = module.watchdog(1000)
    assert chips.watchdog()["watchdog_s"] == 1
    feed()
    module.watchdog(30000)
    assert chips.watchdog()["watchdog_s"] == min(30, module.WATCHDOG_MAX_MS / 1000)
    module.watchdog(10**9)
    assert chips.watchdog()["watchdog_s"] == module.WATCHDOG_MAX_MS / 1000


@pytest.mark.parametrize("name", BOARDS)
def test_the_limit_of_the_watchdog(name):
    module = load(name)
    if name in PICOS:
        assert module.WATCHDOG_MAX_MS == 8388
    else:
        assert module.WATCHDOG_MAX_MS >= 60000


@pytest.mark.parametrize("unix_s", (1767225600, 1772323199, 1772323200, 4102444799))
@on_each_board()
def test_rtc(board, chips, unix_s):
    import time

    load(board).set_rtc(unix_s)
    year, month, day, weekday, hours, minutes, seconds, _ = machine.RTC().datetime()
    t = time.gmtime(unix_s)
    assert (year, month, day, weekday, hours, minutes) == (t[0], t[1], t[2], t[6], t[3], t[4])
    assert seconds in (t[5], t[5] + 1)


@chips(port="esp32")
def test_rtc_of_a_port_that_counts_from_2000(chips):
    import time

    class Time:
        gmtime = staticmethod(lambda seconds: time.gmtime(seconds + 946684800))

    module = load("esp32")
    sys.modules["boards._port"].time = Time
    module.set_rtc(1767225600)
    assert machine.RTC().datetime()[:6] == (2026, 1, 1, 3, 0, 0)


PINS = {  # bus: unit, scl, sda
    "pico_w": {"i2c0": (5, 4), "i2c1": (7, 6), "battery": 26, "one": "gp22", "two": "gp20,gp21", "adc": "gp27"},
    "pico2_w": {"i2c0": (5, 4), "i2c1": (7, 6), "battery": 26, "one": "gp22", "two": "gp20,gp21", "adc": "gp27"},
    "esp32": {
        "i2c0": (22, 21),
        "i2c1": (32, 33),
        "battery": 34,
        "one": "gpio4",
        "two": "gpio18,gpio19",
        "adc": "gpio39",
    },
    "esp32s3": {"i2c0": (9, 8), "i2c1": (16, 15), "battery": 1, "one": "gpio4", "two": "gpio6,gpio7", "adc": "gpio10"},
    "esp32c3": {"i2c0": (6, 5), "battery": 4, "one": "gpio3", "two": "gpio0,gpio1", "adc": "gpio3"},
    "virtual": {"i2c0": (1, 0), "i2c1": (3, 2), "battery": 6, "one": "gpio20", "two": "gpio21,gpio22", "adc": "gpio15"},
}
VOLTS = {26: 1.9, 34: 1.9, 1: 1.9, 4: 1.9, 6: 1.9, 27: 2.4, 39: 2.4, 10: 2.4, 3: 2.4, 15: 2.4}


@on_each_board(networks={"field": "PASSWORD-5678"}, adc=VOLTS)
def test_fixed_buses(board, chips):
    module = load(board)
    assert set(PINS[board]) & {"i2c0", "i2c1"} == set(module.BUSES) & {"i2c0", "i2c1"}
    assert module.bus("i2c0").scan() == [0x76]
    if "i2c1" in module.BUSES:
        assert module.bus("i2c1").scan() == []
    assert module.bus("uart1").any() == 0
    # to within a step of 12 bits of what can be measured
    assert module.bus("battery").read_u16() * 3.3 / 65535 == pytest.approx(1.9, abs=0.001)
    module.wifi().active(True)
    assert module.bus("wifi").active()
    assert module.bus("battery").read_u16() * 3.3 / 65535 == pytest.approx(1.9, abs=0.001)


@on_each_board(adc=VOLTS)
def test_buses_on_pins(board, chips):
    module = load(board)
    pin = module.bus("pin:" + PINS[board]["one"])
    assert isinstance(pin, machine.Pin)
    pin.init(machine.Pin.OUT, value=1)
    assert chips.pin(PINS[board]["one"].lstrip("gpio")) == 1
    two = module.bus("pins:" + PINS[board]["two"])
    assert isinstance(two, tuple) and len(two) == 2
    two[1].init(machine.Pin.OUT, value=1)
    first, second = PINS[board]["two"].split(",")
    assert (chips.pin(first.lstrip("gpio")), chips.pin(second.lstrip("gpio"))) == (None, 1)
    wire = module.bus("onewire:" + PINS[board]["one"])
    assert wire.reset() is False
    assert module.bus("adc:" + PINS[board]["adc"]).read_u16() * 3.3 / 65535 == pytest.approx(2.4, abs=0.001)


WRONG_BUSES = ("uart9", "i2c2", "spi:gp3", "gp22", "", "adc", "pin:")


@pytest.mark.parametrize("name", WRONG_BUSES)
@on_each_board()
def test_a_bus_that_is_not_there(board, chips, name):
    with pytest.raises(ValueError):
        load(board).bus(name)


NO_ADC = (("pico_w", "gp22"), ("esp32", "gpio25"), ("esp32s3", "gpio11"), ("esp32c3", "gpio5"), ("virtual", "gpio31"))


@pytest.mark.parametrize(
    "board, chips, pin",
    [(name, chips(port=CHIPS.get(name, name)), pin) for name, pin in NO_ADC],
    ids=[n for n, _ in NO_ADC],
)
def test_a_pin_that_cannot_be_measured(board, chips, pin):
    with pytest.raises(ValueError, match=pin + " cannot be measured while Wi-Fi is on"):
        load(board).bus("adc:" + pin)


@on(PICOS, adc={29: 1.3}, networks={"field": "PASSWORD-5678"})
def test_the_supply_of_a_pico_beside_its_radio(board, chips):
    import time

    from drivers.battery import BATTERY

    module = load(board)
    radio = module.wifi()
    radio.active(True)
    radio.connect("field", "PASSWORD-5678")
    vsys = module.bus("vsys")
    for _ in range(20):
        assert vsys.read_uv() == pytest.approx(3900000, abs=3000)
        time.sleep_ms(5)
    assert radio.isconnected()
    # the driver knows that nothing is left to divide
    (volts,) = BATTERY(vsys).measure()
    assert volts == pytest.approx(3.9, abs=0.003)
    assert BATTERY(vsys, ratio=2.0).measure()[0] == pytest.approx(7.8, abs=0.006)
    assert chips.interrupts()


@on_each_board()
def test_a_bus_that_is_held_is_freed(board, chips):
    module = load(board)
    i2c = module.bus("i2c0")
    assert i2c.scan() == [0x76]
    for clocks in (1, 5, 9):
        chips.bus("hold_sda", clocks)
        with pytest.raises(OSError):
            i2c.readfrom_mem(0x76, 0xD0, 1)
        assert module.recover("i2c0") is True
        # who has the bus goes on using it
        assert i2c.readfrom_mem(0x76, 0xD0, 1) == b"\x60"


@on_each_board()
def test_a_bus_that_is_free_is_left_alone(board, chips):
    module = load(board)
    i2c = module.bus("i2c0")
    scl, sda = PINS[board]["i2c0"]
    assert module.recover("i2c0") is False
    assert (chips.pin(scl), chips.pin(sda)) == (None, None)
    assert i2c.scan() == [0x76]


@on_each_board()
def test_a_bus_that_is_shorted_is_given_up_soon(board, chips):
    module = load(board)
    module.bus("i2c0")
    chips.switch("stuck")
    assert module.recover("i2c0") is True
    with pytest.raises(OSError):
        module.bus("i2c0").readfrom_mem(0x76, 0xD0, 1)
    chips.switch("stuck", False)
    assert module.bus("i2c0").scan() == [0x76]


class Spooled:
    """In the place of a spool: keeps the readings of each sample."""

    def __init__(self):
        self.samples = []

    def append(self, values, time=None, mono=0):
        self.samples.append(list(values))


@on(("pico_w", "esp32"))
async def test_a_sampler_loses_a_sample_to_a_stuck_bus_and_goes_on(board, chips):
    from agentworld import Console

    from agent.clock import Clock
    from agent.log import Log
    from agent.sampler import Sampler, Sensor
    from agent.supervisor import Pulse
    from drivers.bme280 import BME280

    console, spool = Console(), Spooled()
    log = Log("info", console)
    rows = (("t", "°C", 2), ("h", "%", 2), ("p", "hPa", 2))
    sensor = Sensor("bme280", BME280, load(board), "i2c0", None, rows)

    def committed(urgent):
        if len(spool.samples) == 2:
            chips.bus("hold_sda")

    clock = Clock(1767225600, lambda second: None, log)
    await Sampler([sensor], spool, clock, 120, 5, 0, log, committed).run(Pulse("sampler"))
    assert len(spool.samples) == 5 and not [sample for sample in spool.samples if None in sample]
    assert console.text().count("; bus freed") == 1, console.text()
    assert console.text().count("bme280 works again") == 1


@pytest.mark.parametrize("name", ("uart1", "battery", "wifi", "pin:gp3", "i2c7", "i2c", "nonesuch"))
@on_each_board()
def test_only_a_bus_can_be_stuck(board, chips, name):
    assert load(board).recover(name) is False


@on(("pico_w", "pico2_w", "esp32", "esp32s3", "virtual"))
def test_the_other_bus_is_not_disturbed(board, chips):
    module = load(board)
    first, second = module.bus("i2c0"), module.bus("i2c1")
    chips.bus("hold_sda", 9, unit=1)
    assert module.recover("i2c0") is False
    assert first.scan() == [0x76]
    assert module.recover("i2c1") is True
    assert first.scan() == [0x76]
    assert second.scan() == []


NETWORKS = {"field": "PASSWORD-5678"}
FAILURES = (("field", "wrong", "wrong password"), ("elsewhere", "PASSWORD-5678", "no such network in reach"))


@pytest.mark.parametrize("ssid, key, words", FAILURES, ids=("password", "network"))
@on(PICOS + ESP32S, networks=NETWORKS)
def test_why_wifi_failed(board, chips, ssid, key, words):
    import time

    module = load(board)
    radio = module.wifi()
    radio.active(True)
    radio.connect(ssid, key)
    assert radio.status() in module.WIFI_WAITS
    for _ in range(200):
        if radio.status() not in module.WIFI_WAITS:
            break
        time.sleep_ms(5)
    assert not radio.isconnected()
    assert module.wifi_problem(radio.status()) == words
    radio.connect("field", "PASSWORD-5678")
    for _ in range(200):
        if radio.isconnected():
            break
        time.sleep_ms(5)
    assert radio.status() in module.WIFI_WAITS


@on_each_board()
def test_other_states_of_wifi(board, chips):
    module = load(board)
    # a number that nobody knows is said as it is
    assert module.wifi_problem(12345) == "status 12345"
    if board != "virtual":
        assert module.wifi_problem(1001 if board in ESP32S else 1) == "no answer"


POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5
CAUSES = {
    "rp2": {POWER_ON: "power on", HARD: "reset", WATCHDOG: "watchdog", DEEP_SLEEP: "reset"},
    "others": {
        POWER_ON: "power on",
        HARD: "reset",
        WATCHDOG: "watchdog",
        DEEP_SLEEP: "deep sleep",
        SOFT: "soft reset",
    },
}


@on_each_board()
def test_why_it_started(board, chips):
    module = load(board)
    assert module.reset_cause() == "power on"
    for cause, words in CAUSES["rp2" if board in PICOS else "others"].items():
        chips.cause(cause)
        assert module.reset_cause() == words


@on_each_board()
def test_who_it_is(board, chips):
    assert len(load(board).unique_id()) == (6 if board in ESP32S else 8)


LIGHTS = {
    "pico_w": (254, 1),
    "pico2_w": (254, 1),
    "esp32": (2, 1),
    "esp32s3": (48, 1),
    "esp32c3": (8, 0),
    "virtual": (None, None),
}


@on_each_board()
def test_light(board, chips):
    module = load(board)
    pin, lit = LIGHTS[board]
    for on in (True, False, True):
        module.led(on)
        assert chips.pin(pin) == (None if lit is None else lit if on else 1 - lit)


@on_each_board()
def test_temperature_of_the_cpu(board, chips):
    module = load(board)
    for celsius in (-20.0, 27.0, 61.0):
        chips.celsius(celsius)
        if board == "virtual":
            assert module.temperature() is None
        else:
            assert module.temperature() == pytest.approx(celsius, abs=0.6)


@on_each_board()
def test_memory_that_survives(board, chips):
    memory = load(board).rtc_memory()
    if board in PICOS:
        assert memory is None
        return
    assert memory() == b""
    memory(b"sequence 17")
    assert memory() == b"sequence 17"
    with pytest.raises(ValueError):
        memory(bytes(2049))


@on(ESP32S + ("virtual",), networks=NETWORKS)
def test_deep_sleep_does_not_touch_the_radio(board, chips):
    module = load(board)

    def touched(*arguments):
        raise AssertionError("it would be started")

    real, network.WLAN = network.WLAN, touched
    try:
        with pytest.raises(SystemExit):
            module.sleep(90000, None)
    finally:
        network.WLAN = real
    assert chips.resets() == ["deepsleep"]
    assert chips.slept() == 90000


class Ticks:
    """In the place of time: it passes by sleeping alone, and wraps during the second sleep."""

    def __init__(self, lightsleep):
        self.ms = 0
        self.said = []
        self.lightsleep = lightsleep

    def ticks_ms(self):
        return (self.ms - 7000) % (1 << 30)

    def ticks_add(self, ticks, ms):
        return (ticks + ms) % (1 << 30)

    def ticks_diff(self, a, b):
        return (a - b + (1 << 29)) % (1 << 30) - (1 << 29)

    def sleep_ms(self, ms):
        self.said.append(("waits", ms))
        self.ms += ms

    def sleep_lightly(self, ms):
        self.said.append(("sleeps", ms))
        self.ms += self.lightsleep(ms)

    def feed(self):
        self.said.append("fed")


@on(PICOS, networks=NETWORKS)
@pytest.mark.parametrize(
    "lightsleep, said",
    (
        (lambda ms: ms, ["fed", ("sleeps", 6000), "fed", ("sleeps", 6000), "fed", ("sleeps", 3000), "fed"]),
        # a millisecond late is no millisecond more
        (lambda ms: ms + 1, ["fed", ("sleeps", 6000), "fed", ("sleeps", 6000), "fed", ("sleeps", 2998), "fed"]),
        # as MicroPython 1.24 on a Pico W
        (
            lambda ms: 0,
            ["fed", ("sleeps", 6000), ("waits", 6000)] * 2 + ["fed", ("sleeps", 3000), ("waits", 3000), "fed"],
        ),
    ),
    ids=["sleeps", "late", "at once"],
)
def test_a_pico_sleeps_in_pieces_that_its_watchdog_allows(board, chips, lightsleep, said):
    module = load(board)
    module.wifi().active(True)
    rp2 = sys.modules["boards._rp2"]
    ticks = Ticks(lightsleep)
    real, machine.lightsleep, rp2.time = machine.lightsleep, ticks.sleep_lightly, ticks
    try:
        module.sleep(15000, ticks.feed)
    finally:
        machine.lightsleep = real
    assert ticks.said == said
    assert 15000 <= ticks.ms <= 15001
    assert not module.wifi().active()
    assert chips.resets() == []


@on(PICOS, networks=NETWORKS)
def test_a_pico_sleeps_beside_a_radio_that_does_not_answer(board, chips):
    module = load(board)
    rp2 = sys.modules["boards._rp2"]
    ticks = Ticks(lambda ms: ms)

    def hangs():
        raise OSError(5, "the radio does not answer")

    real, machine.lightsleep, rp2.time, rp2.wifi_off = machine.lightsleep, ticks.sleep_lightly, ticks, hangs
    try:
        module.sleep(6000, ticks.feed)
    finally:
        machine.lightsleep = real
    assert ticks.said == ["fed", ("sleeps", 6000), "fed"]


@on(ESP32S + ("virtual",))
def test_the_clock_that_goes_on_in_sleep(board, chips):
    module = load(board)
    before = module.rtc_ms()
    assert before > 10**9 and 0 <= module.rtc_ms() - before < 10000


@on_each_board()
def test_reset_does_not_return(board, chips):
    with pytest.raises(SystemExit):
        load(board).reset()
    assert chips.resets() == ["hard"]
