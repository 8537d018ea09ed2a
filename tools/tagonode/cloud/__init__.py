"""A local stand-in for TagoIO: its HTTP API over TLS with an own CA, SQLite behind it, and an NTP server.

For the bench and for tests. `LocalCloud` runs it inside this process, `tagonode cloud` by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagonode.cloud.server import LocalCloud

__all__ = ["LocalCloud"]


def __getattr__(name: str) -> Any:
    # FastAPI and uvicorn take half a second to import: only those who start a server wait for them
    if name == "LocalCloud":
        from tagonode.cloud.server import LocalCloud

        return LocalCloud
    raise AttributeError(name)
