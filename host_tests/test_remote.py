"""Remote settings: what a person edits at TagoIO, and what the node makes of it; the whole firmware under real
MicroPython, in virtual time. Each scenario gives its figure.
"""

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from virtualnode import VirtualNode

WDT_RESET, HARD_RESET = 3, 2
MINUTE = {"remote": {"every": 60}}


def large_root() -> str:
    """A root certificate whose PEM has more than 3 KB."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Large root")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(2000)), False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


class Editor:
    """A person at TagoIO's page: mixed into a VirtualNode."""

    token: str
    cloud: Any

    def edit(self, parameters: dict[str, str] | None = None, **more: str) -> None:
        """sample__every for "sample.every"."""
        for key, value in {**(parameters or {}), **more}.items():
            self.cloud.set_parameter(self.token, key.replace("__", "."), value)

    def unread(self) -> dict[str, str]:
        """What TagoIO has that is not marked as read."""
        rows = self.cloud.store.parameters(self.cloud.device(self.token), None)
        return {row["key"]: row["value"] for row in rows if not row["sent"]}

    def told(self) -> list[str]:
        """What it has reported, in order of arrival."""
        return [record["value"] for record in self.records() if record["variable"] == "settings"]

    def obeys(self, seconds: float = 600) -> None:
        """Let time pass until nothing is unread."""
        self.run_until(lambda: not self.unread(), seconds)


class Node(Editor, VirtualNode):
    """A node that looks for parameters once a minute."""

    def __init__(self, settings: dict[str, Any] | None = None, **options: Any):
        super().__init__({**MINUTE, **(settings or {})}, **options)


def test_an_edited_interval_is_obeyed():
    with Node() as node:
        node.run(600)
        before = node.state["samples"]
        assert 9 <= before <= 11 and node.boots == []
        node.edit(sample__every="10")
        node.obeys(120)
        assert node.told() == ["sample.every = 10: applied"]
        began = node.state["samples"]
        node.run(600)
        assert 59 <= node.state["samples"] - began <= 61
        assert len(node.boots) == 1
        node.power_cycle()
        node.run(600)
        assert node.state["samples"] - began >= 118
        assert len(node.told()) == 1
        node.edit(sample__every="")  # as the deployment has it
        node.obeys(120)
        began = node.state["samples"]
        node.run(600)
        assert 9 <= node.state["samples"] - began <= 11
        assert node.told()[1:] == ["sample.every: applied"]
        node.check()
        node.figure(f"{len(node.boots)} starts, {len(node.told())} reports")


REFUSED = {
    "sample.every": ("0.001", " = 0.001: refused: has to be from 0.02 to 86400.0 seconds"),
    "upload.samples": ("many", " = many: refused: has to be a number"),
    "upload.body": ("1e400", " = 1e400: refused: has to be a number"),
    "log.level": ("loud", " = loud: refused: has to be one of error, warning, info, debug"),
    "led.on": ("yes", " = yes: refused: has to be true or false"),
    "remote.every": ("0", " = 0: refused: cannot be 0 from here: remote settings would be over for good"),
    "tagoio.host": ("example.com", " = example.com: refused: can be changed by tagonode deploy alone"),
    "check_rate": ("600", ": refused: there is no such setting"),
    "temperature.ofset": ("1", ": refused: there is no such setting"),
    "humidity.maximum": ("-5", " = -5: refused: minimum has to be less than maximum"),
    "pressure.alarm.hysteresis": ("5", " = 5: refused: needs alarm.above or alarm.below"),
    "root": ("MIIBnonsense", " = 12 characters: refused: is no certificate: give one, as PEM or in base64"),
    "command": ("explode", " = explode: refused: give reboot, flush, identify, or maintenance and 1 to 1440 minutes"),
}


def test_what_will_not_do_is_refused_with_the_reason_and_the_rest_applied():
    with Node() as node:
        node.run(60)
        node.edit(humidity__minimum="5", bme280__every="120")
        node.edit({key: value for key, (value, _) in REFUSED.items()})
        node.obeys(300)
        expected = [key + text for key, (_, text) in REFUSED.items()]
        expected += ["humidity.minimum = 5: applied", "bme280.every = 120: applied"]
        assert sorted(node.told()) == sorted(expected)
        boots = len(node.boots)
        assert boots == 1
        node.run(3600)
        assert len(node.told()) == len(expected) and len(node.boots) == boots
        # edited, it is tried again
        node.edit(upload__samples="4")
        node.obeys(300)
        assert node.told()[len(expected) :] == ["upload.samples = 4: applied"]
        node.check()
        node.figure(f"{len(expected)} parameters, {len(REFUSED)} refused, each told once")


def test_sixty_at_once_a_large_root_among_them():
    """As many as a device has; the answer is four times as large as the buffer that answers are kept in."""
    root = large_root()
    assert len(root) > 3000
    with Node(heap_kib=192) as node:
        node.run(60)
        node.edit(root=root, sample__every="20", temperature__offset="-0.5")
        node.edit({f"somebody_elses_parameter_{i}": str(i) * 20 for i in range(57)})
        node.obeys(600)
        told = node.told()
        assert len(told) == 60 and len(set(told)) == 60
        assert [text for text in told if "refused" not in text] == [
            f"root = {len(root)} characters: applied",
            "sample.every = 20: applied",
            "temperature.offset = -0.5: applied",
        ]
        node.run(600)
        assert len(node.boots) == 1
        node.check()
        node.figure(f"{sum(map(len, told))} bytes of reports, heap {node._heap_kib} KiB, {len(node.boots)} start")
