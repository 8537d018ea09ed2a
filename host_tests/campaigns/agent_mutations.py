"""Seeds bugs that agents in the field have died of, one at a time, and shows which test notices each.

    .venv/bin/python host_tests/campaigns/agent_mutations.py [WORD]     # only those with WORD in the name

Works on a copy of the tree, under CPython alone. Exit status 1 when a bug goes unnoticed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# (what is wrong, file, text, what the bug makes of it)
MUTATIONS = [
    (
        "settled whatever the answer",
        "uplink",
        "elif verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):\n            self._taken()",
        "elif verdict:\n            self._taken()",
    ),
    ("settled one sample too many", "batch", "self._spool.ack, self.last", "self._spool.ack, self.last + 1"),
    ("settling is tried once", "batch", "_TRIES = const(4)", "_TRIES = const(1)"),
    ("first wait too long", "uplink", "window // 30 << doubled", "window // 3 << doubled"),
    ("backoff without a bound", "uplink", "min(window * 15, ", "min(1 << 29, "),
    ("backoff that does not grow", "uplink", "self._failures += 1", "pass"),
    (
        "backoff that remembers other troubles",
        "uplink",
        "self._slow = slow\n            self._failures = 0",
        "self._slow = slow",
    ),
    (
        "backoff that remembers after a success",
        "uplink",
        "self._failures = 0\n            status",
        "status",
    ),
    ("no jitter", "uplink", "return random.getrandbits(28) % max(most, 1)", "return most - 1"),
    ("a token refused is tried all the time", "uplink", "if slow:\n", "if False:\n"),
    ("Retry-After of a 429 passed over", "uplink", "hint * 1000 if hint else window", "window if True else window"),
    ("a herd comes back at the minute's edge", "uplink", "% window) + self._jitter(window)", "% window)"),
    ("Retry-After of a 503 passed over", "uplink", "(hint or 0) * 1000 + self._jitter", "self._jitter"),
    (
        "a 429 without words does not wait for the minute",
        "uplink",
        "window - self._clock.now() % window",
        "1000",
    ),
    ("the link is not waited for", "uplink", "await pulse.wait(self._link.up)", "pass"),
    ("the time is not waited for", "uplink", "await pulse.wait(self._clock.synced)", "pass"),
    ("times of an earlier boot made up", "batch", " and sample.boot == spool.boot:", ":"),
    ("body limit passed over", "batch", "size + more > self._body_max or ", ""),
    ("a large sample blocks", "batch", "if size > records.EMPTY and (", "if ("),
    ("poison blocks the queue", "batch", "except records.RecordError as error:", "except ZeroDivisionError as error:"),
    ("poison takes its neighbours along", "batch", "if error.channel in (None, index):", "if True:"),
    (
        "a short body is ended",
        "batch",
        "        if left:\n",
        "        if False:\n",
    ),
    ("sent without a note on flash", "batch", "self._spool.begin(self.last)", "pass"),
    ("a chain of small requests", "uplink", " and spool.next_sequence - spool.samples_queued < goal:", ":"),
    ("a dead connection is used again", "uplink", "session.close()", "pass"),
    (
        "a token that is none restarts the task",
        "uplink",
        "except http1.LocalProtocolError as error:",
        "except ZeroDivisionError as error:",
    ),
    ("the grid of uploads is off", "uplink", "self._every_ms - (now", "self._every_ms + (now"),
    ("every node at the same moment", "uplink", "self._offset_ms = seed", "self._offset_ms = 0 * seed"),
    (
        "sent again without asking",
        "uplink",
        "            self._doubt = 0\n        elif",
        "            pass\n        elif",
    ),
    ("asked once", "uplink", "_DOUBT_ENDS = const(8)", "_DOUBT_ENDS = const(4)"),
    ("asked for ever", "uplink", "_ODD = const(1)", "_ODD = const(0)"),
    ("asked at once", "uplink", "window // (12 if", "0 * (12 if"),
    ("both questions the same", "uplink", "by_time = ", "by_time = False and "),
    ("after a restart nothing is asked", "uplink", "if self._batch.recall():\n", "if False:\n"),
    ("a lost question is an answer", "uplink", "response.status is None or ", ""),
    ("a sending again that nobody counts", "uplink", 'self._status["resent"] += 1', "pass"),
    (
        "plain HTTP without a word",
        "uplink",
        "        if self._plain:\n            path",
        "        if False:\n            path",
    ),
    ("the warning is lost", "uplink", 'status["warning"] = detail', "pass"),
    ("a batch is not halved", "batch", "self._body_max = self.size // 2", "pass"),
    ("the search for an offender does not narrow", "batch", "self._suspect_samples -= self.samples", "pass"),
    ("the search begins anew each time", "batch", "self._suspect_samples > self.samples", "False"),
    ("all of a sample is set aside", "batch", "if self.readings > 1:", "if False:"),
    ("the first of a sample is settled as all", "batch", "if not self._most_readings:", "if True:"),
    (
        "an offender alone in the world is condemned",
        "batch",
        "if self._accepts:\n            self._set_aside()",
        "if True:\n            self._set_aside()",
    ),
    ("a device that takes nothing loses two readings", "batch", "self._aside.clear()", "self._set_aside()"),
    ("a device that takes nothing is searched each time", "batch", "self._refusal = reason", "pass"),
    ("the third offender of one sample is a refusing device", "batch", "other[0] != sequence and ", ""),
    ("any three messages are a refusing device", "batch", "if other[2][:_ALIKE] != alike:", "if False:"),
    ("a sample in flight is taken for whole after a restart", "batch", "self._piecemeal = True", "pass"),
    (
        "what arrived stays in flight",
        "batch",
        "        self._spool.begin(0)\n        if self._suspect",
        "        if self._suspect",
    ),
    (
        "what did not arrive stays in flight",
        "batch",
        "        self._spool.begin(0)\n        if self._piece",
        "        if self._piece",
    ),
    ("the rest of a bad sample goes with all others", "batch", " or self.last == self._rest", ""),
    (
        "any error of a driver ends the sample",
        "sampler",
        "except Exception as error:  # noqa: BLE001 - whatever",
        "except OSError as error:  # whatever",
    ),
    (
        "any error of a read ends the sample",
        "sampler",
        "except Exception as error:  # noqa: BLE001 - as above",
        "except OSError as error:  # as above",
    ),
    ("NaN is a reading", "sampler", " and value - value == 0", ""),
    ("number of readings not checked", "sampler", "if len(readings) != len(self.channels):", "if False:"),
    ("a full flash ends the task", "sampler", "except (SpoolError, ValueError) as error:", "except OSError as error:"),
    ("said every minute", "sampler", "if text != sensor.problem:", "if True:"),
    (
        "two samples in one interval",
        "sampler",
        "if last is not None and due - last < every // 2:",
        "if False:",
    ),
    ("the grid of the boot for ever", "sampler", "(mono if now is None else now) % every", "mono % every"),
    ("a long wait does not see the clock set", "sampler", "if left > _LOOK_MS:", "if False:"),
    (
        "stamped after the conversion",
        "sampler",
        "self._clock.stamp(mono), mono)",
        "self._clock.now(), self._clock.mono())",
    ),
    (
        "a sample that was not stored is counted",
        "sampler",
        "return False\n        self._committed(",
        "return True\n        self._committed(",
    ),
    (
        "ticks subtracted by hand",
        "clock",
        "self._mono += ticks_diff(ticks, self._ticks)",
        "self._mono += ticks - self._ticks",
    ),
    ("the clock goes below the build", "clock", "if not 0 <= unix_ms", "if not -(1 << 40) <= unix_ms"),
    ("any late time is believed", "clock", "self._build_s < _SANE_S:", "self._build_s:"),
    (
        "age of an answer passed over",
        "clock",
        "offset = unix_ms + ticks_diff(self._ticks, at_ticks) - mono",
        "offset = unix_ms - mono",
    ),
    ("time servers asked without a pause", "clock", "retry = min(retry * 2, _LONGEST_RETRY_MS)", "retry = 1"),
    (
        "the second time server is never asked",
        "clock",
        "                continue\n            self._log",
        "                return False\n            self._log",
    ),
    ("a promise too short for a name server", "clock", "pulse.beat(30000)", "pulse.beat(3000)"),
    ("an old link is believed in", "link", "            self.up.clear()\n", ""),
    ("the pause stops growing", "link", "getrandbits(24)", "getrandbits(14)"),
    (
        "an odd error of the radio ends the round",
        "link",
        "except (OSError, ValueError, RuntimeError) as error:",
        "except OSError as error:",
    ),
    (
        "a hopeless network is waited out",
        "link",
        "if wlan.status() not in self._board.WIFI_WAITS:",
        "if False:",
    ),
    ("password in the log", "link", '"could not join " + ssid', '"could not join " + ssid + key.reveal()'),
    ("fed whatever happens", "supervisor", "if not late:", "if True:"),
    ("a task that fails is gone", "supervisor", "await pulse.sleep(pause)\n", "break\n"),
    ("no pause before a new start", "supervisor", "await pulse.sleep(pause)\n", "await pulse.sleep(0)\n"),
    (
        "the pause never gets short again",
        "supervisor",
        "pause = _FIRST_PAUSE_MS\n            await",
        "pass\n            await",
    ),
    (
        "a sleep of nothing keeps the loop",
        "supervisor",
        "            await asyncio.sleep_ms(part)\n            ms -= part",
        "            if part:\n                await asyncio.sleep_ms(part)\n            ms -= part",
    ),
    ("a promise of an hour", "supervisor", "_SLICE_MS = const(60000)", "_SLICE_MS = const(3600000)"),
    ("a promise no longer than the sleep", "supervisor", "_MARGIN_MS = const(15000)", "_MARGIN_MS = const(0)"),
    ("checksum not checked", "settings", "if rest.strip() != ", "if False and rest.strip() != "),
    ("newer settings are taken", "settings", 'if values["format"] > FORMAT:', "if False:"),
    ("the second copy is not looked at", "settings", "for name in files:", "for name in files[:1]:"),
    ("a bad value stays", "settings", "            values[key] = row[2]\n    values", "    values"),
    (
        "True is a number",
        "settings",
        "if isinstance(value, bool) or not isinstance(value, int):",
        "if not isinstance(value, int):",
    ),
    ("the token shows", "log", 'return "<secret>"', "return self._text"),
    ("a state line at the wrong level", "log", "if level <= self._level:", "if level < self._level:"),
    ("a sensor's bus stays stuck", "sampler", "if sensor.recover():", "if False:"),
    (
        "a recovery that fails ends the pass",
        "sampler",
        "except (OSError, ValueError):\n            pass",
        "finally:\n            pass",
    ),
    ("nobody is in trouble", "sampler", "any([sensor.problem for", "any([False and sensor.problem for"),
    ("all is well whatever fails", "light", "    if upload_error:\n        return UPLOAD\n", ""),
    ("a network that is not there hides nothing", "light", "    if not joined:\n        return SEARCHING\n", ""),
    ("flashes run together", "light", "_PAUSE_MS = const(3000)", "_PAUSE_MS = const(240)"),
    (
        "the light stays on",
        "light",
        "led(False)\n                await pulse.sleep(_DARK_MS)",
        "await pulse.sleep(_DARK_MS)",
    ),
    ("a dead light starts again and again", "light", "except (OSError, ValueError, RuntimeError):", "except KeyError:"),
    (
        "looked at once",
        "light",
        "        while True:\n            flashes = look()",
        "        flashes = look()\n        while True:",
    ),
    ("watchdog not clamped", "_rp2", "min(timeout_ms, WATCHDOG_MAX_MS)", "timeout_ms"),
    (
        "watchdog of an RP2350 as its data sheet has it",
        "_rp2",
        "WATCHDOG_MAX_MS = const(8388)",
        "WATCHDOG_MAX_MS = const(16777)",
    ),
    ("watchdog not clamped", "_esp32", "min(timeout_ms, WATCHDOG_MAX_MS)", "timeout_ms"),
    (
        "touched on import",
        "esp32",
        "_LED = const(2)",
        "_LED = const(2)\nmachine.Pin(2, machine.Pin.OUT, value=0)",
    ),
    ("a year of 2000 for 1970", "_port", "unix_s - _EPOCH_2000_S", "unix_s"),
    ("the weekday for the hour", "_port", "t[6], t[3]", "t[3], t[6]"),
    ("clock and data exchanged", "_port", "scl=pin, sda=made[1]", "scl=made[1], sda=pin"),
    ("TX and RX exchanged", "_port", "tx=pin, rx=made[1]", "tx=made[1], rx=pin"),
    ("a second pin that is the first", "_port", "return tuple(made)", "return tuple([pin, pin])"),
    ("any pin has an ADC", "_port", "if numbers[0] not in ADC:", "if False:"),
    ("no attenuation", "_esp32", '{"atten": 3}', '{"atten": 0}'),
    ("attenuation on a port without", "_port", "ADC_OPTIONS: dict = {}", 'ADC_OPTIONS: dict = {"atten": 3}'),
    ("an unknown bus is None", "_port", 'raise ValueError("no bus "', 'print("no bus "'),
    ("recovers what is not stuck", "_port", "if sda.value():", "if False:"),
    ("never recovers", "_port", "if sda.value():", "if True:"),
    ("looks at SCL", "_port", "if sda.value():", "if scl.value():"),
    ("a bus that is not there is recovered", "_port", " or name not in BUSES:", ":"),
    ("the bus is not made anew", "_port", "    bus(name)\n    return True", "    return True"),
    ("says that it did nothing", "_port", "    bus(name)\n    return True", "    bus(name)\n    return False"),
    ("eight clocks", "_rescue", "* 9 +", "* 8 +"),
    ("no STOP", "_rescue", " + ((scl, 0), (sda, 0), (scl, 1), (sda, 1))", ""),
    ("a start for a STOP", "_rescue", "(sda, 0), (scl, 1), (sda, 1)", "(sda, 1), (scl, 1), (sda, 0)"),
    ("SDA driven while clocked", "_rescue", "pin.init(pin.OPEN_DRAIN", "pin.init(pin.OUT"),
    ("sleeps with the radio on", "_port", "network.WLAN().active(False)\n", "pass\n"),
    ("a reset for a bite", "_rp2", '& _TIMER else "reset"', '& 2 else "reset"'),
    ("every reset a bite", "_rp2", "machine.mem32[WATCHDOG_REASON] & _TIMER", "True"),
    ("a reset for a power-on", "_rp2", "_PWRON_RESET = const(1)", "_PWRON_RESET = const(0)"),
    ("the reason of an RP2040", "pico2_w", "0x400D8008", "0x40058008"),
    ("deep sleep is a reset", "_esp32", '4: "deep sleep", ', ""),
    ("Fahrenheit", "_esp32", "(esp32.raw_temperature() - 32) / 1.8", "esp32.raw_temperature()"),
    ("hotter where it is cold", "_rp2", "437.227 - ", "-380 + "),
    ("joins without end", "_esp32", "wlan.config(reconnects=0)", "pass"),
    ("gives up while it joins", "_esp32", "WIFI_WAITS = (1000, 1001, 1010)", "WIFI_WAITS = (1000, 1010)"),
    ("gives up while it joins", "_rp2", "WIFI_WAITS = (0, 1, 2, 3)", "WIFI_WAITS = (0, 2, 3)"),
    (
        "any failure is a wrong password",
        "_port",
        'WIFI_PROBLEMS.get(status) or "status %d" % status',
        '"wrong password"',
    ),
    ("a light that shines when off", "esp32c3", "value=not on", "value=on"),
    (
        "a light that shines when off",
        "_rp2",
        '"LED", machine.Pin.OUT, value=on',
        '"LED", machine.Pin.OUT, value=not on',
    ),
    ("VSYS with the radio selected", "_rp2_vsys", "machine.Pin.OUT, value=1", "machine.Pin.OUT, value=0"),
    ("VSYS beside interrupts", "_rp2_vsys", "state = machine.disable_irq()", "state = 1"),
    ("interrupts stay off", "_rp2_vsys", "machine.enable_irq(state)", "pass"),
    (
        "the radio's pin is kept",
        "_rp2_vsys",
        "machine.Pin(_PIN, machine.Pin.ALT, pull=machine.Pin.PULL_DOWN, alt=_PIO1)",
        "pass",
    ),
    ("the radio's pin goes to another", "_rp2_vsys", "_PIO1 = const(7)", "_PIO1 = const(6)"),
    ("a third of VSYS", "_rp2_vsys", "9900000", "3300000"),
    ("VSYS divided once more", "_rp2_vsys", "RATIO = 1.0", "RATIO = 3.0"),
    ("GP26 for GP27", "pico_w", '"battery": "gp26"', '"battery": "gp27"'),
    ("a pin of block 2", "esp32", "(32, 33, 34, 35, 36, 39)", "(32, 33, 34, 35, 36, 39, 25)"),
    ("a pin of block 2", "esp32s3", "8, 9, 10)", "8, 9, 10, 11)"),
    ("a pin of block 2", "esp32c3", "(0, 1, 3, 4)", "(0, 1, 3, 4, 5)"),
    ("I2C on pins that are UART1's", "pico_w", '"i2c1": "gp7,gp6"', '"i2c1": "gp9,gp8"'),
]

BOARDS = (
    *("_port", "_rescue", "_rp2", "_rp2_vsys", "_esp32"),
    *("pico_w", "pico2_w", "esp32", "esp32s3", "esp32c3", "virtual"),
)


def run(tree: Path, file: str) -> list[str]:
    """Names of the tests that fail."""
    tests = ["test_boards.py"] if file in BOARDS else [f"test_agent_{file}.py"]
    if file in ("uplink", "batch"):
        tests = ["test_agent_uplink.py", "test_agent_uplink_tls.py", "test_agent_batch.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not micropython", "--tb=no"]
    ran = subprocess.run(
        [*command, *(f"host_tests/device/{test}" for test in tests)],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?test_\w+\.py(?:::(.*?))?(?: - .*)?$", ran.stdout, re.MULTILINE)
    if ran.returncode and not failed:
        raise SystemExit(f"pytest itself failed:\n{ran.stdout}{ran.stderr}")
    return [test.replace("cpython-", "").replace("[cpython]", "") or file for test in failed]


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
            path = tree / ("boards" if file in BOARDS else "firmware/agent") / f"{file}.py"
            sound = path.read_text(encoding="utf-8")
            if text not in sound:
                raise SystemExit(f"{bug}: {file}.py no longer has {text!r}: bring the mutation up to date")
            path.write_text(sound.replace(text, becomes), encoding="utf-8")
            failed = run(tree, file)
            path.write_text(sound, encoding="utf-8")
            unnoticed += not failed
            seen = f"{len(failed):3} tests, first {failed[0]}" if failed else "NOBODY NOTICED"
            print(f"{file:10} {bug:50} {seen}", flush=True)
    print(f"{unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
