"""For how long the watchdog is unfed while everything goes wrong that can: the faults of faults.py with the deadlines
of a node in the field, 20 s for an answer and not 0.3 s, in virtual time under real MicroPython.

Which reading becomes what is host_tests/test_fault_matrix.py's; here each fault lasts until the node has met it and its
deadlines have passed. A row of `make watchdog` for each class of faults.
"""

import os

import faults
import pytest
from harness import certificates
from hostile.rig import TOKEN, WATCHDOG_S
from hostile.server import HOST, Fault, Hostile
from tagonode import build
from virtualnode import FIGURES, VirtualNode

# four samples in each upload: for fewer, some faults do not show
SETTINGS = {
    "sample": {"every": 15},
    "upload": {"every": 60},
    "sensors": [{"driver": "battery", "bus": "battery"}, {"driver": "rssi", "bus": "wifi"}],
}
LASTS_S = 240
# of the PC's: whatever comes later does not come, for the board; servers of this PC answer within a few ms
PATIENCE_S = 0.03
# a slice in the suite: what goes silent, at each stage
SILENT = (
    "name server silent",
    "connect stalls",
    "after the client's hello stalled",
    "request half read stall",
    "upload stored, questions meet silence",
)


def rows() -> list[tuple[str, list[Fault]]]:
    """Classes, and the faults of each that are played."""
    if FIGURES in os.environ:
        return [(kind, list(rows)) for kind, rows in faults.CLASSES.items()]
    chosen = [fault for rows in faults.CLASSES.values() for fault in rows if fault.name in SILENT]
    assert len(chosen) == len(SILENT)
    return [("what goes silent", chosen)]


@pytest.mark.parametrize("kind, played", rows(), ids=[kind.replace(" ", "-") for kind, _ in rows()])
def test_fed_whatever_the_network_does(kind, played):
    roots = build.root_files(certificates.root_pem(), "the root of the tests")
    with Hostile(TOKEN) as server:
        extra = {"tagoio.host": HOST, "tagoio.port": server.port, "tagoio.token": TOKEN}
        with VirtualNode(SETTINGS, extra, files=dict(roots)) as node:
            node.hardware.radio.nameserver = f"127.0.0.1:{server.dns_port}"
            node.run(150)
            node.clock.patience = PATIENCE_S
            assert node.state["acknowledged"], node.console()
            longest = 0.0, "none"
            for fault in played:
                node.hardware.longest_unfed_s = 0.0
                server.begin(fault)
                node.run(LASTS_S)
                node.run_until(lambda: server.met, 3600, 60)  # its last fault may make it wait so long
                server.heal()
                longest = max(longest, (node.hardware.longest_unfed_s, fault.name))
            assert node.boots == []
            node.hardware.longest_unfed_s = longest[0]
            assert longest[0] < WATCHDOG_S
            node.figure(f"{len(played)} faults, longest at: {longest[1]}")
