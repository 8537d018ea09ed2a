# ruff: noqa: F821
# mypy: ignore-errors
#
# TagoNode in a firmware of your own, its code in flash instead of the heap:
#
#   make -C ports/rp2 BOARD=RPI_PICO_W FROZEN_MANIFEST=<TagoNode>/firmware/manifest.py
#   make -C ports/esp32 BOARD=ESP32_GENERIC_S3 FROZEN_MANIFEST=<TagoNode>/firmware/manifest.py
#
# boot.py, main.py, roots and settings stay files of the board: README.md says how they come there. urequests stays out,
# since firmware for network boards has one of its own.
metadata(description="TagoNode: sensor nodes for TagoIO", license="MIT")

include("$(PORT_DIR)/boards/manifest.py")  # asyncio, onewire, ds18x20, dht
require("ssl")
package("agent")
package("boards", base_path="..")
package("drivers", base_path="../lib")
package("http1", base_path="../lib")
package("session", base_path="../lib")
package("spool", base_path="../lib")
package("tagoio", base_path="../lib")
