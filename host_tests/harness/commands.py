"""Commands that tests run. What they print is printed by the test: seen when it fails, and searched for secrets."""

import subprocess
from collections.abc import Iterator
from typing import IO, Any


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """subprocess.run with its output captured as text, and shown. `options` are its own."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    show(done.stdout, done.stderr)
    return done


def lines(stream: IO[str] | None) -> Iterator[str]:
    """The lines of a running command's pipe as they come, each shown."""
    assert stream is not None
    for line in stream:
        show(line)
        yield line


def show(*texts: str | None) -> None:
    """Print what was read of a command in another way."""
    for text in texts:
        print(text or "", end="")
