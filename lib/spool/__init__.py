"""A durable queue of samples in a folder of flash. README.md is the interface, FORMAT.md the bytes."""

from spool.queue import Spool, SpoolError  # noqa: F401 - what the package offers
