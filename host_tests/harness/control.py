"""How a device under test talks to the simulated world in pytest's process: one line of JSON each way."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any


class Control:
    """Serves [method, arguments] with answer(method, *arguments) on a TCP port of 127.0.0.1, in a thread.

    An exception of `answer` goes back to the device, which raises it as RuntimeError.
    """

    def __init__(self, answer: Callable[..., Any]):
        self._answer = answer
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection, contextlib.suppress(OSError):
                if self._closing.is_set():
                    return
                connection.settimeout(5)
                method, arguments = json.loads(connection.makefile("r").readline())
                try:
                    said = {"is": self._answer(method, *arguments)}
                except Exception as error:  # noqa: BLE001 - it is raised again on the other side
                    said = {"error": f"{type(error).__name__}: {error}"}
                connection.sendall(json.dumps(said).encode())

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._thread.join(5)
        self._server.close()
