"""The application: tasks, policy, settings. Knows lib and the board it is handed."""

import sys


def forget(name: str, package: str = "agent") -> None:
    """Let go of a module of a package that is loaded for one job: its code is gone when whoever imported it is done."""
    del sys.modules[package + "." + name]
    delattr(sys.modules[package], name)
