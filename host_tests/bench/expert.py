"""The script of somebody who knows TLS and HTTP well and needs no queue: the yardstick of the uplink bench.

One verifying context, one kept connection, a batch in one write, nothing on flash: what the power or a failed request
takes is lost. Usage: micropython -c "import expert" ORDER.json; prints one line of JSON. See uplink.py.
"""

import gc
import json
import socket
import ssl
import sys
import time

from uplink_readings import readings, records

with open(sys.argv[1]) as file:
    order = json.load(file)

HEAD = (
    "POST /data HTTP/1.1\r\nHost: %s\r\nDevice-Token: %s\r\n"
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def connect():
    with open(order["root"], "rb") as file:
        root = file.read()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=root)
    sock = socket.socket()
    if order["nodelay"]:
        sock.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
    sock.connect(socket.getaddrinfo("127.0.0.1", order["port"])[0][-1])
    return context.wrap_socket(sock, server_hostname=order["host"])


def post(sock, batch):
    body = json.dumps(batch, separators=(",", ":")).encode()
    head = HEAD % (order["host"], order["token"], len(body))
    sock.write(head.encode() + body)
    status = sock.readline()
    length = 0
    while True:
        line = sock.readline()
        if line in (b"\r\n", b""):
            break
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    answer = json.loads(sock.read(length))
    if status.split()[1] not in (b"200", b"201", b"202") or not answer["status"]:
        raise OSError("refused: %s %s" % (status, answer))


def run():
    """Microseconds of all but taking the samples."""
    us = 0
    source = readings(order["samples"])
    sock = None
    sequence = 0
    while sequence < order["samples"]:
        samples = [sample for _, sample in zip(range(order["turn"]), source)]
        gc.collect()
        started = time.ticks_us()
        if sock is None:
            sock = connect()
        batch = []
        for ms, values in samples:
            sequence += 1
            batch += records(sequence, ms, values)
        post(sock, batch)
        us += time.ticks_diff(time.ticks_us(), started)
    if sock:
        sock.close()
    return us


print(json.dumps({"us": run()}))
