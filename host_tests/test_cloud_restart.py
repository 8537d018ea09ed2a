"""What the local TagoIO keeps: a killed process, a restart, its command line, files it cannot use."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from cloud_client import Client, trusting
from harness import commands
from tagonode.cloud import LocalCloud
from tagonode.cloud.certificates import CertificateAuthority

COMMAND = "import sys; from tagonode.cloud.command import start_cloud_command as run; sys.exit(run({}))"


class Process:
    """`tagonode cloud --json` in a process of its own, with what a Client needs to know of it."""

    def __init__(self, arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.said = json.loads(line)
        self.port = int(self.said["url"].rpartition(":")[2])
        self.ca_pem = Path(self.said["ca"]).read_bytes()
        self.token = self.said["device_token"]

    def end(self, number):
        """Send a signal; (exit status, rest of stdout, stderr)."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        commands.show(out, err)
        return self.process.returncode, out, err


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path):
    db = tmp_path / "cloud.sqlite"
    acknowledged = []
    identities = set()
    for kill_after in (0, 7, 23):
        server = Process(f"db={str(db)!r}, json=True")
        identities.add((server.token, server.said["account_token"], server.ca_pem))
        killer = threading.Event()

        def kill(server=server, killer=killer):
            killer.wait(20)
            os.kill(server.process.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        run = len(identities) * 1000 + kill_after
        with Client(server, server.token) as client:
            for n in range(100_000):
                group = f"g{run}_{n}"
                if n == kill_after:
                    killer.set()
                try:
                    status, _ = client.post([{"variable": "v", "value": i, "group": group} for i in range(50)])
                except (OSError, ValueError, http.client.HTTPException):
                    break
                assert status == 200
                acknowledged.append(group)
        thread.join()
        server.process.communicate(timeout=20)
    assert len(identities) == 1
    assert len(acknowledged) >= 30
    with LocalCloud(db=db) as cloud:
        (token, account_token, ca_pem) = identities.pop()
        assert (cloud.device_token, cloud.account_token, cloud.ca_pem) == (token, account_token, ca_pem)
        groups = [record["group"] for record in cloud.records(token)]
    stored = dict.fromkeys(groups)
    assert {groups.count(group) for group in stored} == {50}  # whole or not at all
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 3  # the one in flight at each kill


def test_the_command_says_where_it_is_and_ends_cleanly(tmp_path):
    server = Process(f"db={str(tmp_path / 'c.sqlite')!r}, json=True")
    assert set(server.said) == {"url", "ca", "account_token", "device_token", "page"}
    assert server.said["url"] == f"https://localhost:{server.port}"
    with urllib.request.urlopen(server.said["page"]) as page:
        assert "<title>Fleet" in page.read().decode()
    with Client(server, server.token) as client:
        client.get("/info")
        assert server.end(signal.SIGTERM) == (0, "", "")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"c.sqlite", "c.sqlite.ca"}  # the write-ahead log is folded in
    assert oct((tmp_path / "c.sqlite").stat().st_mode & 0o777) == "0o600"


def test_the_command_without_a_file_leaves_nothing_behind():
    server = Process("json=True")
    folder = Path(server.said["ca"]).parent.parent
    assert folder.is_dir()
    assert server.end(signal.SIGINT) == (0, "", "")
    assert not folder.exists()


def test_the_command_for_people(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", COMMAND.format("")], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(7)]
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()
    assert lines[0].startswith("Page           http://127.0.0.1:")
    assert lines[1].startswith("Local TagoIO   https://localhost:")
    assert "--db" in lines[6]


def test_a_taken_port_is_said_in_one_line():
    with LocalCloud() as cloud:
        ended = commands.run(sys.executable, "-c", COMMAND.format(f"port={cloud.port}"), timeout=20)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert str(cloud.port) in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_files_that_are_no_database_of_ours(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("dear diary, " * 100)
    foreign = tmp_path / "other.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE theirs (x)")
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    for path, why in [(text, "not a database"), (foreign, "something else"), (newer, "newer TagoNode")]:
        before = path.read_bytes()
        with pytest.raises(ValueError, match=why):
            LocalCloud(db=path)
        assert path.read_bytes() == before
        assert sorted(tmp_path.iterdir()) == [newer, text, foreign]
    with pytest.raises(ValueError, match="is not a folder"):
        LocalCloud(db=tmp_path / "missing" / "x.sqlite")


def test_stopping_twice_and_starting_again_on_the_same_port():
    cloud = LocalCloud()
    port, ntp_port = cloud.port, int(cloud.ntp_address.rpartition(":")[2])
    cloud.stop()
    cloud.stop()
    with LocalCloud(port=port, ntp_port=ntp_port) as again:
        assert (again.port, again.ntp_address) == (port, f"127.0.0.1:{ntp_port}")
        assert again.device_token != cloud.device_token


def test_the_ca_is_kept_and_a_damaged_part_is_replaced_under_the_same_root(tmp_path):
    first = CertificateAuthority(tmp_path)
    root, chain = first.root_pem, first.chain_file.read_bytes()
    assert CertificateAuthority(tmp_path).chain_file.read_bytes() == chain
    for name in ("chain.pem", "leaf.key", "root.der"):
        (tmp_path / name).write_bytes(b"torn")
        if name == "root.der":
            (tmp_path / name).unlink()
        again = CertificateAuthority(tmp_path)
        assert again.root_pem == root
        trusting(again.root_pem)
        assert again.root_der == first.root_der
    assert CertificateAuthority(tmp_path, ("localhost", "bench.local")).root_pem == root
    stranger = CertificateAuthority(tmp_path / "stranger")
    for name in ("chain.pem", "leaf.key"):
        (tmp_path / name).write_bytes((stranger.folder / name).read_bytes())
    again = CertificateAuthority(tmp_path)
    assert again.root_pem == root
    assert again.chain_file.read_bytes() != stranger.chain_file.read_bytes()
    (tmp_path / "root.pem").unlink()
    assert CertificateAuthority(tmp_path).root_pem != root
    for path in tmp_path.glob("*.key"):
        assert path.stat().st_mode & 0o077 == 0
