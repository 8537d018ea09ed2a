"""The fakes of each port: what is missing there is missing, and what is wrong is refused in the port's own words."""

import time

import machine
import network

import pytest
from harness import chips

RP2S = ("rp2", "rp2350")
ESP32S = ("esp32", "esp32s3", "esp32c3")
PORTS = RP2S + ESP32S


def on(ports, **options):
    return pytest.mark.parametrize(
        "port, chips", [(port, chips(port=port, **options)) for port in ports], ids=list(ports)
    )


def has(place, name):
    return hasattr(place, name)


@on(PORTS)
def test_names(port, chips):
    rp2 = port in RP2S
    for place, name, there in (
        (machine, "HARD_RESET", not rp2),
        (machine, "DEEPSLEEP_RESET", not rp2),
        (machine, "WDT_RESET", True),
        (machine.ADC, "read_uv", not rp2),
        (machine.ADC, "ATTN_11DB", not rp2),
        (machine.ADC, "CORE_TEMP", rp2),
        (machine.RTC, "memory", not rp2),
        (machine.Pin, "ALT", rp2),
    ):
        assert has(place, name) == there, name
    pin = machine.Pin
    numbers = (pin.IN, pin.OUT, pin.OPEN_DRAIN, pin.PULL_UP, pin.PULL_DOWN, pin.IRQ_FALLING, pin.IRQ_RISING)
    assert numbers == ((0, 1, 2, 1, 2, 4, 8) if rp2 else (1, 3, 7, 2, 1, 2, 1))
    found = (network.STAT_GOT_IP, network.STAT_WRONG_PASSWORD)
    assert found == ((3, -3) if rp2 else (1010, 202))


@on(RP2S)
def test_no_esp32_module_on_rp2(port, chips):
    import sys

    sys.modules.pop("esp32", None)
    with pytest.raises(ImportError):
        __import__("esp32")


@on(ESP32S)
def test_temperature_of_each_esp32(port, chips):
    import esp32

    chips.celsius(50.0)
    if port == "esp32":
        assert esp32.raw_temperature() == 122
        assert not has(esp32, "mcu_temperature")
    else:
        assert esp32.mcu_temperature() == 50
        assert not has(esp32, "raw_temperature")


PINS = (
    ("rp2", (0, 22, 29), (30, -1 & 0xFF, 48), ("LED", "WL_GPIO2"), ("NONESUCH",)),
    ("rp2350", (0, 29), (30,), ("LED",), ("NONESUCH",)),
    ("esp32", (0, 19, 21, 39), (20, 24, 28, 31, 40), (), ("LED",)),
    ("esp32s3", (0, 21, 48), (22, 25, 49), (), ("LED",)),
    ("esp32c3", (0, 21), (22, 34), (), ("LED",)),
)


@pytest.mark.parametrize("chips, row", [(chips(port=row[0]), row) for row in PINS], ids=[row[0] for row in PINS])
def test_pins(chips, row):
    _, there, missing, names, unknown = row
    for pin in there + names:
        machine.Pin(pin)
    for pin in missing + unknown:
        with pytest.raises(ValueError):
            machine.Pin(pin)


@on(("esp32",))
def test_pins_that_only_listen(port, chips):
    machine.Pin(34, machine.Pin.IN)
    for mode in (machine.Pin.OUT, machine.Pin.OPEN_DRAIN):
        with pytest.raises(ValueError, match="pin can only be input"):
            machine.Pin(34, mode)


WRONG_I2C = (
    ("rp2", 0, 4, 5, "bad SCL pin"),
    ("rp2", 0, 5, 6, "bad SDA pin"),
    ("rp2", 1, 5, 4, "bad SCL pin"),
    ("rp2", 2, 5, 4, "I2C(2) doesn't exist"),
    ("rp2350", 1, 7, 4, "bad SDA pin"),
    ("esp32", 2, 22, 21, "I2C(2) doesn't exist"),
    ("esp32c3", 1, 6, 5, "I2C(1) doesn't exist"),
)


@pytest.mark.parametrize(
    "chips, unit, scl, sda, words",
    [(chips(port=row[0]),) + row[1:] for row in WRONG_I2C],
    ids=[str(i) for i in range(len(WRONG_I2C))],
)
def test_wrong_pins_of_i2c(chips, unit, scl, sda, words):
    with pytest.raises(ValueError) as caught:
        machine.I2C(unit, scl=machine.Pin(scl), sda=machine.Pin(sda))
    assert str(caught.value) == words


WRONG_UART = (
    ("rp2", 1, 0, 9, "bad TX pin"),
    ("rp2", 1, 8, 10, "bad RX pin"),
    ("rp2", 0, 8, 9, "bad TX pin"),
    ("rp2", 2, 8, 9, "UART(2) doesn't exist"),
    ("esp32c3", 2, 7, 10, "UART(2) does not exist"),
)


@pytest.mark.parametrize(
    "chips, unit, tx, rx, words",
    [(chips(port=row[0]),) + row[1:] for row in WRONG_UART],
    ids=[str(i) for i in range(len(WRONG_UART))],
)
def test_wrong_pins_of_a_uart(chips, unit, tx, rx, words):
    with pytest.raises(ValueError) as caught:
        machine.UART(unit, 9600, tx=machine.Pin(tx), rx=machine.Pin(rx))
    assert str(caught.value) == words


@on(("esp32",))
def test_any_pins_will_do_for_an_esp32(port, chips):
    assert machine.I2C(0, scl=machine.Pin(4), sda=machine.Pin(5)).scan() == [0x76]
    assert machine.UART(1, 9600, tx=machine.Pin(18), rx=machine.Pin(19)).read() is None


@on(RP2S, adc={27: 1.0, 28: 3.3, 26: 9.0})
def test_adc_of_rp2(port, chips):
    assert machine.ADC(27).read_u16() == machine.ADC(1).read_u16() == machine.ADC(machine.Pin(27)).read_u16()
    # 12 bits, spread over 16
    level = machine.ADC(27).read_u16()
    assert (level >> 4, level & 15) == (4096 * 10 // 33, level >> 12)
    assert machine.ADC(28).read_u16() == machine.ADC(26).read_u16() == 65535
    for wrong in (22, 5, machine.Pin(22)):
        with pytest.raises(ValueError, match="Pin doesn't have ADC capabilities"):
            machine.ADC(wrong)
    with pytest.raises(TypeError):
        machine.ADC(27, atten=3)


FULL_SCALE = (1100000, 1500000, 2200000, 3300000)
BLOCKS = (("esp32", 32, 25, 5), ("esp32s3", 4, 11, 21), ("esp32c3", 4, 5, 6))


@pytest.mark.parametrize(
    "chips, first, second, none",
    [(chips(port=port, adc={first: 4.0, second: 1.0}), first, second, none) for port, first, second, none in BLOCKS],
    ids=[row[0] for row in BLOCKS],
)
def test_adc_of_an_esp32(chips, first, second, none):
    for atten in range(4):
        assert machine.ADC(first, atten=atten).read_uv() == FULL_SCALE[atten]
    assert machine.ADC(machine.Pin(first)).read_uv() == FULL_SCALE[0]
    with pytest.raises(ValueError, match="invalid pin"):
        machine.ADC(machine.Pin(none))
    # block 2 is the radio's while that is on
    adc = machine.ADC(machine.Pin(second), atten=machine.ADC.ATTN_11DB)
    assert adc.read_uv() == 1000000
    radio = network.WLAN(network.STA_IF)
    radio.active(True)
    with pytest.raises(OSError) as caught:
        adc.read_uv()
    assert caught.value.errno == 110
    assert machine.ADC(first).read_uv() == FULL_SCALE[0]
    radio.active(False)
    assert adc.read_uv() == 1000000


@on(PORTS)
def test_nobody_at_the_address(port, chips):
    with pytest.raises(OSError) as caught:
        machine.I2C(0).writeto(0x50, b"\x00")
    assert caught.value.errno == (5 if port in RP2S else 19)


@on(PORTS)
def test_watchdog_limits(port, chips):
    wrong = 8389 if port in RP2S else 999
    with pytest.raises(ValueError, match="timeout exceeds 8388" if port in RP2S else "WDT timeout too short"):
        machine.WDT(timeout=wrong)
    assert chips.watchdog()["watchdog_s"] is None
    machine.WDT(timeout=8388)
    assert chips.watchdog()["watchdog_s"] == 8.388
    if port in ESP32S:
        machine.WDT(timeout=3600000)


@on(("rp2", "esp32"))
def test_an_interrupt_of_an_esp32_is_never_hard(port, chips):
    pin = machine.Pin(22)
    if port == "rp2":
        pin.irq(lambda pin: None, hard=True)
    else:
        with pytest.raises(TypeError):
            pin.irq(lambda pin: None, hard=True)
        pin.irq(lambda pin: None)


NETWORKS = {"field": "PASSWORD-5678"}


def settled(radio, trying):
    for _ in range(100):
        time.sleep_ms(5)
        if radio.status() not in trying:
            break
    return radio.status()


@on(ESP32S, networks=NETWORKS)
def test_an_esp32_tries_again_unless_told_not_to(port, chips):
    radio = network.WLAN()
    radio.active(True)
    assert radio.status() == 1000
    radio.connect("field", "wrong")
    assert settled(radio, (1001,)) == 1001
    radio.config(reconnects=0)
    assert settled(radio, (1001,)) == 202
    radio.connect("field", "PASSWORD-5678")
    assert settled(radio, (1001,)) == 1010


@on(RP2S, networks=NETWORKS)
def test_states_of_rp2(port, chips):
    radio = network.WLAN()
    with pytest.raises(ValueError, match="unknown config param"):
        radio.config(reconnects=0)
    radio.active(True)
    assert radio.status() == 0
    radio.connect("nowhere", "PASSWORD-5678")
    assert settled(radio, (1,)) == -2
    radio.connect("field", "PASSWORD-5678")
    assert settled(radio, (1,)) == 3


def take(pin):
    """Read VSYS as they do on the web."""
    machine.Pin(25, machine.Pin.OUT, value=1)
    return machine.ADC(machine.Pin(pin, machine.Pin.IN)).read_u16()


@on(RP2S, networks=NETWORKS, adc={29: 1.65})
def test_a_radio_whose_clock_is_taken(port, chips):
    radio = network.WLAN()
    radio.active(True)
    state = machine.disable_irq()
    assert abs(take(29) - 32768) < 20
    machine.Pin(29, machine.Pin.ALT, alt=7)
    machine.enable_irq(state)
    assert radio.active()
    machine.Pin(25, machine.Pin.OUT, value=0)
    state = machine.disable_irq()
    assert machine.ADC(machine.Pin(29, machine.Pin.IN)).read_u16() < 700
    # the interrupts come back before its pin does
    machine.enable_irq(state)
    with pytest.raises(OSError):
        radio.isconnected()


@on(RP2S, networks=NETWORKS, adc={29: 1.65})
def test_a_radio_that_is_interrupted(port, chips):
    radio = network.WLAN()
    radio.active(True)
    take(29)
    machine.Pin(29, machine.Pin.ALT, alt=7)
    with pytest.raises(OSError):
        radio.isconnected()


@on(RP2S)
def test_rp2_does_not_sleep_with_its_radio_on(port, chips):
    network.WLAN().active(True)
    with pytest.raises(SystemExit):
        machine.deepsleep(5000)
    assert chips.slept() == 0


@on(PORTS)
def test_pins_of_a_bus_that_were_made_something_else(port, chips):
    scl, sda = (5, 4) if port in RP2S else (6, 5)
    i2c = machine.I2C(0, scl=machine.Pin(scl), sda=machine.Pin(sda))
    assert i2c.scan() == [0x76]
    machine.Pin(scl)  # looked at, not changed
    assert i2c.scan() == [0x76]
    machine.Pin(scl, machine.Pin.OUT)
    with pytest.raises(OSError) as caught:
        i2c.readfrom_mem(0x76, 0xD0, 1)
    assert caught.value.errno == 110
    assert machine.I2C(0, scl=machine.Pin(scl), sda=machine.Pin(sda)).scan() == [0x76]


def rescue(scl, sda, clocks, stop):
    for pin in (scl, sda):
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP, value=1)
    for _ in range(clocks):
        scl.value(0)
        scl.value(1)
    if stop:
        for pin, level in ((scl, 0), (sda, 0), (scl, 1), (sda, 1)):
            pin.value(level)


@on(("rp2", "esp32"))
def test_a_chip_that_holds_sda(port, chips):
    scl, sda = machine.Pin(5), machine.Pin(4)

    def made():
        return machine.I2C(0, scl=scl, sda=sda)

    made()
    assert (scl.value(), sda.value()) == (1, 1)
    for clocks, stop, free in ((9, True, True), (8, True, False), (9, False, False)):
        chips.bus("hold_sda", 9)
        assert (scl.value(), sda.value()) == (1, 0)
        with pytest.raises(OSError) as caught:
            made().readfrom_mem(0x76, 0xD0, 1)
        assert caught.value.errno == 110
        rescue(scl, sda, clocks, stop)
        assert made().scan() == ([0x76] if free else []), (clocks, stop)
        chips.bus("heal")


@on(("rp2", "esp32"))
def test_clocks_while_sda_is_driven_are_none(port, chips):
    scl, sda = machine.Pin(5), machine.Pin(4)
    machine.I2C(0, scl=scl, sda=sda)
    chips.bus("hold_sda", 9)
    sda.init(machine.Pin.OUT, value=1)
    scl.init(machine.Pin.OPEN_DRAIN, value=1)
    for _ in range(9):
        scl.value(0)
        scl.value(1)
    assert machine.I2C(0, scl=scl, sda=sda).scan() == []
