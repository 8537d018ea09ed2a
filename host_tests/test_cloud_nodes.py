"""The local TagoIO is killed in the middle of a node's run and started again: the node carries on, nothing is lost."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from harness import commands
from tagonode.cloud import LocalCloud
from test_cloud_restart import Process

TAGONODE = Path(sys.executable).parent / "tagonode"
SAMPLES = 60
CHANNELS = 5


def records_of(server):
    """How many records its first device holds, by itself."""
    from cloud_client import Client

    with Client(server, server.token) as client:
        return client.get("/data?query=count")


def test_a_node_carries_on_after_the_server_was_killed(tmp_path):
    db = tmp_path / "cloud.sqlite"
    server = Process(f"db={str(db)!r}, json=True")
    command = [TAGONODE, "simulate", "--samples", SAMPLES, "--sample-every", "0.1", "--upload-every", "0.5", "--json"]
    command += ["--url", server.said["url"], "--ca", server.said["ca"], "--token", server.token]
    node = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()
    try:
        while not (held := records_of(server)) and node.poll() is None:
            ended.wait(0.05)
        assert held, node.communicate()
        server.end(signal.SIGKILL)
        server = Process(f"db={str(db)!r}, json=True, port={server.port}")
        out, err = node.communicate(timeout=180)
        commands.show(err)
        result = json.loads(out.splitlines()[-1])
        assert (node.returncode, result["conserved"], result["queued"]) == (0, True, 0)
        assert held < SAMPLES * CHANNELS
    finally:
        node.kill()
        server.end(signal.SIGTERM)
    with LocalCloud(db=db) as cloud:
        rows = cloud.records(cloud.device_token)
    readings = {(row["group"], row["variable"]) for row in rows}
    assert len(readings) == SAMPLES * CHANNELS
    # one POST's answer may be lost to the kill, and then asked about: nothing is stored twice
    assert len(rows) == len(readings)
