"""Compensation formulas as boards compute them, in single precision, against double precision."""

import math

import pytest
from drivers import ads1115, analog, bme280, bmp280, dht22, ds18b20, hx711, ina219, max17048, scd4x
from harness.single import Int, Single
from tagonode.virtual.chips import bme280 as chips


def trimming(seed, **changes):
    words = chips.trimming(seed)
    words.update(changes)
    tp = [words[name] for name in ("T1", "T2", "T3", *(f"P{i}" for i in range(1, 10)), "H1")]
    return tp, [words[name] for name in ("H2", "H3", "H4", "H5", "H6")]


@pytest.mark.parametrize("seed", range(1, 9))
def test_bme280(seed):
    """Single precision costs at most 0.00001 °C, 0.0004 hPa and 0.00002 %: far less than a decimal shown."""
    tp, h = trimming(seed, H3=seed - 4)
    tp1, h1 = [Int(word) for word in tp], [Int(word) for word in h]
    worst = [0.0, 0.0, 0.0]
    for adc_t in range(350000, 750001, 25000):
        for adc in range(21):
            adc_p, adc_h = 200000 + 30000 * adc, 12000 + 1500 * adc
            exact_t = bmp280.temperature(tp, adc_t)
            single_t = bmp280.temperature(tp1, Int(adc_t))
            exact_p = bmp280.pressure(tp, adc_p, exact_t * 5120)
            single_p = bmp280.pressure(tp1, Int(adc_p), single_t * 5120)
            exact_h = bme280.humidity(tp + h, adc_h, exact_t * 5120)
            single_h = bme280.humidity(tp1 + h1, Int(adc_h), single_t * 5120)
            assert isinstance(single_t, Single) and isinstance(single_p, Single)
            for i, (a, b) in enumerate(((exact_t, single_t), (exact_p, single_p), (exact_h, single_h))):
                worst[i] = max(worst[i], abs(a - float(b)))
    assert worst[0] <= 0.00001
    assert worst[1] <= 0.0004
    assert worst[2] <= 0.00002


def test_scd4x(monkeypatch):
    """At most 0.00001 °C and %: a word of 16 bits times 175 is still exact."""

    def worst(index):
        exact = [scd4x.decode((500, t, rh))[index] for t, rh in words]
        single = [scd4x.decode((Int(500), Int(t), Int(rh)))[index] for t, rh in words]
        assert isinstance(single[0], Single)
        return max(abs(a - float(b)) for a, b in zip(exact, single, strict=True))

    monkeypatch.setattr(scd4x, "word", lambda frame, at: frame[at // 3])
    words = [(t, t * 7919 % 65536) for t in range(0x0800, 0xBE00, 257)]
    assert worst(1) <= 0.00001
    assert worst(2) <= 0.00001


def test_ina219():
    """At most 2 µV, 0.2 µA and 10 µW: the steps are 4 mV, 100 µA and 400 µW."""
    worst = [0.0, 0.0, 0.0]
    for volts in range(0, 8000, 61):
        for shunt in (0, 1, 7, 4001, 31999, 0xFFFF, 0xFFF9, 0x8301):
            exact = ina219.decode(volts << 3 | 2, shunt, 0.1, 32000)
            single = ina219.decode(Int(volts << 3 | 2), Int(shunt), Single(0.1), 32000)
            assert all(isinstance(value, Single) for value in single)
            worst = [max(w, abs(a - float(b))) for w, a, b in zip(worst, exact, single, strict=True)]
    assert worst[0] <= 0.000002
    assert worst[1] <= 0.0000002
    assert worst[2] <= 0.00001


def test_ads1115():
    """At most 0.4 µV of a step of 125 µV."""
    for word in (*range(0, 0x7FFF, 97), 0xFFFF, 0xF7FF):
        single = ads1115.decode(Int(word), Single(4.096))
        assert isinstance(single, Single)
        assert abs(float(single) - ads1115.decode(word, 4.096)) <= 0.0000004


def test_max17048():
    """At most 0.3 µV of a step of 78 µV, and nothing of a percentage."""
    for vcell in range(0x6500, 0xFE00, 31):
        volts, percent = max17048.decode(Int(vcell), Int(vcell >> 2))
        exact = max17048.decode(vcell, vcell >> 2)
        assert isinstance(volts, Single)
        assert abs(float(volts) - exact[0]) <= 0.0000003
        assert float(percent) == exact[1]


def test_thermistor(monkeypatch):
    """At most 0.00015 °C, by either formula: 1/T has seven digits, and T is three hundred times them."""
    coefficients = 1.129148e-3, 2.34125e-4, 8.76741e-8
    exact = {}
    for ohms in range(300, 400000, 1700):
        exact[ohms] = analog.by_beta(ohms, 10000, 3950), analog.by_steinhart_hart(ohms, *coefficients)
    monkeypatch.setattr(analog, "log", lambda x: Single(math.log(float(x))))
    for ohms, expected in exact.items():
        beta = analog.by_beta(Single(ohms), Single(10000), Single(3950))
        steinhart_hart = analog.by_steinhart_hart(Single(ohms), *[Single(each) for each in coefficients])
        assert isinstance(beta, Single) and isinstance(steinhart_hart, Single)
        assert (float(beta), float(steinhart_hart)) == pytest.approx(expected, abs=0.00015)


def test_resistance_and_moisture():
    """At most 0.001 % of the resistance, and 0.00003 % of moisture."""
    for millivolts in range(50, 3250, 7):
        volts = millivolts / 1000
        for high_side in (False, True):
            single = analog.resistance(Single(volts), Single(3.3), Single(4700), high_side)
            assert float(single) == pytest.approx(analog.resistance(volts, 3.3, 4700, high_side), rel=1e-5)
    for millivolts in range(1300, 2800, 7):
        single = analog.moisture(Single(millivolts / 1000), Single(2.8), Single(1.3))
        assert float(single) == pytest.approx(analog.moisture(millivolts / 1000, 2.8, 1.3), abs=0.00003)


def test_weight(monkeypatch):
    """24 bits fit a float's 24: a gram of a hundred kilograms is there."""
    sensor = hx711.HX711(None, offset=84213, scale=Single(21500.7))
    for raw in (-8388607, -84213, 84214, 1000001, 8388606):
        monkeypatch.setattr(sensor, "_shift", lambda raw=raw: Int(raw & 0xFFFFFF))
        (weight,) = sensor._read()
        assert isinstance(weight, Single)
        assert float(weight) == pytest.approx((raw - 84213) / 21500.7, rel=2e-7)


def test_fractions():
    """Sixteenths are exact; tenths are the nearest there are."""
    for raw in range(-880, 2001):
        scratchpad = [Int(byte) for byte in (raw & 0xFF, raw >> 8 & 0xFF, 0, 0, 0x7F)]
        if raw != 0x0550:
            assert float(ds18b20.decode(scratchpad)) == raw / 16
    for raw in range(801):
        frame = [Int(byte) for byte in (2, 0x8C, raw >> 8, raw & 0xFF)]
        celsius, percent = dht22.decode_dht22(frame)
        assert (float(celsius), float(percent)) == (float(Single(raw / 10)), float(Single(65.2)))


def test_single_rounds_each_operation():
    assert float(Single(0.1)) == 0.10000000149011612
    assert float(Single(16777216) + 1) == 16777216.0
    assert float(1 - Single(1e-9)) == 1.0
    assert isinstance(Int(3) / 7, Single) and isinstance((Int(3) - 1 << 4) / 7, Single)
    assert isinstance(Int(3) * Single(2.5), Single) and isinstance(3 - Single(2.5), Single)
