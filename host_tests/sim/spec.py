"""Which node a seed stands for, and how long it lives."""

from dataclasses import dataclass, replace
from random import Random

DAY_MS = 86400000

# how long a life is, in days, and how often: short ones meet every phase of a life, long ones what takes a season
_LIVES = ((10, 3), (30, 4), (90, 2), (365, 1))
_HOSTILE_DAYS = 30


@dataclass(frozen=True)
class Spec:
    """sample, upload: seconds; ppm: how much the crystal is slow; littlefs: on the real file system instead of the
    model of it; hostile: faults without end; sleeps: off between samples (agent.duty);
    sleep_ppm: how much the clock that goes on in deep sleep is slow."""

    seed: int
    days: float
    board: str = "pico_w"
    sample: int = 3600
    upload: int = 3600
    commit_samples: int = 1
    policy: str = "drop_oldest"
    ppm: float = 10.0
    littlefs: bool = False
    hostile: bool = False
    sleeps: bool = False
    sleep_ppm: float = 0.0
    health: int = 3600
    remote: int = 3600
    networks: int = 1
    channels: int = 4

    @property
    def node_years(self) -> float:
        return self.days / 365

    def lasting(self, days: float) -> "Spec":
        return replace(self, days=days)


def spec_of(seed: int) -> Spec:
    """The same for ever: one node in thirty samples every minute, one in sixty every ten minutes, the others hourly.

    One in twenty is among faults without end for a month: as many as in half a year of the others.
    """
    draw = Random(f"spec {seed}")
    sample = draw.choices((60, 600, 3600), (2, 1, 57))[0]
    days = draw.choices([days for days, _ in _LIVES], [weight for _, weight in _LIVES])[0]
    if sample == 60:
        days = min(days, 30)
    spec = Spec(
        seed,
        days,
        board=draw.choice(("pico_w", "pico_w", "esp32", "esp32s3")),
        sample=sample,
        upload=draw.choice((300, 900, 3600)) if sample < 3600 else draw.choice((3600, 21600, 21600, 21600)),
        commit_samples=draw.choice((1, 1, 1, 1, 1, 6)),
        policy=draw.choice(("drop_oldest", "drop_oldest", "drop_newest")),
        ppm=draw.uniform(-45, 45),
        littlefs=draw.random() < 0.03,
        hostile=draw.random() < 0.05,
        sleeps=sample >= 600 and draw.random() < 0.99,
        sleep_ppm=draw.uniform(-4000, 4000),
        health=draw.choice((0, 3600, 21600, 21600)),
        networks=draw.choice((1, 1, 1, 1, 1, 2)),
        channels=draw.choice((1, 4, 4, 4)),
    )
    return replace(spec, days=min(days, _HOSTILE_DAYS)) if spec.hostile else spec


def hostile_spec_of(seed: int) -> Spec:
    """Where faults have no end, for as long as the life lasts; none samples every minute."""
    spec = spec_of(seed)
    days = spec.days if spec.days > _HOSTILE_DAYS else 12
    return replace(spec, days=days, hostile=True, littlefs=False, sample=max(spec.sample, 600))
