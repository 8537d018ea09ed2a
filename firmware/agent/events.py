"""What happened, in words, beside the readings: kept on flash until TagoIO has it, each sent once.

What is needed when something happens, and until it is sent, is agent.diary's and agent.mail's.
"""

from micropython import const

from agent import forget

FOLDER = "/events"
CRASH = "crash"

_PAUSE_MS = const(60000)

young = {}  # number: milliseconds since this boot, of events that came before the time was known
made = 0  # since this boot


class Events:
    """Adds events and, as an errand of the uplink, sends them. tag: the queue's; secrets: of class Secret, which leave
    with no event, however they got into it."""

    def __init__(self, clock, tag: str, secrets, log, folder: str = FOLDER):
        self._clock = clock
        self._tag = tag
        self._secrets = secrets
        self._log = log
        self._folder = folder
        self._retry = 0  # milliseconds since boot, before which nothing is tried
        self._pause = _PAUSE_MS
        self._told = -1  # `made` when none waited

    def add(self, variable: str, text: str) -> None:
        """It happened now. A flash that takes no more, or too little memory, is said, and no reason to stop."""
        try:
            from agent import diary

            forget("diary")
            with diary.create(variable, self._clock, self._folder) as file:
                file.write(text)
        except (OSError, MemoryError) as error:
            self._log.warning("events", "not kept: " + text + ": " + str(error))

    async def send(self, pulse, uplink) -> None:
        """Tell TagoIO what waits, oldest first; after a failure not before a pause, which grows."""
        if self._told == made or self._clock.mono() < self._retry:
            return
        from agent import mail

        forget("mail")
        await mail.send(self, pulse, uplink)
