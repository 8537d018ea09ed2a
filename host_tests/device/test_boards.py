"""Every board's module: the same names, nothing touched on import, the port's own limits kept."""

import sys

import machine

import pytest
from harness import chips

BOARDS = ("pico_w", "esp32")
NAMES = {
    "BUSES",
    "NAME",
    "WATCHDOG_MAX_MS",
    "bus",
    "led",
    "reset",
    "reset_cause",
    "set_rtc",
    "unique_id",
    "watchdog",
    "wifi",
    "wifi_problem",
}
PORTS = {"pico_w": "rp2", "esp32": "esp32"}


def load(name):
    """The board's module, fresh: it keeps the buses it has made."""
    sys.modules.pop("boards." + name, None)
    __import__("boards." + name)
    return sys.modules["boards." + name]


def on_each_board(**options):
    """(board, chips) pairs for parametrize: the module's name, and a world of its port."""
    return pytest.mark.parametrize(
        "board, chips", [(name, chips(port=PORTS[name], **options)) for name in BOARDS], ids=BOARDS
    )


@pytest.mark.parametrize("name", BOARDS)
def test_importing_touches_nothing_and_gives_the_names_of_all(name):
    # no hardware is wired up in this test: a touch would raise
    module = load(name)
    public = [each for each in dir(module) if not each.startswith("_")]
    assert set(public) - {"const", "machine", "network", "time"} == NAMES
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


def test_the_limit_of_an_rp2040():
    module = load("pico_w")
    assert module.WATCHDOG_MAX_MS == 8388


@on_each_board(networks={"field": "PASSWORD-5678"}, adc={26: 1.9, 34: 1.9})
def test_buses(board, chips):
    module = load(board)
    for name in ("i2c0", "i2c1", "battery", "wifi"):
        assert module.bus(name) is module.bus(name)
    assert module.bus("i2c0").scan() == [0x76]
    assert module.bus("i2c1").scan() == []
    assert module.bus("battery").read_uv() == 1900000
    assert module.wifi() is module.bus("wifi")
    with pytest.raises(ValueError, match="no bus uart9"):
        module.bus("uart9")


@on_each_board(networks={"field": "PASSWORD-5678"})
def test_wifi(board, chips):
    module = load(board)
    radio = module.wifi()
    radio.active(True)
    radio.connect("field", "wrong")
    import time

    for _ in range(200):
        if radio.status() != 1:
            break
        time.sleep_ms(5)
    assert not radio.isconnected()
    # a number that nobody knows is said as it is
    assert module.wifi_problem(12345) == "status 12345"
    wrong = {"pico_w": -3, "esp32": 202}[board]
    assert module.wifi_problem(wrong) == "wrong password"


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
    real = sys.modules.get("time")
    sys.modules["time"] = Time
    try:
        module.set_rtc(1767225600)
    finally:
        sys.modules.pop("time")
        if real:
            sys.modules["time"] = real
    assert machine.RTC().datetime()[:6] == (2026, 1, 1, 3, 0, 0)


@on_each_board()
def test_who_and_why(board, chips):
    module = load(board)
    assert module.reset_cause() == "power on"
    assert len(module.unique_id()) == 8
    module.led(True)
    module.led(False)


@on_each_board()
def test_reset_does_not_return(board, chips):
    with pytest.raises(SystemExit):
        load(board).reset()
    assert chips.resets() == ["hard"]
