"""Simulated chips behind `machine`, and the board's radio behind `network`, on both runtimes."""

import machine

import pytest
from drivers import SensorError
from drivers.bme280 import BME280
from harness import a, chips, network

CHIP_ID = 0xD0


@chips({"chip": "bme280", "address": 0x77, "bus": 1}, environment={"temperature": -3.25})
def test_a_chip_on_its_bus(chips):
    assert machine.I2C(0).scan() == []
    i2c = machine.I2C(1)
    assert i2c.scan() == [0x77]
    assert i2c.readfrom_mem(0x77, CHIP_ID, 1) == b"\x60"
    assert chips.transfers(1) == 1


def test_a_driver_follows_the_world(chips):
    sensor = BME280(machine.I2C(0))
    chips.set(temperature=21.5)
    assert sensor.measure()[0] == pytest.approx(21.5, abs=0.05)
    chips.set(temperature=-7.0)
    assert sensor.measure()[0] == pytest.approx(-7.0, abs=0.05)


def test_faults_of_the_bus(chips):
    sensor = BME280(machine.I2C(0))
    for break_it in (
        lambda: chips.bus("unplug", 0x76),
        lambda: chips.switch("stuck"),
        lambda: chips.switch("all_ones"),
        lambda: chips.bus("nack_at", 1),
    ):
        break_it()
        with pytest.raises(SensorError):
            sensor.measure()
        chips.bus("heal")
        sensor.measure()


@pytest.mark.parametrize("chips, nack", [(chips(port="rp2"), 5), (chips(port="esp32"), 19)], ids=("rp2", "esp32"))
def test_errors_are_those_of_the_port(chips, nack):
    with pytest.raises(OSError) as caught:
        machine.I2C(0).writeto(0x50, b"\x00")
    assert caught.value.errno == nack


@chips(port="virtual", adc={26: 1.25})
def test_adc(chips):
    assert machine.ADC(26).read_uv() == 1250000
    chips.adc(26, 0.5)
    assert machine.ADC(26).read_uv() == 500000


def test_a_reset_does_not_return(chips):
    with pytest.raises(SystemExit):
        machine.reset()
    assert chips.resets() == ["hard"]


def test_watchdog(chips):
    assert chips.watchdog()["watchdog_s"] is None
    machine.WDT(timeout=8000).feed()
    assert chips.watchdog()["watchdog_s"] == 8


@chips(networks={"field": "PASSWORD-5678"})
@network(dns=a("127.0.0.1"))
def test_radio_with_the_scripted_network_behind_it(chips, net):
    import time

    from network import STA_IF, WLAN

    radio = WLAN(STA_IF)
    radio.active(True)
    radio.connect("field", "PASSWORD-5678")
    for _ in range(100):
        if radio.isconnected():
            break
        time.sleep_ms(10)
    assert radio.ifconfig()[3] == net.dns[0]


def test_a_wrong_word_is_an_error_here(chips):
    with pytest.raises(RuntimeError, match="chips know nothing of 'explode'"):
        chips.bus("explode")
