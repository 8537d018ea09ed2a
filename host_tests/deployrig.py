"""What deployments are tested on: a local TagoIO with its name and time, a virtual board on a pty, a node.toml."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness import boards, commands
from tagonode import build, deploy
from tagonode.cloud.server import LocalCloud
from tagonode.virtual import image
from tagonode.virtual.nameserver import NameServer

TAGONODE = Path(sys.executable).parent / "tagonode"
PASSWORD = "no password"
SENSORS = tuple({"driver": name, "bus": "i2c0"} for name in ("bme280", "sht4x", "bh1750"))
NODE = """
board = "{board}"
[tagoio]
host = "localhost"
port = {port}
[ntp]
servers = ["{ntp}"]
[wifi]
networks = ["field"]
[sample]
every = {every}
[upload]
every = {upload}
"""
_NO_VERSION = ("/incoming/", "/queue/", "/events/", "/crashes")
SENSOR = '[[sensors]]\ndriver = "{}"\nbus = "i2c0"\n'


class Rig:
    """board: harness.boards.Board; cloud: the local TagoIO; folder: of node.toml, secrets.toml and ca.pem."""

    def __init__(self, folder: Path, cloud: LocalCloud, board: boards.Board, name: str):
        self.folder, self.cloud, self.board, self.name = folder, cloud, board, name
        self.node = folder / "node.toml"
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(cloud.ca_pem)
        self.write_node()
        self.write_secrets(cloud.device_token)

    def write_node(self, *drivers: str, every: float = 0.5, upload: float = 1, more: str = "") -> None:
        """node.toml with these sensors, a BME280 unless told."""
        head = NODE.format(
            board=self.name, port=self.cloud.port, ntp=self.cloud.ntp_address, every=every, upload=upload
        )
        self.node.write_text(head + more + "".join(map(SENSOR.format, drivers or ("bme280",))))

    def write_secrets(self, token: str, password: str = PASSWORD) -> None:
        (self.folder / "secrets.toml").write_text(f'token = "{token}"\nwifi_password = "{password}"\n')

    def command(self, *more: object) -> list[str]:
        return [*map(str, (TAGONODE, "deploy", self.node, "--port", self.board.port, "--ca", self.ca, *more))]

    def run(self, *more: object) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return commands.run(*self.command(*more), timeout=90)

    def job(self, wait: float = 0) -> deploy.Job:
        """What the command does, for this process: its .run(port, tell)."""
        secrets = deploy.Secrets(self.cloud.device_token, PASSWORD)
        return deploy.Job(build.make(self.node, self.ca), lambda serial: secrets, wait)

    def deployed(self, wait: float = 0) -> deploy.Outcome:
        """Deploy in this process, which succeeds."""
        outcome = self.job(wait).run(self.board.port, lambda *said: None)
        assert outcome.error is None, outcome
        return outcome

    def files(self) -> dict[str, bytes]:
        """What node.toml has on its board."""
        return build.make(self.node, self.ca).files(self.cloud.device_token, PASSWORD)

    def flash(self) -> dict[str, bytes]:
        """All files on the board, which is off."""
        with image.mounted(self.board.flash, self.board.geometry) as files:
            return {
                f"{folder.rstrip('/')}/{name}": files.open(f"{folder.rstrip('/')}/{name}", "rb").read()
                for folder, _, names in files.walk("/")
                for name in names
            }

    def version(self) -> dict[str, bytes]:
        """What of the flash is the firmware: not what arrives, not what the node keeps. The board is off."""
        return {path: data for path, data in self.flash().items() if not path.startswith(_NO_VERSION)}

    def fresh(self, *drivers: str, more: dict[str, bytes | str] | None = None, **values: Any) -> int:
        """Start the board with a new flash, on which node.toml with these sensors is deployed, and `more` files lie.

        Returns how many lines it has printed before.
        """
        self.board.board.power_cut()
        self.board.flash.unlink()
        self.write_node(*drivers, **values)
        return self.board.restart({**self.files(), **(more or {})})

    def states(self, since: int = 0) -> list[dict[str, Any]]:
        """The state lines that the board has printed."""
        found = []
        for line in self.board.lines[since:]:
            if line.startswith("@{"):
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line[1:]))
        return found

    def wait_for_delivery(self, since: int = 0) -> None:
        """Until the node says that it has delivered, after so many lines."""
        self.board.wait(lambda: any(state["verdict"] == "accepted" for state in self.states(since)))


@contextmanager
def rig(folder: Path, name: str = "pico_w", files: dict[str, bytes | str] | None = None) -> Iterator[Rig]:
    """A board that runs, with these files on its flash, beside a local TagoIO that knows its device."""
    with ExitStack() as stack:
        cloud = stack.enter_context(LocalCloud())
        names = stack.enter_context(NameServer())
        made = stack.enter_context(boards.board(files, name, SENSORS, names.address))
        yield Rig(folder, cloud, made, name)
