"""A few facts that outlive restarts, in one small file: which network worked, how wrong the crystal is."""

import json
import os

_FILE = "/notes.json"


class Notes:
    """`path` may be missing, or nonsense: then nothing is known."""

    def __init__(self, path: str = _FILE):
        self._path = path
        self._facts = {}
        try:
            with open(path) as file:
                facts = json.load(file)
            if isinstance(facts, dict):
                self._facts = facts
        except (OSError, ValueError):
            pass

    def get(self, name: str, otherwise=None):
        return self._facts.get(name, otherwise)

    def put(self, name: str, fact) -> None:
        """Write it down, if it is new. A flash that cannot be written costs the note, nothing else."""
        if self._facts.get(name) == fact:
            return
        self._facts[name] = fact
        new = self._path + ".new"
        try:
            with open(new, "w") as file:
                json.dump(self._facts, file)
            os.rename(new, self._path)
        except OSError:
            pass
