"""A fleet's load on the local TagoIO over verified TLS: every node POSTs once a second, for a minute.

    .venv/bin/python host_tests/bench/cloud_load.py [--nodes 200] [--records 5] [--seconds 60] [--no-page]

`tagonode cloud --db` runs in a process of its own, so that each POST is flushed to the disk, and the page's overview
is asked for as often as an open browser asks. Each node keeps one connection. A latency counts from the moment at which
the node was due to send, so that a server that lags behind cannot hide it. Ends with 1 when a request failed or a
record is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_S = 20
PAGE_EVERY_S = 0.7  # a page that is looked at asks no more often
VARIABLES = ("temperature", "humidity", "pressure", "battery", "rssi")


class Link:
    """One connection that is kept; `ask` gives (status, body)."""

    def __init__(self, url: str, context: ssl.SSLContext | None):
        parts = urlsplit(url)
        self._host, self._port, self._context = parts.hostname or "localhost", parts.port or 443, context
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        name = self._host if self._context else None
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname=name
        )

    async def ask(self, method: str, path: str, token: str, body: bytes = b"") -> tuple[int, bytes]:
        if self._reader is None or self._writer is None:
            await self.open()
        assert self._reader is not None
        assert self._writer is not None
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nDevice-Token: {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(answer[9:12]), await self._reader.readexactly(int(length[15:]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _body(number: int, second: int, records: int) -> bytes:
    at, group = time.time_ns() // 1_000_000, f"l{number}_{second}"
    return json.dumps(
        [
            {"variable": VARIABLES[i % 5], "value": 20 + i + second % 10 / 10, "unit": "u", "time": at, "group": group}
            for i in range(records)
        ],
        separators=(",", ":"),
    ).encode()


def _spread(seconds: list[float]) -> str:
    ms = [1000 * one for one in sorted(seconds)] or [0.0]
    return f"median {ms[len(ms) // 2]:.1f} ms, p99 {ms[int(len(ms) * 0.99)]:.1f} ms, most {ms[-1]:.1f} ms"


async def _node(link: Link, token: str, number: int, due: float, args: argparse.Namespace, took: list[float]) -> int:
    """Returns how many of its requests failed."""
    failed = 0
    for second in range(args.seconds):
        await asyncio.sleep(max(0, due + second - time.monotonic()))
        body = _body(number, second, args.records)
        try:
            status, answer = await link.ask("POST", "/data", token, body)
            good = status == 200 and json.loads(answer)["status"] is True
        except (OSError, EOFError, TimeoutError, ValueError, StopIteration) as error:
            print(f"node {number}: {error!r}", file=sys.stderr)
            return failed + args.seconds - second
        failed += not good
        took.append(time.monotonic() - due - second)
    return failed


async def _watch(page: str, took: list[float]) -> None:
    link = Link(page, None)
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            begin = time.monotonic()
            status, _ = await link.ask("GET", "/page/api/fleet", "")
            assert status == 200, status
            took.append(time.monotonic() - begin)
            await asyncio.sleep(PAGE_EVERY_S)
    link.close()


async def run(said: dict[str, str], pid: int, args: argparse.Namespace) -> int:
    """Load the stand-in that said where it is; prints the figures. Returns the exit status."""
    context = ssl.create_default_context(cafile=said["ca"])
    owner = Link(said["url"], context)
    tokens = []
    for number in range(args.nodes):
        status, answer = await owner.ask(
            "POST", "/device", said["account_token"], json.dumps({"name": f"node {number:03}"}).encode()
        )
        assert status == 201, answer
        tokens.append(json.loads(answer)["result"]["token"])
    links = [Link(said["url"], context) for _ in tokens]
    for link in links:
        await link.open()
    took: list[float] = []
    seen: list[float] = []
    watcher = asyncio.create_task(_watch(said["page"], seen)) if args.page else None
    begin, cpu = time.monotonic() + 0.5, _cpu_s(pid)
    nodes = [_node(links[n], tokens[n], n, begin + n / args.nodes, args, took) for n in range(args.nodes)]
    failed = sum(await asyncio.gather(*nodes))
    seconds = time.monotonic() - begin
    cpu = _cpu_s(pid) - cpu
    if watcher is not None:
        watcher.cancel()
        await watcher
    held = 0
    for token in tokens:
        _, answer = await owner.ask("GET", "/data?query=count", token)
        held += json.loads(answer)["result"]
    for link in (owner, *links):
        link.close()
    wanted = args.nodes * args.seconds * args.records
    print(
        f"{args.nodes} nodes, {len(took):,} requests in {seconds:.0f} s, {failed} failed; "
        f"{held / seconds:,.0f} records a second, {held:,} of {wanted:,} stored\n"
        f"latency: {_spread(took)}; server's CPU {cpu / seconds:.0%} of one processor"
    )
    if seen:
        print(f"page's overview, {len(seen)} times: {_spread(seen)}")
    return int(bool(failed) or held != wanted)


def main() -> int:
    """Start a stand-in, load it, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--records", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--no-page", dest="page", action="store_false")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tagonode.cli", "cloud", "--json", "--db", str(Path(folder) / "load.sqlite")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                return asyncio.run(run(json.loads(server.stdout.readline()), server.pid, args))
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
