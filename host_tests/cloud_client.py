"""A plain client for the tests of the local TagoIO, which trusts the given root and nothing else."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any


def trusting(root_pem: bytes) -> ssl.SSLContext:
    """A verifying client context whose only root is `root_pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root_pem.decode())
    return context


class Client:
    """One kept connection to a LocalCloud. `call` gives (HTTP status, decoded body)."""

    def __init__(self, cloud: Any, token: str | None = None, header: str = "Device-Token"):
        self.connection = http.client.HTTPSConnection("localhost", cloud.port, context=trusting(cloud.ca_pem))
        self.headers = {header: token} if token else {}
        self.answer_headers: Any = None

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if raw is not None else {}
        self.connection.request(method, path, raw, {**kind, **self.headers, **(headers or {})})
        answer = self.connection.getresponse()
        self.answer_headers = answer.headers
        return answer.status, json.loads(answer.read())

    def get(self, path: str) -> Any:
        """The result of a GET that must be accepted."""
        status, body = self.call("GET", path)
        assert (status, body["status"]) == (200, True), body
        return body["result"]

    def post(self, body: Any) -> tuple[int, dict[str, Any]]:
        return self.call("POST", "/data", body)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
