"""`LocalCloud`: the stand-in in threads of this process, with its CA, its database and its NTP server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import time
from types import TracebackType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tagonode.cloud import lan
from tagonode.cloud.admin import add_admin_routes
from tagonode.cloud.app import Traffic, create_app
from tagonode.cloud.certificates import HOSTS, CertificateAuthority
from tagonode.cloud.connection import Connection
from tagonode.cloud.faults import Faults
from tagonode.cloud.gate import token_of
from tagonode.cloud.handshakes import Handshakes
from tagonode.cloud.limits import Quotas, RateLimits
from tagonode.cloud.listening import PLAIN, Timely, listen
from tagonode.cloud.ntp import NtpServer
from tagonode.cloud.openapi import add_document_route
from tagonode.cloud.page import PageServer
from tagonode.cloud.store import Device, Store

KEEP_ALIVE_S = 180
START_S = 15
PRUNE_S = 3600


class _Wire:
    """Counts what goes over the listening socket as Linux's TCP counts it, handshakes included."""

    # struct tcp_info: bytes_received is at 128, bytes_sent at 200, bytes_retrans at 208
    _FORMAT = struct.Struct("=128xQ64xQQ")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.accepted = 0
        self.up = 0
        self.down = 0
        self.known = sys.platform == "linux"
        self.open: dict[Any, tuple[int, int]] = {}

    def measure(self, transport: Any) -> tuple[int, int]:
        """(bytes received, bytes sent) of one connection up to now."""
        try:
            connection = transport.get_extra_info("socket")  # a closed TLS transport has lost even this
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, self._FORMAT.size)
            received, sent, again = self._FORMAT.unpack(info)
            return received, sent - again
        except (OSError, AttributeError, struct.error):
            return self.open.get(transport, (0, 0))


class _Protocol(Timely):
    """HTTP/1.1 with counting. A connection is made once its TLS handshake is through."""

    wire: _Wire
    handshakes: Handshakes

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.scheme == "https":
            self.handshakes.complete()
        with self.wire.lock:
            self.wire.open[transport] = self.wire.measure(transport)
            self.wire.accepted += 1
            number = self.wire.accepted
        # every request's scope gets a copy of it
        self.app_state = {**self.app_state, "connection": Connection(transport, number, self.wire.measure)}

    def on_response_complete(self) -> None:
        super().on_response_complete()
        with self.wire.lock:
            if self.transport in self.wire.open:
                self.wire.open[self.transport] = self.wire.measure(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        with self.wire.lock:
            up, down = self.wire.open.pop(self.transport, (0, 0))
            self.wire.up += up
            self.wire.down += down
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn's server that says when it listens, and does so on one more socket without TLS."""

    ready: threading.Event
    plain: socket.socket
    loop: asyncio.AbstractEventLoop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        kind: Any = self.config.http_protocol_class
        make = functools.partial(kind, self.config, self.server_state, self.lifespan.state, self.loop)
        self.servers.append(await self.loop.create_server(make, sock=self.plain))
        self.ready.set()

    def drop_secure(self) -> None:
        """End connections over TLS, those with a request under way after its answer. From any thread."""
        self.loop.call_soon_threadsafe(self._drop_secure)

    def _drop_secure(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.scheme == "https":
                with contextlib.suppress(h11.LocalProtocolError):  # it is ending already
                    connection.shutdown()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        connections = [c for c in self.server_state.connections if isinstance(c, H11Protocol)]
        idle = [c for c in connections if c.cycle is None or c.cycle.response_complete]
        for connection in idle:
            connection.shutdown()
        await asyncio.sleep(0.01)
        for connection in idle:  # do not wait for a client to say good-bye too
            connection.transport.abort()
        await super().shutdown(sockets)


class LocalCloud:
    """A TagoIO of one's own on `https://localhost:PORT`, listening when the constructor returns.

        with LocalCloud() as cloud:
            token = cloud.create_device("greenhouse")
            ...  # POST cloud.url + "/data" with Device-Token, trusting cloud.ca_der
            assert cloud.count(token) == 100

    `port`, `ntp_port`: 0 for any free one. `db`: the database's file, whose CA and tokens are kept beside it
    and which survives a killed process; without it everything is thrown away by `stop()`. `clock` gives the
    Unix seconds that the API and NTP go by. Raises OSError when a port is taken and ValueError when `db` is
    no database of ours. `limits`: how many requests a minute are taken, any number unless set, and what came; `quotas`
    the same for records a month and devices. `host`: where to listen; another one than loopback opens it to a network,
    under `names` in the certificate. `page`: with the live page, on `page_port` (None: the usual one where it is free).
    `faults`: what it does to a device on request; `tls`: the certificate that connections meet, a bad one on request.
    """

    FIRST_DEVICE = "First device"

    def __init__(
        self,
        port: int = 0,
        db: str | Path | None = None,
        host: str = "127.0.0.1",
        ntp_port: int = 0,
        clock: Callable[[], float] = time,
        page: bool = False,
        page_port: int | None = None,
    ):
        self._clock = clock
        self.host = host
        self.names = lan.names(host)
        self.temporary = db is None
        self.page: PageServer | None = None
        self._stopping = threading.Lock()
        self._stopped = False
        self._ended = threading.Event()
        self._cleanup = contextlib.ExitStack()
        try:
            if db is None:
                folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tagonode-cloud-")))
                self.db = folder / "cloud.sqlite"
            else:
                self.db = Path(db).absolute()
                if not self.db.parent.is_dir():
                    raise ValueError(
                        f"{self.db.parent} is not a folder; make it, or name another place for the database"
                    )
            listener = self._cleanup.enter_context(listen(host, port))
            plain = self._cleanup.enter_context(listen(host, 0))
            self.port: int = listener.getsockname()[1]
            self._plain_port: int = plain.getsockname()[1]
            self.store = Store(self.db, durable=db is not None)
            self._cleanup.callback(self.store.close)
            hosts = (*HOSTS, *self.names)
            self._ca = CertificateAuthority(_ca_folder(self.db, db is None), hosts)
            self.tls = Handshakes(self._ca, hosts, lambda: self._server.drop_secure())
            self._ntp = NtpServer(host, ntp_port, clock)
            self._cleanup.callback(self._ntp.stop)
            self.limits = RateLimits()
            self.quotas = Quotas()
            api = create_app(self.store, self.limits, self.quotas, clock)
            self.faults = Faults(api, self._device_of)
            add_admin_routes(api, api.state.gate, self.faults, self.tls)
            add_document_route(api)
            self.traffic = Traffic(api, clock)
            self.traffic.intercept = self.faults.intercept
            self._wire = _Wire()
            self.account_token = self.store.account_token
            self.network_token = self.store.network_token
            self.device_token = self.store.token_of_first_device() or self.create_device(self.FIRST_DEVICE)
            if page:
                self.page = PageServer(self, host, page_port)
            self._pruner = threading.Thread(target=self._prune, name="cloud-prune", daemon=True)
            self._pruner.start()
            self._cleanup.callback(self._ended.set)
            self._start(listener, plain)
            if self.page is not None:
                self._cleanup.callback(self.page.stop)
                self.page.start()
        except BaseException:
            self._cleanup.close()
            raise

    def _start(self, listener: socket.socket, plain: socket.socket) -> None:
        # what uvicorn has to tell about strange clients is not for the user of a simulation
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        protocol = type("_CountingProtocol", (_Protocol,), {"wire": self._wire, "handshakes": self.tls})
        config = uvicorn.Config(
            self.page.recorder.around(self.traffic) if self.page else self.traffic,
            http=protocol,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            ssl_context_factory=lambda config, default: self.tls.context,
            **PLAIN,
        )
        self._server = _Server(config)
        self._server.ready = threading.Event()
        self._server.plain = plain
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="cloud", daemon=True)
        self._thread.start()
        self._cleanup.callback(self._join)
        if not self._server.ready.wait(START_S):
            raise RuntimeError(f"The local TagoIO did not start within {START_S} s")

    def _prune(self) -> None:
        """Forget what immutable devices no longer keep: at the start, and then every hour."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            while True:
                self.store.prune(self.now_ms())
                if self._ended.wait(PRUNE_S):
                    return

    def _join(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def _device_of(self, headers: dict[str, str]) -> str | None:
        access = self.store.access(token_of(headers))
        return access.device.id if access and access.device else None

    # -- where and with what -------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The API's base address."""
        return f"https://{self.names[0] if self.names else 'localhost'}:{self.port}"

    @property
    def plain_url(self) -> str:
        """The same API without TLS, on a free port: for those who want no more than its `Date`."""
        return f"http://localhost:{self._plain_port}"

    @property
    def ntp_address(self) -> str:
        """`host:port` of the NTP server, UDP."""
        if self.names:
            return f"{self.names[0]}:{self._ntp.address.rpartition(':')[2]}"
        return self._ntp.address

    @property
    def ca_pem(self) -> bytes:
        """The root certificate, PEM."""
        return self._ca.root_pem

    @property
    def ca_der(self) -> bytes:
        """The root certificate, DER, as boards take it."""
        return self._ca.root_der

    @property
    def ca_file(self) -> Path:
        """The root certificate's PEM file."""
        return self._ca.root_pem_file

    @property
    def token_file(self) -> Path:
        """A file beside the CA with the first device's token, for its owner's eyes: commands can name that instead."""
        path = self._ca.folder / "device.token"
        if not path.exists() or path.read_text() != self.device_token:
            path.touch(mode=0o600)
            path.write_text(self.device_token)
        return path

    def now_ms(self) -> int:
        """Unix ms by the stand-in's clock."""
        return int(self._clock() * 1000)

    # -- what a test or a simulation does behind the API's back --------------------------------------------

    def create_device(self, name: str, type: str = "immutable", token: str | None = None, **fields: Any) -> str:
        """Add a device and return its token. More `fields` as in Store.create_device."""
        return self.store.create_device(name, type, token, **fields)[1]

    def device(self, token: str) -> Device:
        """The device that a token opens. Raises KeyError, which does not repeat the token."""
        access = self.store.access(token)
        if access is None or access.device is None:
            raise KeyError("no device has this token")
        return access.device

    def set_parameter(self, token: str, key: str, value: str) -> str:
        """Set a configuration parameter of the token's device, unread. Returns its id."""
        return self.store.set_parameter(self.device(token), key, value)

    def count(self, token: str | None = None) -> int:
        """How many records the token's device holds, or all devices together."""
        return self.store.count(None if token is None else self.device(token))

    def records(self, token: str) -> list[dict[str, Any]]:
        """Every record of the token's device in order of arrival, as GET /data?details=true gives them."""
        return self.store.records(self.device(token))

    # -- counters -------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """HTTP requests that have arrived."""
        return self.traffic.requests

    @property
    def connections(self) -> int:
        """Connections whose TLS handshake was completed: the number of good handshakes."""
        return self.tls.completed

    @property
    def handshakes(self) -> int:
        """TLS handshakes begun by clients, whether or not they were completed."""
        return self.tls.begun

    @property
    def ntp_requests(self) -> int:
        """NTP requests answered."""
        return self._ntp.requests

    @property
    def wire_bytes(self) -> tuple[int, int] | None:
        """(up, down): bytes of TCP payload received and sent so far, TLS included; None where nobody counts.

        Connections whose handshake failed are not in it, nor are the last bytes of a closing one.
        """
        if not self._wire.known:
            return None
        with self._wire.lock:
            counts = [self._wire.measure(transport) for transport in self._wire.open]
            return self._wire.up + sum(up for up, _ in counts), self._wire.down + sum(down for _, down in counts)

    def stop(self) -> None:
        """Close the connections, the database and the ports. Calling it again does nothing."""
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._cleanup.close()

    def __enter__(self) -> LocalCloud:
        """Itself: it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def _ca_folder(db: Path, temporary: bool) -> Path:
    return db.parent / "ca" if temporary else db.with_name(db.name + ".ca")
