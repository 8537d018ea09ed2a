"""Where things are, for both runtimes."""

from pathlib import Path

HARNESS = Path(__file__).resolve().parent
HOST_TESTS = HARNESS.parent
REPOSITORY = HOST_TESTS.parent
GUEST = HARNESS / "guest"  # what device tests import: pytest, harness
VIRTUAL_GUEST = REPOSITORY / "tools" / "tagonode" / "virtual" / "guest"  # machine, network, backplane

# folders of the import path in order, as (name in the bytecode cache, folder, packages taken; None is all)
DEVICE_PATH = (
    ("harness", GUEST, None),
    ("guest", VIRTUAL_GUEST, None),
    ("firmware", REPOSITORY / "firmware", None),
    ("lib", REPOSITORY / "lib", None),
    ("root", REPOSITORY, ("boards",)),
    ("tools", REPOSITORY / "tools", ("tagonode",)),  # simulated chips beside the driver under test
)
