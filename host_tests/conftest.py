"""Gives pytest the device tests: see harness/collector.py and README.md here."""

import signal
import sys
from pathlib import Path

_HOST_TESTS = Path(__file__).resolve().parent
_REPOSITORY = _HOST_TESTS.parent

# host tests import device code and the harness itself; boards is a package of the repository's root
for _folder in (_HOST_TESTS, _REPOSITORY, _REPOSITORY / "firmware", _REPOSITORY / "lib"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

if "micropython" not in sys.modules:
    from harness.shim import mp_micropython

    # const() is all that device code without I/O needs to run in pytest's own process
    sys.modules["micropython"] = mp_micropython

# a shell that starts the suite in the background has it ignore Ctrl-C, and so would every command that is tested
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# no output may hold a token or a password
pytest_plugins = ("harness.secrets",)

# What takes longest comes first, so that no worker is left alone with it at the end.
_FIRST = (
    "test_years.py",
    "test_page_browser.py",
    "test_simulate.py",
    "test_fault_matrix.py",
    "test_provision.py",
    "test_deploy.py",
    "test_end_to_end.py",
    "test_herd.py",
    "test_deploy_kills.py",
    "test_simulate_wires.py",
    "test_spool_powercut.py",
    "test_harness_wires.py",
    "test_session.py",
    "test_secrets.py",
    "test_collector.py",
    "test_spool_command.py",
    "test_terminal.py",
    "test_spool_damage.py",
    "test_crashes.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else len(_FIRST))


from harness.collector import (  # noqa: E402, F401
    pytest_configure,
    pytest_pycollect_makemodule,
    pytest_unconfigure,
)
