"""Where things are, for both runtimes."""

from pathlib import Path

HARNESS = Path(__file__).resolve().parent
HOST_TESTS = HARNESS.parent
REPOSITORY = HOST_TESTS.parent
GUEST = HARNESS / "guest"  # what device tests import: pytest, harness
VIRTUAL_GUEST = REPOSITORY / "tools" / "tagonode" / "virtual" / "guest"  # machine, network, backplane

# folders of the import path in order, as (name in the bytecode cache, folder, parts taken; None is all).
# The simulated chips are plain code that runs on either side: a driver's test may have its chip beside it.
DEVICE_PATH = (
    ("harness", GUEST, None),
    ("guest", VIRTUAL_GUEST, None),
    ("firmware", REPOSITORY / "firmware", None),
    ("lib", REPOSITORY / "lib", None),
    ("root", REPOSITORY, ("boards",)),
    (
        "tools",
        REPOSITORY / "tools",
        (
            "tagonode/__init__.py",
            "tagonode/virtual/__init__.py",
            "tagonode/virtual/bus.py",
            "tagonode/virtual/environment.py",
            "tagonode/virtual/wires.py",
            "tagonode/virtual/chips",
        ),
    ),
    ("tools", REPOSITORY / "tools", ("tagonode",)),  # simulated chips beside the driver under test
)
