"""The server, the name server and the time server of one device, which a Fault can make do anything wrong."""

import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness import certificates
from harness.guest import steps
from harness.network import SERVE, Network
from hostile.tagoio import TagoIO, sequence_of

HOST = "tago.example"
NOBODY = "127.0.0.3"  # the server's port is free there
DEAF = "127.0.0.4"  # connections are never answered there
STRANGER = "127.0.0.5"  # a server of somebody else's

# what a request is answered with while a fault lasts: (server, request) -> a step, None for TagoIO's own answer
Answer = Callable[["Hostile", dict], dict | None]


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong, and what is to be seen of it.

    verdicts: (verdict, part of its detail) each of which has to be said; "a|b" either of them. also: verdicts that
    may be said besides; racing: and on a busy machine, or when request and close cross each other.

    What goes wrong, each None for nothing: `connection`, a step, for new connections; `certificate`, one of
    certificates.KINDS, or "1.3" for a server that knows no older TLS; `names`, what the name server says; `answer`.
    The fault is healed when it was met `times` times (`exactly`: and no more), every verdict was said, and if `cured`
    when all that was sampled up to then has arrived all the same.

    samples_in_peace: so many samples are taken then without another request. twice: readings may be stored twice.
    reboot: the power is cut to heal it. fresh: starts with a reboot.
    """

    name: str
    verdicts: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()
    racing: tuple[str, ...] = ()
    connection: dict | None = None
    certificate: str = "good"
    names: Any = None
    answer: Answer | None = None
    times: int = 1
    exactly: bool = False
    cured: bool = False
    samples_in_peace: int = 0
    twice: bool = False
    reboot: bool = False
    fresh: bool = False


HEALTHY = Fault("healthy")


@dataclass
class Notes:
    """What a fault keeps for itself while it lasts."""

    kept: list[dict] = field(default_factory=list)  # requests that are dealt with later
    # readings that belong into quarantine, (sequence, variable), and what is said of them
    refused: dict[tuple[int, str], str] = field(default_factory=dict)


class Hostile(Network):
    """`tagoio` is what the device holds. shift: where faults begin that go through the bytes of an answer or the
    readings of an upload one by one.
    """

    def __init__(self, token: str):
        super().__init__(SERVE, host=HOST)
        self.tagoio = TagoIO(token)
        self.fault = HEALTHY
        self.notes = Notes()
        self.shift = 0
        self.trace: deque[str] = deque(maxlen=60)  # what came and how it was answered, of late
        self.last_sample = 0  # of those that came, whatever became of them
        self._met = 0
        self._generation = 0  # of faults
        self._born: dict[int, int] = {}  # connections, and the generation they were made in
        self._contexts = {"good": self._context}

    def start(self) -> None:
        super().start()
        self._ignore_connections(self._bind(socket.SOCK_STREAM, DEAF, self.port))
        self._bind(socket.SOCK_STREAM, NOBODY, self.port)  # kept from others, nobody listens
        self._stranger = Network(SERVE, certificate="unknown_issuer", host=HOST, address=STRANGER, port=self.port)
        self._stranger.start()

    def close(self) -> None:
        self._stranger.close()
        super().close()

    @property
    def misled(self) -> list[dict]:
        """Requests that the stranger has got."""
        return self._stranger.requests

    # ---- faults

    @property
    def met(self) -> int:
        """How often the fault was met so far; for an answer, how often before it."""
        return len(self.queries) if self.fault.names is not None else self._met

    @property
    def place(self) -> int:
        """Which of many places it is this time that the fault is met."""
        return self.shift + self._met

    def begin(self, fault: Fault) -> None:
        """From now on this goes wrong. What was seen before is forgotten."""
        self._context_for(fault.certificate)  # keys take their time: not during a handshake
        self.requests.clear()
        self.connections.clear()
        self.queries.clear()
        self.notes = Notes()
        self._met = 0
        self._generation += 1
        self.fault = fault
        if fault.names is not None:
            self.name(fault.names)

    def heal(self) -> None:
        """Everything is well again, for new connections and new requests."""
        self.fault = HEALTHY
        self.name(steps.a(self.address))

    def _context_for(self, certificate: str) -> ssl.SSLContext | None:
        if certificate not in self._contexts:
            chain = certificates.chain("good" if certificate == "1.3" else certificate, HOST)
            version = ssl.TLSVersion.TLSv1_3 if certificate == "1.3" else ssl.TLSVersion.TLSv1_2
            self._contexts[certificate] = chain.server_context(version)
        return self._contexts[certificate]

    # ---- what Network asks

    def tls_context(self) -> ssl.SSLContext | None:
        return self._context_for(self.fault.certificate)

    def meet(self, number: int) -> dict:
        self._born[number] = self._generation
        fault = self.fault
        if fault.names is not None and not self.queries:
            # a board asks for a name again when the address that it knows is no use any more
            return steps.refuse()
        if self._over(fault):
            return SERVE
        if fault.certificate != "good" or fault.connection is not None:
            self._met += 1
        return fault.connection or SERVE

    def _over(self, fault: Fault) -> bool:
        return fault.exactly and self._met >= fault.times

    def answer_to(self, request: dict) -> dict:
        fault = self.fault
        step = None
        if fault.answer is not None and not self._over(fault):
            step = fault.answer(self, request)
            self._met += step is not None
        if step is None:
            step = self.tagoio.request(request)
        elsewhere = fault.certificate != "good" or fault.connection is not None or fault.names is not None
        if elsewhere and self._born.get(request["connection"]) != self._generation and step["do"] == "answer":
            # the fault is met by new connections: this one is let go in order
            step = {**step, "close": True}
        self._note_down(request, step)
        return step

    def _note_down(self, request: dict, step: dict) -> None:
        what = request["path"]
        if request["method"] == "POST":
            samples = [sequence_of(record) for record in self.tagoio.records(request)] or [0]
            self.last_sample = max(self.last_sample, *samples)
            what += f" {len(samples)} readings of samples {samples[0]} to {samples[-1]}"
        said = f"{step['status']} {step['body'][:60]}" if step["do"] == "answer" else step["do"]
        self.trace.append(f"{time.strftime('%X')} {self.fault.name}: {request['method']} {what} -> {said}")
