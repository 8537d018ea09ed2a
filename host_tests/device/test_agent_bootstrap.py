"""The time of day where no time server answers: who is believed, for what, and who is not even asked."""

from agentworld import Console, Pulse, World

import pytest
from agent import bootstrap, clock
from agent.log import Log
from session.client import SessionError

BUILD_S = 1767225600  # 2026-01-01
NOW_MS = 1782000000500
FUTURE = "The certificate validity starts in the future"
EXPIRED = "The certificate validity has expired"
ISSUER = "The certificate is not correctly signed by the trusted CA"


def refused(text, stage="handshake"):
    return SessionError(stage, text, False)


class Made:
    """A clock, and what each asking gives: unix ms, or an exception. `asked`: hosts, in order."""

    def __init__(self, *answers):
        self.world = World()
        self.world.install(clock)
        self.rtc = []
        self.console = Console()
        self.log = Log("debug", self.console)
        self.clock = clock.Clock(BUILD_S, self.rtc.append, self.log)
        self.asked = []
        self.answers = list(answers)
        self.session = object()

    async def ask(self, session, host, progress):
        progress(15000)
        self.asked.append((host, session is self.session, getattr(session, "_roots", "")))
        told = self.answers.pop(0)
        if isinstance(told, Exception):
            raise told
        return told, self.world.ticks_ms()

    async def run(self, plain="api.example"):
        original = bootstrap.date.ask
        bootstrap.date.ask = self.ask
        try:
            return await bootstrap.ask(
                Pulse(self.world), self.clock, self.session, "api.example", None, plain, self.log
            )
        finally:
            bootstrap.date.ask = original


VERIFIED = ("api.example", True, "")
PLAIN = ("api.example", False, None)  # a session without TLS

ENDS = (
    # (what the askings give, who was asked, whether it worked, state, what the RTC was set to after the build)
    ((NOW_MS,), [VERIFIED], True, clock.SYNCED, [NOW_MS]),
    ((refused(FUTURE), NOW_MS - 700, NOW_MS), [VERIFIED, PLAIN, VERIFIED], True, clock.SYNCED, [NOW_MS - 700, NOW_MS]),
    ((refused(FUTURE), refused("silence", "connect")), [VERIFIED, PLAIN], False, clock.UNKNOWN, []),
    ((refused(FUTURE), ValueError("no date")), [VERIFIED, PLAIN], False, clock.UNKNOWN, []),
    ((refused(FUTURE), (BUILD_S - 9) * 1000), [VERIFIED, PLAIN], False, clock.UNKNOWN, []),
    (
        (refused(FUTURE), NOW_MS, refused(FUTURE)),
        [VERIFIED, PLAIN, VERIFIED],
        False,
        clock.UNKNOWN,
        [NOW_MS, BUILD_S * 1000],
    ),
    (
        (refused(FUTURE), NOW_MS, refused(EXPIRED)),
        [VERIFIED, PLAIN, VERIFIED],
        False,
        clock.UNKNOWN,
        [NOW_MS, BUILD_S * 1000],
    ),
    (
        (refused(FUTURE), NOW_MS, refused("reset", "connect")),
        [VERIFIED, PLAIN, VERIFIED],
        False,
        clock.ESTIMATED,
        [NOW_MS],
    ),
    ((refused(ISSUER),), [VERIFIED], False, clock.UNKNOWN, []),
    ((refused(ISSUER + "; " + FUTURE),), [VERIFIED], False, clock.UNKNOWN, []),
    ((refused(EXPIRED),), [VERIFIED], False, clock.UNKNOWN, []),
    ((refused("no address", "resolve"),), [VERIFIED], False, clock.UNKNOWN, []),
    ((ValueError("no date"),), [VERIFIED], False, clock.UNKNOWN, []),
    (((BUILD_S - 9) * 1000,), [VERIFIED], False, clock.UNKNOWN, []),
)


@pytest.mark.parametrize("answers, asked, works, state, rtc", ENDS)
async def test_who_is_believed(answers, asked, works, state, rtc):
    made = Made(*answers)
    assert await made.run() is works
    assert (made.asked, made.clock.state) == (asked, state)
    assert made.rtc == [BUILD_S] + [(ms + 500) // 1000 for ms in rtc]
    assert made.clock.synced.is_set() is works
    assert made.clock.now() == (NOW_MS if works else None)
    assert not made.answers


async def test_somebody_else_may_be_asked_for_the_estimate():
    made = Made(refused(FUTURE), NOW_MS, NOW_MS)
    assert await made.run("time.example:8080")
    assert [host for host, _, _ in made.asked] == ["api.example", "time.example:8080", "api.example"]


async def test_a_clock_that_is_right_is_corrected_and_never_estimated():
    made = Made(NOW_MS)
    await made.run()
    made.answers = [refused(FUTURE), NOW_MS + 86400000, refused(FUTURE)]
    assert not await made.run()
    assert made.clock.state == clock.SYNCED and made.clock.now() == NOW_MS
    assert len(made.rtc) == 2
