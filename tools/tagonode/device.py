"""Device code that the PC side shares: the settings table and its rules.

Device modules import a few names that only MicroPython has; the ones these modules need are supplied here.
"""

import importlib
import sys
import types
from typing import Any

from tagonode import places


def load(name: str) -> Any:
    """Import a device module here. It has to be one that touches nothing on import, as all of them do."""
    if "micropython" not in sys.modules or not hasattr(sys.modules["micropython"], "const"):
        micropython = types.ModuleType("micropython")
        micropython.const = lambda value: value  # type: ignore[attr-defined]
        sys.modules["micropython"] = micropython
    for folder in (places.FIRMWARE, places.LIB):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return importlib.import_module(name)


settings = load("agent.settings")
regions = load("tagoio.regions")
