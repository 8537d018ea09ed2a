"""Seeds bugs that drivers are known for, one at a time, and shows which test notices each.

    .venv/bin/python host_tests/campaigns/driver_mutations.py [WORD]     # those with WORD in their name, or of a file

Works on a copy of the tree, under CPython alone. Exit status 1 when a bug goes unnoticed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# (what is wrong, file in lib/drivers, text, what the bug makes of it)
MUTATIONS = [
    ("T1 read as signed", "bmp280", '"<HhhHhhhhhhhhxB"', '"<hhhHhhhhhhhhxB"'),
    ("P1 read as signed", "bmp280", '"<HhhHhhhhhhhhxB"', '"<HhhhhhhhhhhhxB"'),
    ("P2 … P9 read as unsigned", "bmp280", '"<HhhHhhhhhhhhxB"', '"<HhhHHHHHHHHHxB"'),
    ("H1 from the wrong byte", "bmp280", "hhhxB", "hhhBx"),
    ("big-endian trimming", "bmp280", '"<Hhh', '">Hhh'),
    ("result shifted by one nibble too few", "bmp280", "frame[at + 2] >> 4", "frame[at + 2]"),
    ("temperature read from the pressure registers", "bmp280", "result(frame, 7)", "result(frame, 4)"),
    ("0x80000 taken for a result", "bmp280", "adc == 0x80000 or not", "not"),
    ("lower rail taken for a result", "bmp280", "not 0xF < adc", "not -1 < adc"),
    ("upper rail taken for a result", "bmp280", "< 0xFFFF0:", "< 0x100000:"),
    ("t_fine of another scale", "bmp280", "celsius * 5120)", "celsius * 512)"),
    ("P4 scaled wrongly", "bmp280", "c[6] * 65536", "c[6] * 32768"),
    ("P9 left out", "bmp280", "c[11] * p * p / 2147483648 + ", ""),
    ("pascal for hectopascal", "bmp280", "/ 16) / 100", "/ 16)"),
    (
        "out of range goes unnoticed",
        "bmp280",
        "if not (-41 < celsius < 86 and 299 < hectopascal < 1101)",
        "if False",
    ),
    ("chip id not checked", "bmp280", "if chip_id != self._CHIP_ID", "if False"),
    ("no reset", "bmp280", "self._write(_RESET, 0xB6)", "pass"),
    ("im_update not awaited", "bmp280", "time.sleep_ms(4)", "pass"),
    (
        "trimming read once",
        "bmp280",
        "if block != self._bus.readfrom_mem(self._address, register, length)",
        "if False",
    ),
    ("blank trimming accepted", "bmp280", "if min(block) == max(block)", "if False"),
    (
        "settings not read back",
        "bmp280",
        "if (frame[1] ^ self._ctrl_meas[0]) & 0xFC or frame[2] != _MARK",
        "if False",
    ),
    ("config not read back", "bmp280", " or frame[2] != _MARK", ""),
    ("ctrl_meas not read back", "bmp280", "(frame[1] ^ self._ctrl_meas[0]) & 0xFC or ", ""),
    ("same settings each time", "bmp280", "self._ctrl_meas[0] ^= _ALTERNATE", "pass"),
    ("conversion never started", "bmp280", "_FORCED = const(0x25)", "_FORCED = const(0x24)"),
    ("normal mode", "bmp280", "_FORCED = const(0x25)", "_FORCED = const(0x27)"),
    (
        "typical time instead of the longest",
        "bmp280",
        "_CONVERSION_MS = const(13)",
        "_CONVERSION_MS = const(9)",
    ),
    ("status not looked at", "bmp280", "if not frame[0] & (_MEASURING | _IM_UPDATE)", "if True"),
    ("poll without end", "__init__", "for _ in range(1000)", "while 1"),
    (
        "poll by the clock alone, subtracting ticks",
        "__init__",
        "time.ticks_diff(time.ticks_ms(), began)",
        "time.ticks_ms() - began",
    ),
    ("no re-initialisation after a failure", "__init__", "self._ready = False\n        raise", "raise"),
    ("errors of the bus let through", "__init__", "except OSError as error", "except KeyError as error"),
    ("errors of the arithmetic let through", "__init__", "(ArithmeticError, ValueError)", "KeyError"),
    ("read() without start() answers", "__init__", "if not started", "if False"),
    ("ctrl_hum never written", "bme280", "self._write(_CTRL_HUM, 1)", "pass"),
    ("H4 read as unsigned", "bme280", '"<hBbBbb"', '"<hBBBbb"'),
    ("H5 read as unsigned", "bme280", '"<hBbBbb"', '"<hBbBBb"'),
    (
        "nibbles of 0xE5 swapped",
        "bme280",
        "e4 << 4 | e5 & 15, e6 << 4 | e5 >> 4",
        "e4 << 4 | e5 >> 4, e6 << 4 | e5 & 15",
    ),
    ("H6 read as unsigned", "bme280", '"<hBbBbb"', '"<hBbBbB"'),
    ("H3 read as signed", "bme280", '"<hBbBbb"', '"<hbbBbb"'),
    (
        "humidity not clamped below",
        "bme280",
        "max(h * (1 - c[12] * h / 524288), 0.0)",
        "h * (1 - c[12] * h / 524288)",
    ),
    ("humidity not clamped above", "bme280", ", 100.0)", ", 200.0)"),
    ("humidity 0x8000 taken for a result", "bme280", "(0, 0x8000, 0xFFFF)", "(0, 0xFFFF)"),
    ("humidity not temperature-compensated", "bme280", "v = t_fine - 76800", "v = 0"),
    ("channels in another order", "bme280", "celsius * 5120), hectopascal", "celsius * 5120), celsius"),
    ("ratio left out", "battery", " * self._ratio / 4", " / 4"),
    ("rail taken for a voltage", "battery", "0x100 < level < 0xFFF0", "-1 < level < 0x1FFFF"),
    ("first sample only", "battery", "sample() + sample() + sample() + sample()", "4 * sample()"),
    ("no link taken for 0 dBm", "rssi", "-128 < dbm < 0", "-128 < dbm <= 0"),
    ("CRC with another polynomial", "sensirion", "0x31", "0x07"),
    ("CRC with another start", "sensirion", "crc = 0xFF", "crc = 0"),
    ("CRC ignored", "sensirion", "if crc8(frame, at, at + 2) != frame[at + 2]", "if False"),
    (
        "bytes of the word swapped",
        "sensirion",
        "frame[at] << 8 | frame[at + 1]",
        "frame[at + 1] << 8 | frame[at]",
    ),
    ("formula of the SHT3x", "sht4x", "125 * s_rh / 65535 - 6", "100 * s_rh / 65535"),
    ("humidity not cut", "sht4x", "min(max(125 * s_rh / 65535 - 6, 0.0), 100.0)", "125 * s_rh / 65535 - 6"),
    ("divided by 65536", "sht4x", "175 * s_t / 65535", "175 * s_t / 65536"),
    ("humidity rail taken for a result", "sht4x", "if s_rh in (0, 0xFFFF)", "if False"),
    ("temperature rail taken for a result", "sht4x", "if not -41 < celsius < 126", "if False"),
    ("typical time instead of the longest", "sht4x", "_CONVERSION_MS = 10", "_CONVERSION_MS = 7"),
    (
        "reset not awaited",
        "sht4x",
        "time.sleep_ms(_INITIALISE_MS)\n            self._command",
        "self._command",
    ),
    ("refused command goes unnoticed", "sht4x", "not in (None, len(command))", "== -1"),
    ("typical time instead of the longest", "sht3x", "_CONVERSION_MS = 17", "_CONVERSION_MS = 13"),
    ("formula of the SHT4x", "sht3x", "100 * s_rh / 65535", "125 * s_rh / 65535 - 6"),
    ("low repeatability command", "sht3x", 'b"\\x24\\x00"', 'b"\\x2c\\x06"'),
    ("CRC ignored", "aht20", "if self._FRAME > 6 and crc8(frame, 0, 6) != frame[6]", "if False"),
    ("busy ignored", "aht20", "if not frame[0] & _BUSY", "if True"),
    ("start not checked", "aht20", "!= _BUSY | _CALIBRATED", "== 0xFF"),
    ("calibration not checked after measuring", "aht20", "if not frame[0] & _CALIBRATED", "if False"),
    ("AHT10 initialised as AHT20", "aht20", 'b"\\xe1\\x08\\x00"', 'b"\\xbe\\x08\\x00"'),
    ("nibbles of byte 3 swapped", "aht20", "frame[3] >> 4", "frame[3] & 15"),
    ("offset of 45", "aht20", "1048576 - 50", "1048576 - 45"),
    ("rails taken for a result", "aht20", "s_rh in (0, _RAIL) or", ""),
    ("range not checked", "aht20", "or not -41 < celsius < 86", ""),
    ("not divided by 1.2", "bh1750", "raw / 1.2", "raw"),
    ("0xFFFF taken for a result", "bh1750", "if raw == 0xFFFF", "if False"),
    ("0 taken for darkness", "bh1750", "if not raw:", "if False:"),
    ("bus held low taken for darkness", "bh1750", 'raise SensorError("bus held low")', "return"),
    ("stale result not cleared", "bh1750", "self._instruct(_RESET)\n", "pass\n"),
    ("other chip not noticed", "bh1750", "if self._result():", "if False:"),
    ("typical time instead of the longest", "bh1750", "self._wait_ms(180)", "self._wait_ms(120)"),
    ("measurement time not set", "bh1750", "self._instruct(0x60 | self._time & 31)", "pass"),
    ("measurement time not allowed for", "bh1750", " * 69 / self._time", ""),
    (
        "CRC ignored",
        "scd4x",
        "from drivers.sensirion import crc8, word",
        "from drivers.sensirion import crc8\nword = lambda f, a: f[a] << 8 | f[a + 1]",
    ),
    ("all bits of data-ready", "scd4x", " & 0x7FF", ""),
    ("formula of the SHT4x", "scd4x", "100 * word(frame, 6) / 65535", "125 * word(frame, 6) / 65535 - 6"),
    ("temperature and humidity swapped", "scd4x", "word(frame, 3)", "word(frame, 6)"),
    ("offset of 40", "scd4x", "/ 65535 - 45", "/ 65535 - 40"),
    ("failed measurement taken for 0 ppm", "scd4x", "0 < co2", "-1 < co2"),
    ("range not checked", "scd4x", "-41 < celsius < 86", "True"),
    ("stop not sent", "scd4x", "self._command(_STOP_PERIODIC_MEASUREMENT, _STOP_MS)", "pass"),
    ("stop not awaited", "scd4x", "_STOP_MS = const(505)", "_STOP_MS = const(50)"),
    ("answer fetched at once", "scd4x", "_COMMAND_MS = const(2)", "_COMMAND_MS = const(0)"),
    ("5 s taken at its word", "scd4x", "_INTERVAL_MS = const(5500)", "_INTERVAL_MS = const(5000)"),
    ("longer than a node waits", "scd4x", "_INTERVAL_MS = const(5500)", "_INTERVAL_MS = const(30000)"),
    ("low-power mode", "scd4x", 'b"\\x21\\xb1"', 'b"\\x21\\xac"'),
    ("single shot, which only some have", "scd4x", 'b"\\x21\\xb1"', 'b"\\x21\\x9d"'),
    ("waits even when a result is there", "scd4x", "0 if self._has_result() else _INTERVAL_MS", "_INTERVAL_MS"),
    ("altitude not read back", "scd4x", "if self._answer(_GET_SENSOR_ALTITUDE) != value", "if False"),
    (
        "altitude forgotten after a loss of power",
        "scd4x",
        "if self._altitude is not None:",
        "if self._altitude is not None and not hasattr(self, '_d'):\n                self._d = 1",
    ),
    ("refused command goes unnoticed", "scd4x", "not in (None, len(command))", "== -1"),
    ("bus voltage not shifted", "ina219", "volts = (bus >> 3) / 250", "volts = bus / 250"),
    ("bus voltage shifted by 2", "ina219", "volts = (bus >> 3) / 250", "volts = (bus >> 2) / 250"),
    ("shunt voltage unsigned", "ina219", "shunt -= 0x10000", "pass"),
    ("sign-magnitude shunt voltage", "ina219", "shunt -= 0x10000", "shunt = -(shunt & 0x7FFF)"),
    ("shunt left out", "ina219", "shunt / 100000 / ohms", "shunt / 10000"),
    ("OVF ignored", "ina219", "bus & 1 or ", ""),
    ("bus voltage rail taken for a result", "ina219", "bus >> 3 >= 8000 or ", ""),
    ("shunt voltage rail taken for a result", "ina219", "not -reach < shunt < reach", "False"),
    ("CNVR not awaited", "ina219", "if bus & _CNVR:", "if True:"),
    ("CNVR of before not cleared", "ina219", "self._word(_POWER)", "pass"),
    ("settings not read back", "ina219", "(self._word(_CONFIGURATION) ^ self._settings) & ~_MODE", "False"),
    ("conversion never started", "ina219", "self._configure(self._settings)", "pass"),
    ("continuous mode", "ina219", "const(0x2663)", "const(0x2667)"),
    ("range of 16 V", "ina219", "const(0x2663)", "const(0x0663)"),
    ("gain not set", "ina219", "_SETTINGS | gain << _PG", "_SETTINGS"),
    ("other chip not noticed", "ina219", "if self._word(_BUS_VOLTAGE) & _CNVR", "if False"),
    ("calibration of others not cleared", "ina219", "self._configure(_RST)", "pass"),
    ("time of one conversion", "ina219", "_CONVERSION_MS = const(20)", "_CONVERSION_MS = const(5)"),
    ("power without its sign", "ina219", "volts * amperes", "abs(volts * amperes)"),
    ("unsigned", "ads1115", "word -= 0x10000", "pass"),
    ("full scale of 32767", "ads1115", "full_scale / 32768", "full_scale / 32700"),
    ("upper rail taken for a voltage", "ads1115", "word == 0x7FFF or", ""),
    ("lower rail taken for a voltage", "ads1115", " or word == -0x8000", ""),
    ("voltage below ground accepted", "ads1115", "volts < -0.3 or", ""),
    ("range not set", "ads1115", "_SETTINGS | _RANGES.index(millivolts) << _PGA", "_SETTINGS | 1 << _PGA"),
    ("range of the default", "ads1115", "self._full_scale = full_scale", "self._full_scale = 4.096"),
    ("continuous mode", "ads1115", "const(0xC1A3)", "const(0xC0A3)"),
    ("difference of two inputs", "ads1115", "const(0xC1A3)", "const(0x81A3)"),
    ("always the first input", "ads1115", "self._settings | channel << _MUX", "self._settings"),
    ("inputs in another order", "ads1115", "for channel in (1, 2, 3)", "for channel in (1, 3, 2)"),
    ("OS not polled", "ads1115", "if state & _OS:", "if True:"),
    (
        "trusts the nominal rate, and OS not polled",
        "ads1115",
        "            if state & _OS:\n",
        "            time.sleep_ms(4)\n            if True:\n",
    ),
    ("settings not read back", "ads1115", "(state ^ config) & ~_OS", "False"),
    ("loss of power not noticed", "ads1115", "if self._word(_LO_THRESH) != _MARK", "if False"),
    ("other chip not noticed", "ads1115", "if self._word(_CONFIG) != self._settings ^ _OS", "if False"),
    ("conversion register of before", "ads1115", "            self._write(_CONFIG, config)\n", ""),
    ("unit of the MAX17043", "max17048", "vcell / 12800", "(vcell >> 4) / 800 * 1.001"),
    ("charge in whole steps of another unit", "max17048", "min(soc / 256, 100.0)", "min(soc / 512, 100.0)"),
    ("charge not cut", "max17048", "min(soc / 256, 100.0)", "soc / 256"),
    ("0 V before the first measurement accepted", "max17048", "2 < volts", "-1 < volts"),
    ("rail taken for a voltage", "max17048", "volts < 5.1", "volts < 6"),
    ("256 % accepted", "max17048", " and soc < 0x8000", ""),
    ("first measurement not awaited", "max17048", "return _DEBOUNCE_MS", "return 0"),
    ("voltage awaited, charge not", "max17048", "_DEBOUNCE_MS = const(200)", "_DEBOUNCE_MS = const(20)"),
    ("reset not acknowledged", "max17048", "status ^= _RI", "pass"),
    ("alerts of others switched off", "max17048", "status ^= _RI", "status = 0"),
    ("loss of power not noticed", "max17048", "if self._word(_STATUS) & _RI", "if False"),
    ("look-alikes accepted", "max17048", "if version >> 4 != 1", "if False"),
    ("registers swapped", "max17048", "self._word(_VCELL), self._word(_SOC)", "self._word(_SOC), self._word(_VCELL)"),
    ("little-endian", "max17048", "high << 8 | low", "low << 8 | high"),
    (
        "quick-start whenever it starts anew",
        "max17048",
        "self._ready = True\n",
        "self._ready = True\n        self._bus.writeto_mem(self._address, 6, b'\\x40\\x00')\n",
    ),
    ("sign lost", "ds18b20", "if raw & 0x8000:", "if False:"),
    (
        "bytes of the word swapped",
        "ds18b20",
        "scratchpad[0] | scratchpad[1] << 8",
        "scratchpad[1] | scratchpad[0] << 8",
    ),
    ("divided by 8", "ds18b20", "return raw / 16", "return raw / 8"),
    ("85 °C of power-on taken for a reading", "ds18b20", "if raw == _POWER_ON:", "if False:"),
    ("range not checked", "ds18b20", "if not -880 <= raw <= 2000:", "if False:"),
    ("undefined bits kept", "ds18b20", "raw &= -8 >>", "raw &= -1 >>"),
    ("CRC ignored", "ds18b20", "if self._bus.crc8(scratchpad):", "if False:"),
    ("scratchpad of zeros taken for a reading", "ds18b20", "if scratchpad[2:5] != self._settings:", "if False:"),
    ("conversion that never began not noticed", "ds18b20", "if self._bus.readbit():", "if False:"),
    ("wait of another resolution", "ds18b20", "750 >> 12 - resolution", "94"),
    ("no wait", "ds18b20", "< self._wait_ms:", "< 0:"),
    ("all chips addressed at once", "ds18b20", "self._bus.select_rom(self._rom)", "self._bus.writebyte(0xCC)"),
    (
        "presence not looked at",
        "ds18b20",
        "if not self._bus.reset():\n            raise",
        "if False:\n            raise",
    ),
    ("scan() of a wire held low", "ds18b20", "not self._bus.reset() or not self._bus.readbit()", "False"),
    ("first of several taken", "ds18b20", "if len(found) != 1:", "if not found:"),
    ("found once, for ever", "ds18b20", "if not self._ready:", "if not self._rom:"),
    ("address not checked", "ds18b20", "if rom[0] not in (0x28, 0x22) or self._bus.crc8(rom):", "if False:"),
    ("address as int from its other end", "ds18b20", '.to_bytes(8, "big")', '.to_bytes(8, "little")'),
    ("sign lost", "dht22", "if raw & 0x8000:", "if False:"),
    (
        "two's complement taken for a magnitude",
        "dht22",
        "raw - 0x10000 if raw & 0x4000 else 0x8000 - raw",
        "0x8000 - raw",
    ),
    (
        "magnitude taken for two's complement",
        "dht22",
        "raw - 0x10000 if raw & 0x4000 else 0x8000 - raw",
        "raw - 0x10000",
    ),
    ("frame of zeros taken for a reading", "dht22", "if not 0 < humidity <= 1000", "if not 0 <= humidity <= 1000"),
    ("humidity over 100 %", "dht22", "0 < humidity <= 1000", "0 < humidity"),
    ("temperature out of range", "dht22", "or not -400 <= raw <= 800", ""),
    ("checksum ignored", "dht22", "raise SensorError(str(error)) from None", "pass"),
    (
        "value of a minute ago",
        "dht22",
        "        self._ask()\n        self._ready = True\n        return self._INTERVAL_MS",
        "        self._asked = time.ticks_ms()\n        return 0",
    ),
    ("asked again at once", "dht22", "if 0 <= since < self._INTERVAL_MS:", "if False:"),
    ("asked too early", "dht22", "< self._INTERVAL_MS:\n            raise", "< 0:\n            raise"),
    ("ticks of long ago trusted", "dht22", "if 0 <= since <", "if since <"),
    ("silence taken for the frame before", "dht22", 'raise SensorError("no answer") from None', "pass"),
    ("channels in another order", "dht22", "return raw / 10, humidity / 10", "return humidity / 10, raw / 10"),
    ("DHT11 without its sign", "dht22", "if frame[3] & 0x80:", "if False:"),
    ("DHT11 without tenths", "dht22", "celsius = frame[2] + tenths / 10", "celsius = frame[2]"),
    ("DHT22 taken for a DHT11", "dht22", "or frame[1] > 9 or tenths > 9", ""),
    ("DHT11 of zeros", "dht22", "not 0 < frame[0] <= 100", "not 0 <= frame[0] <= 100"),
    ("DHT11 as seldom as DHT22", "dht22", "_INTERVAL_MS = 1000", "_INTERVAL_MS = 500"),
    ("checksum ignored", "pms5003", "if sum(received[at : at + 30])", "if True or sum(received[at : at + 30])"),
    ("first frame instead of the newest", "pms5003", "found[-1]", "found[0]"),
    ("length not looked at", "pms5003", 'b"\\x42\\x4d\\x00\\x1c"', 'b"\\x42\\x4d"'),
    (
        "misaligned after a false header",
        "pms5003",
        "at = received.find(_DATA, at + 1)",
        "at = received.find(_DATA, at + 32)",
    ),
    ("cut frame read", "pms5003", "at + 32 <= len(received)", "True"),
    ("standard particles for atmospheric air", "pms5003", "1 if standard else 4", "4 if standard else 1"),
    (
        "little-endian",
        "pms5003",
        "received[i] << 8 | received[i + 1] for i",
        "received[i + 1] << 8 | received[i] for i",
    ),
    (
        "stale bytes kept",
        "pms5003",
        "if self._received() and self._passive and not self._started:",
        "if self._bus.any() and self._passive and not self._started:",
    ),
    ("rail taken for a value", "pms5003", "if 0xFFFF in values:", "if False:"),
    ("no warm-up", "pms5003", "_WARM_UP_MS = const(30000)", "_WARM_UP_MS = const(0)"),
    ("restart not noticed", "pms5003", "self._ready = self._warming = False", "pass"),
    ("warm-up without end", "pms5003", "            self._warming = True\n", ""),
    ("frames waited for too shortly", "pms5003", "_FRAME_MS = const(2500)", "_FRAME_MS = const(800)"),
    ("never told to be passive", "pms5003", "\\x42\\x4d\\xe1\\x00\\x00\\x01\\x70", ""),
    ("result nobody fetched taken for a restart", "pms5003", " and not self._started", ""),
    ("sign lost", "hx711", "bits - 0x1000000 if bits & 0x800000 else bits", "bits"),
    ("sign of 32 bits", "hx711", "bits - 0x1000000 if", "bits | 0xFF000000 if"),
    ("rails taken for a weight", "hx711", "if bits in (0, 0x7FFFFF, 0x800000, 0xFFFFFF):", "if bits in (0, 0xFFFFFF):"),
    ("held line taken for a weight", "hx711", "(0, 0x7FFFFF, 0x800000, 0xFFFFFF)", "(0x7FFFFF, 0x800000)"),
    ("24 pulses", "hx711", "{128: 25,", "{128: 24,"),
    ("pulses of the other channel", "hx711", "32: 26, 64: 27", "32: 27, 64: 26"),
    ("extra pulses kept as bits", "hx711", "return bits >> self._pulses - 24", "return bits & 0xFFFFFF"),
    ("long pulse not noticed", "hx711", "if longest > _POWER_DOWN_US:", "if False:"),
    (
        "clock high for long",
        "hx711",
        "clock.value(1)\n            clock.value(0)",
        "clock.value(1)\n            time.sleep_us(70)\n            clock.value(0)",
    ),
    ("ready not awaited", "hx711", "if not data.value():\n                break", "if True:\n                break"),
    (
        "result of before not dropped",
        "hx711",
        "            self._shift()\n        return _SETTLE_MS",
        "            pass\n        return _SETTLE_MS",
    ),
    ("not settled", "hx711", "_SETTLE_MS = const(450)", "_SETTLE_MS = const(100)"),
    ("no reset at first", "hx711", "time.sleep_us(_RESET_US)", "pass"),
    ("offset after the scale", "hx711", "(raw - self._offset) / self._scale", "raw / self._scale - self._offset"),
    ("next result not awaited", "hx711", "elif not data.value() or", "elif True or"),
    ("ratio left out", "analog", "super().__init__(bus, ratio, reference)", "super().__init__(bus, 1.0, reference)"),
    ("wet and dry swapped", "analog", "(volts - dry) / (wet - dry)", "(volts - wet) / (dry - wet)"),
    ("moisture not cut", "analog", "min(max(percent, 0.0), 100.0)", "percent"),
    ("probe in the air beyond air", "analog", "if not -25 < percent < 125:", "if False:"),
    ("thermistor at the other end", "analog", "if high_side else", "if not high_side else"),
    ("log of base ten", "analog", "log(ohms / ohms_25) / beta", "log(ohms / ohms_25) / 2.302585 / beta"),
    ("kelvin for degrees", "analog", "/ beta) - _KELVIN", "/ beta)"),
    ("reference of 20 °C", "analog", "(25 + _KELVIN)", "(20 + _KELVIN)"),
    ("cube left out", "analog", "c * x * x * x", "c * x"),
    ("open thermistor measured", "analog", "if not 0.01 * supply < volts < 0.99 * supply:", "if False:"),
    ("thermistor that does not fit", "analog", "if not -60 < value < 160:", "if False:"),
    ("coefficients not used", "analog", "if self._steinhart_hart:", "if False:"),
    ("bounces counted", "pulse_counter", "< self._debounce_ms:\n            return", "< 0:\n            return"),
    (
        "both edges counted",
        "pulse_counter",
        "        if not level:\n            self.total += 1",
        "        self.total += 1",
    ),
    ("counted at release", "pulse_counter", "if not level:", "if level:"),
    ("ticks subtracted", "pulse_counter", "time.ticks_diff(now, self._changed)", "(now - self._changed)"),
    ("first pulse of a dry week lost", "pulse_counter", "self._settled = changed  #", "pass  #"),
    (
        "level not looked at",
        "pulse_counter",
        "if level == self._level:\n            return",
        "if False:\n            return",
    ),
    ("falling edges alone", "pulse_counter", "pin.IRQ_FALLING | pin.IRQ_RISING", "pin.IRQ_FALLING"),
    (
        "lost interrupt not made up for",
        "pulse_counter",
        "        self._edge(self._bus)  # in case",
        "        pass  # in case",
    ),
    ("rate of all time", "pulse_counter", "        self._before = total, now\n        rate", "        rate"),
    ("rate a second", "pulse_counter", "self._per_ms = per_s * 1000", "self._per_ms = 1000"),
    ("rate without its factor", "pulse_counter", "rate * self._factor", "rate"),
    ("count without its factor", "pulse_counter", "return total * self._factor", "return total"),
    ("counts lost in a reset", "pulse_counter", "self.total = total", "self.total = 0"),
    ("port without hard interrupts", "pulse_counter", "except TypeError:", "except KeyError:"),
    (
        "counter restarted with the sensor",
        "pulse_counter",
        "            self._before = self.total, now",
        "            self.total = 0\n            self._before = self.total, now",
    ),
]


def tests_of(file: str) -> list[str]:
    device = "host_tests/device/test_{}.py"
    if file in ("__init__", "bmp280", "bme280"):
        return [device.format("bme280"), "host_tests/test_driver_oracles.py"]
    if file in ("sensirion", "sht4x", "sht3x"):
        return [device.format("sht")]
    return [device.format(file)]


def run(tree: Path, file: str) -> list[str]:
    """Names of the tests that fail."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not micropython",
        "--tb=no",
    ]
    ran = subprocess.run(
        [*command, *tests_of(file)], cwd=tree, capture_output=True, text=True, timeout=600, check=False
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?(test_\w+\.py)(?:::(.*?))?(?: - .*)?$", ran.stdout, re.MULTILINE)
    if ran.returncode and not failed:
        raise SystemExit(f"pytest itself failed:\n{ran.stdout}{ran.stderr}")
    return [test.replace("cpython-", "") or file for file, test in failed]


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in ("lib", "firmware", "boards", "host_tests", "tools", "pyproject.toml"):
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, tree / name)
        for bug, file, text, becomes in MUTATIONS:
            if word not in bug and word != file:
                continue
            path = tree / "lib" / "drivers" / f"{file}.py"
            sound = path.read_text()
            if text not in sound:
                raise SystemExit(f"{bug}: {file}.py no longer has {text!r}: bring the mutation up to date")
            path.write_text(sound.replace(text, becomes))
            failed = run(tree, file)
            path.write_text(sound)
            unnoticed += not failed
            seen = f"{len(failed):3} tests, first {failed[0]}" if failed else "NOBODY NOTICED"
            print(f"{file:9} {bug:46} {seen}", flush=True)
    print(f"{unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
