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
        "if verdict[0] in (verdicts.ACCEPTED,",
        "if verdict[0] or (verdicts.ACCEPTED,",
    ),
    ("settled one sample too many", "uplink", "self._spool.ack(last)", "self._spool.ack(last + 1)"),
    ("settling is tried once", "uplink", "for _ in range(4):", "for _ in range(1):"),
    ("first wait too long", "uplink", "_FIRST_WAIT_MS = const(2000)", "_FIRST_WAIT_MS = const(20000)"),
    ("backoff without a bound", "uplink", "_LONGEST_WAIT_MS = const(900000)", "_LONGEST_WAIT_MS = const(1 << 29)"),
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
        "self._failures = 0\n                    self._status",
        "self._status",
    ),
    ("no jitter", "uplink", "return random.getrandbits(24) % most", "return most - 1"),
    ("a token refused is tried all the time", "uplink", "if slow:\n", "if False:\n"),
    (
        "Retry-After of a 429 passed over",
        "uplink",
        "hint * 1000 if hint else _MINUTE_MS",
        "_MINUTE_MS if True else _MINUTE_MS",
    ),
    ("Retry-After of a 503 passed over", "uplink", "(hint or 0) * 1000 + self._jitter", "self._jitter"),
    (
        "a 429 without words does not wait for the minute",
        "uplink",
        "_MINUTE_MS - self._clock.now() % _MINUTE_MS",
        "1000",
    ),
    ("the link is not waited for", "uplink", "await pulse.wait(self._link.up)", "pass"),
    ("the time is not waited for", "uplink", "await pulse.wait(self._clock.synced)", "pass"),
    ("times of an earlier boot made up", "uplink", " and sample.boot == boot:", ":"),
    ("body limit passed over", "uplink", "if last and size + more > self._body_max:", "if False:"),
    ("a large sample blocks", "uplink", "if last and size + more", "if size + more"),
    ("poison blocks the queue", "uplink", "except records.RecordError as error:", "except ZeroDivisionError as error:"),
    ("poison takes its neighbours along", "uplink", "if error.channel in (None, index):", "if True:"),
    (
        "a short body is ended",
        "uplink",
        "        if size:\n            raise SpoolError",
        "        if False:\n            raise SpoolError",
    ),
    ("sent without a note on flash", "uplink", "            self._spool.begin(last)\n", ""),
    ("a chain of small requests", "uplink", " and spool.next_sequence - spool.samples_queued < goal:", ":"),
    ("a dead connection is used again", "uplink", "self._session.close()", "pass"),
    (
        "a token that is none restarts the task",
        "uplink",
        "except http1.LocalProtocolError as error:",
        "except ZeroDivisionError as error:",
    ),
    ("the grid of uploads is off", "uplink", "self._every_ms - (self", "self._every_ms + (self"),
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
        "if last is not None and due - last < self._every_ms // 2:",
        "if False:",
    ),
    ("the grid of the boot for ever", "sampler", "phase = (mono if now is None else now)", "phase = mono"),
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
        "return False\n        self._committed()",
        "return True\n        self._committed()",
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
    ("a hopeless network is waited out", "link", "if wlan.status() < 0:", "if False:"),
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
    ("the token shows", "settings", 'return "<secret>"', "return self._text"),
    ("a state line at the wrong level", "log", "if level <= self._level:", "if level < self._level:"),
    ("watchdog not clamped", "pico_w", "min(timeout_ms, WATCHDOG_MAX_MS)", "timeout_ms"),
    (
        "touched on import",
        "esp32",
        "_LED_PIN = const(2)",
        "_LED_PIN = const(2)\nmachine.Pin(2, machine.Pin.OUT, value=0)",
    ),
    ("a year of 2000 for 1970", "esp32", "unix_s - _EPOCH_2000_S", "unix_s"),
]

BOARDS = ("pico_w", "esp32")


def run(tree: Path, file: str) -> list[str]:
    """Names of the tests that fail."""
    tests = ["test_boards.py"] if file in BOARDS else [f"test_agent_{file}.py"]
    if file == "uplink":
        tests.append("test_agent_uplink_tls.py")
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
