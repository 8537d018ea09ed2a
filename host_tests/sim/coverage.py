"""Which states were met together, and which never: a pair that a campaign never saw proves nothing about itself."""

from collections import Counter
from collections.abc import Iterable, Iterator

STATES = {
    "verdict": (
        "accepted",
        "accepted with warning",
        "rejected",
        "too large",
        "device refuses",
        "throttled",
        "unauthorised",
        "unavailable",
        "untrusted",
        "misconfigured",
        "ambiguous",
    ),
    "link": ("up", "down"),
    "clock": ("unknown", "estimated", "synced"),
    "queue": ("empty", "slots", "segments", "settled in part", "in flight"),
}
# what cannot be: nothing is sent before the time is known
_IMPOSSIBLE = (("verdict", "clock unknown"), ("verdict", "clock estimated"))


def pairs() -> Iterator[tuple[str, str]]:
    """All that could be met, in the order of STATES."""
    kinds = list(STATES)
    for i, kind in enumerate(kinds):
        for other in kinds[i + 1 :]:
            for one in STATES[kind]:
                for two in STATES[other]:
                    first, second = f"{kind} {one}", f"{other} {two}"
                    if not any(first.startswith(a) and second == b for a, b in _IMPOSSIBLE):
                        yield first, second


def report(seen: Counter[tuple[str, str]]) -> Iterable[str]:
    """Lines: how many of the pairs were met, the rarest of them, and those that never were."""
    possible = list(pairs())
    never = [pair for pair in possible if not seen[pair]]
    met = sorted((pair for pair in possible if seen[pair]), key=lambda pair: seen[pair])
    yield f"coverage: {len(met)} of {len(possible)} pairs of states were met"
    for one, two in met[:5]:
        yield f"  seldom: {one} with {two}: {seen[one, two]} times"
    for one, two in never:
        yield f"  never:  {one} with {two}"
