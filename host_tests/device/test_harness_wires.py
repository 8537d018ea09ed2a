"""Parts on pins and UARTs behind `machine` and the modules of a board's firmware, on both runtimes."""

import time

import machine
from ds18x20 import DS18X20
from onewire import OneWire, OneWireError

import pytest
from drivers import SensorError
from drivers.analog import Analog
from drivers.dht22 import DHT22
from drivers.ds18b20 import DS18B20
from drivers.hx711 import HX711
from drivers.pms5003 import PMS5003
from drivers.pulse_counter import PulseCounter
from harness import chips, heap

PORTS = ("rp2", "esp32")


def on_both_ports(*parts, **options):
    """Parametrises `chips` with the same parts under either port's names and numbers."""
    return pytest.mark.parametrize("chips", [chips(*parts, port=port, **options) for port in PORTS], ids=PORTS)


@on_both_ports({"chip": "ds18b20", "bus": "onewire:gp22"}, {"chip": "ds18b20", "bus": "onewire:gp22", "seed": 2})
def test_ds18b20(chips):
    onewire = OneWire(machine.Pin(22))
    roms = onewire.scan()
    assert len(roms) == 2
    chips.set(temperature=-10.125)
    for rom in roms:
        assert DS18B20(onewire, rom, resolution=12).measure() == (-10.125,)
    # and by the firmware's own module
    theirs = DS18X20(onewire)
    assert sorted(theirs.scan()) == sorted(roms)
    chips.set(temperature=25.0625)
    theirs.convert_temp()
    time.sleep_ms(751)  # 750, and the part of a millisecond that ticks cut off
    assert [theirs.read_temp(rom) for rom in roms] == [25.0625, 25.0625]
    chips.wire("onewire:gp22", "stuck", 0)
    with pytest.raises(SensorError):
        DS18B20(onewire).measure()
    chips.wire("onewire:gp22", "heal")
    chips.wire("onewire:gp22", "unplug")
    assert onewire.scan() == []
    with pytest.raises(OneWireError):
        onewire.reset(True)


@on_both_ports({"chip": "dht22", "bus": "pin:gp15"})
def test_dht22(chips):
    chips.set(temperature=-3.5, humidity=71.2)
    sensor = DHT22(machine.Pin(15))
    assert sensor.measure() == pytest.approx((-3.5, 71.2))
    chips.wire("pin:gp15", "unplug")
    with pytest.raises(SensorError, match="no answer"):
        sensor.measure()
    with pytest.raises(SensorError, match="no answer"):
        DHT22(machine.Pin(16)).measure()


@on_both_ports({"chip": "hx711", "bus": "pins:gp21,gp22"}, environment={"weight": 12.5})
@heap("256K")
def test_hx711(chips):
    sensor = HX711((machine.Pin(21), machine.Pin(22)), offset=84213, scale=21500)
    for kilograms in (12.5, -4.0):
        chips.set(weight=kilograms)
        for _ in range(5):  # a busy PC may keep the clock high for as long as an interrupt would
            try:
                weight = sensor.measure()
                break
            except SensorError as error:
                assert "clock was high" in str(error)
                time.sleep_ms(500)
        assert weight == pytest.approx((kilograms,), abs=0.0001)
    chips.wire("pins:gp21,gp22", "stuck", 1)
    with pytest.raises(SensorError, match="not ready"):
        sensor.measure()


@on_both_ports({"chip": "pms5003", "bus": "uart1"}, environment={"pm1_0": 4, "pm2_5": 7, "pm10": 9})
def test_pms5003(chips):
    uart = machine.UART(1, 9600)
    sensor = PMS5003(uart)
    with pytest.raises(SensorError, match="warming up"):
        sensor.measure()
    sensor._ready = True  # 30 s later
    assert sensor.measure() == (4, 7, 9)
    chips.wire("uart1", "unplug")
    with pytest.raises(SensorError, match="silence"):
        sensor.measure()


@on_both_ports({"chip": "pulse_counter", "bus": "pin:gp14"}, environment={"rain": 0.0})
def test_pulse_counter(chips):
    pin = machine.Pin(14)
    sensor = PulseCounter(pin)
    assert sensor.measure()[0] == 0
    for tips in (1, 2, 3):
        # its edges, bounces and all, wait for the next call of any kind, and are served with the ticks they had
        chips.wire("pin:gp14", "tip")
        time.sleep_ms(80)
        if tips == 2:
            machine.reset_cause()
            assert sensor.total == 2
        assert sensor.measure()[0] == tips
    pin.irq(None)
    chips.wire("pin:gp14", "tip")
    time.sleep_ms(80)
    machine.reset_cause()
    assert sensor.total == 3


@on_both_ports(adc={27: 1.65}, environment={})
def test_analog(chips):
    adc = machine.ADC(machine.Pin(27)) if hasattr(machine.Pin, "ALT") else machine.ADC(machine.Pin(27), atten=3)
    assert Analog(adc, ratio=2.0).measure() == pytest.approx((3.3,), abs=0.01)
    assert Analog(adc, mode="ntc").measure() == pytest.approx((25.0,), abs=0.1)
    chips.adc(27, 3.3)
    with pytest.raises(SensorError, match="rail"):
        Analog(adc).measure()


@chips({"chip": "dht22", "bus": "pin:gp15"})
def test_pins_with_nothing_on_them(chips):
    assert OneWire(machine.Pin(16)).scan() == []
    assert machine.UART(1).read() is None
    machine.Pin(17).irq(lambda pin: None)
    with pytest.raises(OSError):
        machine.dht_readinto(machine.Pin(18), bytearray(5))
