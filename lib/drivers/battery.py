"""BATTERY: supply voltage, measured through a divider on an ADC pin.

    from drivers.battery import BATTERY
    print(BATTERY(adc, ratio=2.0).measure())     # (3.92,): V

The board says which pin and which ratio.
"""

from drivers import Sensor, SensorError


class BATTERY(Sensor):
    """adc: machine.ADC or alike, with read_uv() (esp32: calibrated) or read_u16().

    ratio: battery voltage ÷ voltage at the pin (two equal resistors: 2.0); None: what the ADC's RATIO says, else 2.0.
    reference: volts at full scale, used with read_u16() only.
    The mean of 4 samples, since ADC noise is tens of millivolts.
    """

    CHANNELS = (("battery", "V"),)
    BUS = "adc"
    _REMEDY = "check divider and pin (ESP32: ADC1)"  # ADC2 raises while Wi-Fi is on

    def __init__(self, adc, ratio: float = None, reference: float = 3.3):
        self._adc = adc
        self._ratio = getattr(adc, "RATIO", 2.0) if ratio is None else ratio
        if self._ratio <= 0 or reference <= 0:
            raise ValueError("ratio and reference are more than 0")
        self._reference = reference

    def _read(self) -> tuple:
        level = self._adc.read_u16()
        # A floating or grounded pin of an ADC with an offset reads a few LSB of 12 bits, not exactly 0.
        if not 0x100 < level < 0xFFF0:
            raise SensorError(f"pin at its rail ({level})")
        if hasattr(self._adc, "read_uv"):
            sample, volts = self._adc.read_uv, 1e-6
        else:
            sample, volts = self._adc.read_u16, self._reference / 65535
        return ((sample() + sample() + sample() + sample()) * volts * self._ratio / 4,)
