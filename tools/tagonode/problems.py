"""What is wrong with a config, in words: where, which key, and what to do about it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from tagonode.locate import Location


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(words), 1)), None)


def or_nearest(word: str, words: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known: which one was meant, or which ones there are."""
    known = sorted(words)
    near = nearest(word, known)
    if near:
        return f"; did you mean {near!r}?"
    return f"; there are {', '.join(known)}" if known else ""


def shown(location: Location) -> str:
    """A location as people write it: sensors[1].channels.humidity."""
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True)
class Problem:
    """One mistake. file: as the user named it; line: None when it has none; key: "" when it is the file's as a whole;
    text: what is wrong and what to do."""

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.key, self.text) if part)


class ConfigError(Exception):
    """Everything that is wrong with a config. `problems`: one line each, in the order of the file; `mistakes`: the same
    as Problem."""

    def __init__(self, mistakes: list[Problem]):
        self.mistakes = mistakes
        self.problems = [str(each) for each in mistakes]
        super().__init__("\n".join(self.problems))
