"""AHT10: see drivers/aht20.py."""

from drivers.aht20 import AHT10  # noqa: F401
