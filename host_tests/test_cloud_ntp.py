"""The local TagoIO's time server, asked by hand-made packets: RFC 4330 section 4 and RFC 5905 section 7.3."""

import socket
import struct
import time

import pytest
from tagonode.cloud.ntp import NtpServer

SECONDS_1900_TO_1970 = 2208988800


def ask(server, request):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(request, (server.host, server.port))
        return client.recvfrom(512)[0]


def request(first_byte=0b00_100_011, transmit=b"\x01\x02\x03\x04\x05\x06\x07\x08"):
    return bytes([first_byte, 0, 6]) + bytes(37) + transmit


@pytest.fixture
def server():
    server = NtpServer(clock=lambda: 1_774_960_215.25)
    yield server
    server.stop()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_field_of_the_answer(server, version):
    answer = ask(server, request(version << 3 | 3))
    assert len(answer) == 48
    leap, answered_version, mode = answer[0] >> 6, answer[0] >> 3 & 7, answer[0] & 7
    stratum, poll, precision = struct.unpack("!Bbb", answer[1:4])
    delay, dispersion = struct.unpack("!iI", answer[4:12])
    reference, originate, receive, transmit = (struct.unpack("!II", answer[i : i + 8]) for i in (16, 24, 32, 40))
    assert (leap, answered_version, mode) == (0, version, 4)
    assert (stratum, poll) == (1, 6)
    assert -30 <= precision <= -6
    assert (delay, dispersion) == (0, 0)
    assert answer[12:16] == b"LOCL"
    assert originate == (0x01020304, 0x05060708)
    now = (1_774_960_215 + SECONDS_1900_TO_1970, 0x40000000)
    assert reference == receive == transmit == now
    assert server.requests == 1


def test_the_real_time():
    server = NtpServer()
    try:
        before = time.time()
        seconds, fraction = struct.unpack("!II", ask(server, request())[40:48])
        after = time.time()
        assert before - 0.001 <= seconds - SECONDS_1900_TO_1970 + fraction / 2**32 <= after + 0.001
    finally:
        server.stop()


def test_after_february_2036_the_seconds_wrap():
    server = NtpServer(clock=lambda: 2**32 - SECONDS_1900_TO_1970 + 7.5)
    try:
        assert struct.unpack("!II", ask(server, request())[40:48]) == (7, 2**31)
    finally:
        server.stop()


@pytest.mark.parametrize(
    "strange",
    [
        b"",
        b"\x1b",
        request()[:47],
        request(0b00_100_100),
        request(0b00_100_110),
        request(0b00_000_011),
        request(0b00_111_011),
    ],
    ids=["empty", "one byte", "short", "a server's", "control", "version 0", "version 7"],
)
def test_what_is_no_request_is_not_answered(server, strange):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(strange, (server.host, server.port))
        client.sendto(request(transmit=b"behindit"), (server.host, server.port))
        assert client.recvfrom(512)[0][24:32] == b"behindit"
    assert server.requests == 1


def test_longer_packets_with_extensions_are_answered(server):
    assert len(ask(server, request() + bytes(20))) == 48


def test_stopping_frees_the_port():
    server = NtpServer()
    server.stop()
    server.stop()
    NtpServer(port=server.port).stop()
