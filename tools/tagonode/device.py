"""Device code that the PC side shares: the settings table and its rules.

Device modules import a few names that only MicroPython has; the ones these modules need are supplied here.
"""

import importlib
import sys
import types

from tagonode import places


def _load(name: str):
    if "micropython" not in sys.modules or not hasattr(sys.modules["micropython"], "const"):
        micropython = types.ModuleType("micropython")
        micropython.const = lambda value: value  # type: ignore[attr-defined]
        sys.modules["micropython"] = micropython
    for folder in (places.FIRMWARE, places.LIB):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return importlib.import_module(name)


settings = _load("agent.settings")
