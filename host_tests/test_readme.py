"""The example of host_tests/README.md works as printed."""

import re
from pathlib import Path

from test_collector import run_pytest

README = Path(__file__).parent / "README.md"

# what the example's reader has written: an uplink that tries again
MY_UPLINK = """
import asyncio
import errno
import socket
import ssl


async def send(host, port, roots, body):
    for _ in range(10):
        try:
            return await asyncio.wait_for(_try(host, port, roots, body), 0.3)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass
    raise OSError(errno.ETIMEDOUT)


async def _try(host, port, roots, body):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    for root in roots:
        context.load_verify_locations(cadata=root)
    plain = secure = None
    try:
        plain = socket.socket()
        plain.setblocking(False)
        try:
            plain.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        secure = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        stream = asyncio.StreamWriter(secure, {})
        stream.write(b"POST /data HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
        await stream.drain()
        stream.write(body)
        await stream.drain()
        await stream.readexactly(len("HTTP/1.1 200 OK"))
    finally:
        for each in (secure, plain):
            if each is not None:
                each.close()
"""


def test_the_example_runs_on_both_runtimes(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    (example,) = [each for each in examples if "my_uplink" in each]
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "my_uplink.py").write_text(MY_UPLINK)
    (tmp_path / "device" / "test_mine.py").write_text(example)
    ran, outcomes = run_pytest(tmp_path)
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == {
        "test_my_uplink_gets_through[cpython]": "passed",
        "test_my_uplink_gets_through[micropython]": "passed",
    }, ran.stdout


def test_every_word_of_the_network_is_explained():
    from harness.guest import steps

    words = [name for name in vars(steps) if name.islower() and not name.startswith("_")]
    assert len(words) > 15
    text = README.read_text()
    assert [word for word in words if f"{word}(" not in text] == []
