"""DHT11: see drivers/dht22.py."""

from drivers.dht22 import DHT11  # noqa: F401
