"""A few facts that outlive restarts, in one small file: which network worked, how wrong the crystal is."""

import json
import os
from binascii import crc32

_FILE = "/notes.json"


def _checksum(text):
    return "%08x" % (crc32(text.encode()) & 0xFFFFFFFF)


class Notes:
    """`path` may be missing, or nonsense: then nothing is known."""

    def __init__(self, path: str = _FILE):
        self._path = path
        self._facts = {}
        try:
            with open(path) as file:
                text, _, check = file.read().partition("\n")
            # what a flipped bit made of it is worth nothing; (without a checksum: of earlier firmware)
            facts = {} if check and check != _checksum(text) else json.loads(text)
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
                text = json.dumps(self._facts)
                file.write(text + "\n" + _checksum(text))
            os.rename(new, self._path)
        except OSError:
            pass
