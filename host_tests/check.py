"""`make check`: lint, types of device code against each port's stubs, types of the tools, import arrows.

    python host_tests/check.py [step ...]

One line a step, what it found below it; exit status 1 when any step found something.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import arrows

REPOSITORY = Path(__file__).resolve().parent.parent
STUBS = REPOSITORY / ".stubs"
PORTS = ("esp32", "rp2")

# boards/<beginning>*.py, and what is shared under a name with _ before, are checked against their own port alone
_BOARD_PORTS = {"esp32": "esp32", "pico": "rp2", "rp2": "rp2"}

# the last is what the PC's tools send to a board's prompt
_DEVICE_FOLDERS = ("firmware", "lib", "boards", "tools/tagonode/onboard")

# what the stubs lack and the firmware has (each seen on real MicroPython)
_STUB_GAPS = ('"SSLContext" has no attribute "verify_mode"',)

# an attribute that is None until the thing is made, without an annotation for mypy alone
_NONE_FOR_LATER = ('"None" has no attribute', 'variable has type "None")')

# Device code is plain: annotations are few, and any buffer does for bytes.
_DEVICE_OPTIONS = (
    "--check-untyped-defs",
    "--no-strict-optional",
    "--implicit-optional",
    "--no-local-partial-types",
    "--no-strict-bytes",
    "--disable-error-code=var-annotated",
    "--explicit-package-bases",
    "--no-site-packages",
)


def run(*command: str, **environment: str) -> str:
    """What the command printed, when it failed; "" when it had nothing to say."""
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def lint() -> str:
    return run("ruff", "check", "--output-format=concise", "--quiet", ".")


def device_files(port: str) -> list[str]:
    """Device code that runs on this port."""
    files = [file for folder in _DEVICE_FOLDERS for file in (REPOSITORY / folder).rglob("*.py")]
    others = tuple(name for name, of in _BOARD_PORTS.items() if of != port)
    files = [file for file in files if file.parent.name != "boards" or not file.name.lstrip("_").startswith(others)]
    return [str(file.relative_to(REPOSITORY)) for file in files]


def device_types(port: str, files: list[str] | None = None) -> str:
    """Findings of mypy in device code, with MicroPython's standard library and this port's modules."""
    stubs = STUBS / port
    if not (stubs / "machine.pyi").exists():
        return f"{stubs.relative_to(REPOSITORY)} has no stubs: run make check, which installs them"
    said = run(
        "mypy",
        *_DEVICE_OPTIONS,
        f"--custom-typeshed-dir={stubs}",
        f"--cache-dir=.mypy_cache/{port}",
        *(device_files(port) if files is None else files),
        MYPYPATH=f"{stubs}:firmware:lib",
    )
    lines = [line for line in said.splitlines() if not line.startswith((".stubs/", str(stubs)))]
    lines = [line for line in lines if not any(known in line for known in _STUB_GAPS + _NONE_FOR_LATER)]
    # mypy's own sum counts what was left out, and notes without their error say nothing
    if not any(": error:" in line for line in lines):
        lines = [line for line in lines if not re.search(r": note:|^Found \d+|^Success", line)]
    return "\n".join(line for line in lines if not line.startswith("Found "))


def tool_types() -> str:
    return run(
        "mypy",
        "--check-untyped-defs",
        "--ignore-missing-imports",
        "--explicit-package-bases",
        "--exclude=(virtual/guest|onboard)/",  # device code: its imports are MicroPython's
        "--cache-dir=.mypy_cache/tools",
        "tools",
        MYPYPATH="tools:firmware:lib",
    )


def arrow_breaches() -> str:
    return "\n".join(map(str, arrows.check()))


STEPS = {
    "lint": lint,
    "types-esp32": lambda: device_types("esp32"),
    "types-rp2": lambda: device_types("rp2"),
    "types-tools": tool_types,
    "arrows": arrow_breaches,
}


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(STEPS)
    if unknown:
        print(f"no step called {', '.join(sorted(unknown))}: there are {', '.join(STEPS)}", file=sys.stderr)
        return 2

    def timed(name: str) -> tuple[str, float]:
        start = time.monotonic()
        return STEPS[name]().strip(), time.monotonic() - start

    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {name: pool.submit(timed, name) for name in wanted or STEPS}
        for name, step in running.items():
            findings, seconds = step.result()
            print(f"{'FAILED' if findings else 'ok':8}{name:14}{seconds:5.1f} s", flush=True)
            if findings:
                failed = 1
                print("\n".join("    " + line for line in findings.splitlines()), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
