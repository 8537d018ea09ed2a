"""A tipping bucket with a reed contact, and any other contact that pulses for so much of something."""

from tagonode.virtual.environment import chance

_STEP_S = 10.0


class RainGauge:
    """On a Contact: edges(). Closes for `closed_ms` each time `amount` has come together, and bounces at both ends.

    clock: callable, seconds. environment: see environment.py. quantity: what flows, per hour: rain (mm/h). amount:
    of it a pulse (0.2794 mm, 0.011 inch, is usual). seed: how it bounces. What flows is added up in steps of 10 s, so
    that the tips do not depend on when somebody looks.
    """

    def __init__(
        self,
        environment,
        clock,
        quantity: str = "rain",
        amount: float = 0.2794,
        closed_ms: float = 60.0,
        bounce_ms: float = 2.0,
        seed: int = 1,
    ):
        self.tips = 0
        self._environment = environment
        self._clock = clock
        self._quantity = quantity
        self._amount = amount
        self._closed_s = closed_ms / 1000
        self._bounce_s = bounce_ms / 1000
        self._seed = seed
        self._until = clock()
        self._held = 0.0  # in the bucket
        self._coming: list = []  # edges that are not due yet

    def power_on(self) -> None:
        """It has no supply."""

    def tip(self) -> None:
        """Tip now, as by hand."""
        self._tip(self._clock())

    def _tip(self, at):
        self.tips += 1
        edges = [(at, 0)]
        for first, level, name in ((at, 0, "close"), (at + self._closed_s, 1, "open")):
            if level:
                edges.append((first, 1))
            bounces = int(4 * chance(self._seed, f"{name}{self.tips}")) if self._bounce_s else 0
            for i in range(bounces):
                # apart and together again, within the time that it bounces
                span = self._bounce_s / bounces
                apart = first + span * (i + 0.2 + 0.5 * chance(self._seed, f"{name}{self.tips}/{i}"))
                edges.append((apart, 1 - level))
                edges.append((apart + span * 0.2, level))
        self._coming.extend(edges)

    def edges(self) -> list:
        """(when, level) since it was asked before, in order."""
        now = self._clock()
        while self._until + _STEP_S <= now:
            per_second = self._environment.value(self._quantity, self._until + _STEP_S / 2) / 3600
            fallen = per_second * _STEP_S
            while per_second > 0 and self._held + fallen >= self._amount:
                fallen -= self._amount - self._held
                self._held = 0.0
                self._tip(self._until + _STEP_S - fallen / per_second)
            self._held += fallen
            self._until += _STEP_S
        due = [edge for edge in self._coming if edge[0] <= now]
        self._coming = [edge for edge in self._coming if edge[0] > now]
        return due
