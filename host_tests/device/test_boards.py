"""Every board's module: the same names, nothing touched on import, the port's own limits kept."""

import sys

import machine

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
    "deep_sleep",
    "led",
    "recover",
    "reset",
    "reset_cause",
    "rtc_memory",
    "set_rtc",
    "temperature",
    "unique_id",
    "watchdog",
    "wifi",
    "wifi_problem",
}
# what boards are made of
INSIDE = {"ADC_OPTIONS", "WATCHDOG_REASON", "WIFI_PROBLEMS", "const", "machine", "network", "time"}
PORTS = {"pico_w": "rp2", "pico2_w": "rp2"}


def load(name):
    """The board's module, fresh, and what it is made of."""
    for each in list(sys.modules):
        if each.startswith("boards."):
            del sys.modules[each]
    __import__("boards." + name)
    return sys.modules["boards." + name]


def on_each_board(**options):
    """(board, chips) pairs for parametrize: the module's name, and a world of its port."""
    return pytest.mark.parametrize(
        "board, chips", [(name, chips(port=PORTS.get(name, "esp32"), **options)) for name in BOARDS], ids=BOARDS
    )


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
    assert module.WATCHDOG_MAX_MS == 8388 if name in PORTS else module.WATCHDOG_MAX_MS >= 60000


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


@on_each_board()
def test_reset_does_not_return(board, chips):
    with pytest.raises(SystemExit):
        load(board).reset()
    assert chips.resets() == ["hard"]
