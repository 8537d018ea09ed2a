"""The stand-in's live page: `PageServer` beside a LocalCloud. See README.md here."""

from tagonode.cloud.page.server import PageServer

__all__ = ["PageServer"]
