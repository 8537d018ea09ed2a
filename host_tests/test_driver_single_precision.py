"""Compensation formulas as boards compute them, in single precision, against double precision."""

import pytest
from drivers import bme280, bmp280
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


def test_single_rounds_each_operation():
    assert float(Single(0.1)) == 0.10000000149011612
    assert float(Single(16777216) + 1) == 16777216.0
    assert float(1 - Single(1e-9)) == 1.0
    assert isinstance(Int(3) / 7, Single) and isinstance((Int(3) - 1 << 4) / 7, Single)
    assert isinstance(Int(3) * Single(2.5), Single) and isinstance(3 - Single(2.5), Single)
