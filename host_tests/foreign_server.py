"""A server that is not ours: answers POST /data as TagoIO does and 404 to everything else, over TLS with a chain.

For tests that need to know what leaves a node, independent of the stand-in: Python's http.server, trustme's
certificates (root, intermediate, leaf).
"""

import contextlib
import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import trustme


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ForeignServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers)))
        if self.path != "/data":
            self._say(404, {"status": False, "message": "Route Not Found"})
            return
        records = json.loads(body)
        self.server.records += records
        self._say(200, {"status": True, "result": f"{len(records)} Data Added"})

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self._say(404, {"status": False, "message": "Route Not Found"})

    def _say(self, status: int, answer: dict) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class ForeignServer(http.server.ThreadingHTTPServer):
    """`requests`: (path, headers) of all that came through TLS; `records`: what was accepted, in order of arrival."""

    daemon_threads = True

    def __init__(self, folder: Path, name: str = "localhost", not_after: datetime.datetime | None = None):
        root = trustme.CA()
        leaf = root.create_child_ca().issue_cert(name, not_after=not_after)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(self.context)
        self.ca_file = folder / "root.pem"
        root.cert_pem.write_to_path(str(self.ca_file))
        self.requests: list[tuple[str, dict]] = []
        self.records: list[dict] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_address[1]}"

    def get_request(self):
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a board that does not trust us hangs up: that is what the tests are about


@contextlib.contextmanager
def foreign_server(folder: Path, **options) -> Iterator[ForeignServer]:
    """A running ForeignServer, its root certificate in `folder`."""
    server = ForeignServer(folder, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
