"""The fault matrix of the uplink: everything that a network and a server may do to a node, and what it says then.

    make faults [ARGS="WORD …"]         plays them, or those with a word in their name or class, and prints a table

Whatever happens, no reading may be lost, none stored twice but where nobody can tell, sampling goes on, the books
balance, and the token is not said (hostile/rig.py). To add a fault: a row here.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Column, Table

from harness.guest.steps import (
    a,
    answer,
    cname,
    conn,
    cut,
    cut_handshake,
    cut_request,
    drip,
    endless,
    garbage,
    hang_up,
    nxdomain,
    raw,
    refuse,
    servfail,
    silence,
    slowly,
    stall,
    wrong_id,
)
from harness.network import SERVE, encode
from hostile.rig import TOKEN, WATCHDOG_S, BoardError, Outcome, Rig, prepare
from hostile.server import DEAF, NOBODY, STRANGER, Answer, Fault, Hostile
from hostile.tagoio import failure, sequence_of, success

HERE = a("127.0.0.1")


def alias(name: str) -> dict:
    """A name server's answer that gives another name and no address."""
    return {**cname(name), "addresses": []}


PORTAL = "<!DOCTYPE html><html><body><form action=/login>Welcome to our Wi-Fi</form></body></html>"
LIMIT = "The device has reached the limit of 50000 data registers"
RETENTION = "Time must be between 2026-01-01 and 2026-02-03"
TOO_MANY = "Too many requests (Retry-After: 1)"
JSON = "Content-Type: application/json\r\n"

UNAVAILABLE, AMBIGUOUS, UNTRUSTED, REJECTED = "unavailable", "ambiguous", "untrusted", "rejected"
TOO_LARGE, DEVICE_REFUSES, UNAUTHORISED = "too large", "device refuses", "unauthorised"
THROTTLED, MISCONFIGURED, WARNING = "throttled", "misconfigured", "accepted with warning"


# of the records of an upload those that are refused from now on, given how often some were chosen before
Pick = Callable[[int, list[dict]], list[dict]]


# ---- answers: (server, request) -> step, None for TagoIO's own


def always(step: dict) -> Answer:
    """Nothing is done, and this is said."""
    return lambda server, request: step


def to_posts(step: dict, stored: bool = False) -> Answer:
    """This is said to uploads, which are done or not; questions are answered well."""

    def respond(server: Hostile, request: dict) -> dict | None:
        if request["method"] != "POST":
            return None
        if stored:
            server.tagoio.request(request)
        return step

    return respond


def framed(frame: Callable[[str], dict], posts_only: bool = False) -> Answer:
    """What is asked is done; frame(body) makes the step from TagoIO's answer."""

    def respond(server: Hostile, request: dict) -> dict | None:
        if posts_only and request["method"] != "POST":
            return None
        return frame(server.tagoio.request(request)["body"])

    return respond


def cut_at_each_byte(how: str, every: int = 1, method: str = "POST") -> Answer:
    """The n-th answer ends after n * every bytes, the first after the last is whole; what was asked is done."""

    def respond(server: Hostile, request: dict) -> dict | None:
        if request["method"] != method:
            return None
        whole = server.tagoio.request(request)
        after = server.place * every % (len(encode(whole)) + every)
        return cut(after, how, whole) if after < len(encode(whole)) else whole

    return respond


def lost(then: Answer | None = None, stored: bool = True, uploads: int = 1) -> Answer:
    """The answers to so many uploads are lost, which are done or not; questions meet `then`."""

    def respond(server: Hostile, request: dict) -> dict | None:
        if request["method"] != "POST":
            return then(server, request) if then and server.notes.kept else None
        if len(server.notes.kept) >= uploads:
            return None
        server.notes.kept.append(request)
        if stored:
            server.tagoio.request(request)
        return cut(0)

    return respond


def questions_cut(every: int) -> Answer:
    """All answers to uploads are lost, the uploads done, and every second answer to a question is cut, too."""

    def respond(server: Hostile, request: dict) -> dict | None:
        kept = server.notes.kept
        step = server.tagoio.request(request)
        if request["method"] == "POST":
            kept.clear()
            return cut(0)
        if kept:
            return step
        kept.append(request)
        return cut(server.place * every % len(encode(step)), "fin", step)

    return respond


def stored_late(server: Hostile, request: dict) -> dict | None:
    """The answer is lost, and the upload done only after the first question came."""
    kept = server.notes.kept
    if request["method"] == "POST":
        if server.met:
            return None
        kept.append(request)
        return cut(0)
    if not kept:
        return None
    step = server.tagoio.request(request)
    while kept:
        server.tagoio.request(kept.pop())
    return step


def refusing(pick: Pick, text: str = "{variable} has an invalid value") -> Answer:
    """An upload that holds one of certain readings is refused as a whole, with `text` of the first of them.

    pick(n, records): those to refuse from now on, chosen from the upload that comes when n choices were made before
    and another upload was accepted since; as often as the fault has `times`.
    """

    def respond(server: Hostile, request: dict) -> dict | None:
        refused, kept = server.notes.refused, server.notes.kept
        server.tagoio.refuses = lambda record: refused.get((sequence_of(record), record["variable"]))
        if request["method"] != "POST" or server.met >= server.fault.times:
            return None
        records = server.tagoio.records(request)
        if any(server.tagoio.refuses(record) for record in records):
            return None
        if kept:
            kept.clear()
            return None
        chosen = pick(server.place, records)
        if not chosen:
            return None
        kept.append(request)
        refused.update({(sequence_of(record), record["variable"]): text.format(**record) for record in chosen})
        return server.tagoio.request(request)

    return respond


def at_each_position(count: int) -> Pick:
    return lambda n, records: records[n % count : n % count + 1]


def some(chosen: Callable[[int, str], bool]) -> Pick:
    """The readings of the first four samples of an upload for which chosen(number of the sample, variable) is true."""

    def pick(n: int, records: list[dict]) -> list[dict]:
        samples = sorted({sequence_of(record) for record in records})[:4]
        if len(samples) < 4:
            return []
        few = [record for record in records if sequence_of(record) in samples]
        return [record for record in few if chosen(samples.index(sequence_of(record)), record["variable"])]

    return pick


def too_old(server: Hostile, request: dict) -> dict | None:
    """An upload with the oldest reading that came while the fault lasts is refused, as one that is too old."""
    if request["method"] != "POST":
        return None
    kept = server.notes.kept
    if not kept:
        kept.append(server.tagoio.records(request)[0])
    return failure(400, RETENTION) if kept[0] in server.tagoio.records(request) else None


def larger_than(size: int, step: dict | None = None) -> Answer:
    """Bodies of more bytes are refused."""

    def respond(server: Hostile, request: dict) -> dict | None:
        large = len(request["body"].encode()) > size
        return (step or failure(413, "Payload Too Large")) if large else None

    return respond


def dripping(ms: float) -> Answer:
    return lambda server, request: drip(server.tagoio.request(request), ms)


def waiting_for(seconds: object) -> dict:
    return failure(429, f"Too many requests (Retry-After: {seconds})")


def chunked(body: str, size: int = 7, extension: str = "", trailer: str = "", end: bool = True) -> dict:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    text = "".join(f"{len(piece):X}{extension}\r\n{piece}\r\n" for piece in pieces)
    text += f"0\r\n{trailer}\r\n" if end else ""
    return raw(f"HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{text}", close=not end)


def plain(
    body: str, before: str = "", status: str = "HTTP/1.1 200 OK", headers: str | None = None, close=False
) -> dict:
    """An answer by hand; headers: those of the framing."""
    framing = f"Content-Length: {len(body)}\r\n" if headers is None else headers
    return raw(f"{before}{status}\r\n{JSON}{framing}\r\n{body}", close=close)


NAMES = (
    Fault("no such name", ((UNAVAILABLE, "no such name"),), names=nxdomain(), times=3),
    Fault("name server fails", ((UNAVAILABLE, "code 2"),), names=servfail(), times=3),
    Fault("name server silent", ((UNAVAILABLE, "no answer from"),), names=silence(), times=4),
    Fault("name answered to another query", ((UNAVAILABLE, "no answer from"),), names=wrong_id(NOBODY), times=3),
    Fault("forged name, then the true one", (), (UNAVAILABLE,), names=wrong_id(NOBODY, then=HERE), cured=True),
    Fault("garbage for a name", ((UNAVAILABLE, "no answer from"),), names=garbage(), times=3),
    Fault("a name without an address", ((UNAVAILABLE, "no IPv4 address"),), names=a(), times=2),
    Fault(
        "aliases without end",
        ((UNAVAILABLE, "too many aliases"),),
        names={"two.example": alias("one.example"), "*": alias("two.example")},
        times=5,
    ),
    Fault("a wrong address, nobody there", ((UNAVAILABLE, "no connection"),), names=a(NOBODY), times=2),
    Fault(
        "a wrong address, a stranger there",
        ((UNTRUSTED, "no root on this board"),),
        (UNAVAILABLE,),
        names=a(STRANGER),
    ),
)
CONNECT = (
    Fault("refused", ((UNAVAILABLE, "no connection"),), names=a(NOBODY), times=3),
    Fault("accepted and reset", ((UNAVAILABLE, ""),), connection=refuse(), times=3),
    Fault("connect stalls", ((UNAVAILABLE, "nothing moved for 150 ms"),), names=a(DEAF), times=2),
)
HANDSHAKE = (
    Fault("no server hello", ((UNAVAILABLE, "nothing moved for 225 ms"),), connection=stall("handshake"), times=2),
    *(
        Fault(f"{what} {name}", ((UNAVAILABLE, words),), connection=cut_handshake(flights, how, part), times=2)
        for flights, part, what in (
            (1, 1.0, "after the client's hello"),
            (2, 0.5, "in the server's certificates"),
            (2, 1.0, "after the server's hello"),
            (3, 1.0, "after the key exchange"),
        )
        for how, name, words in (
            ("fin", "closed", "TLS handshake failed"),
            ("rst", "reset", "TLS handshake failed"),
            ("stall", "stalled", "nothing moved for 225 ms"),
        )
    ),
    Fault(
        "no TLS there",
        ((UNAVAILABLE, "TLS handshake failed"),),
        connection=cut_handshake(1, data=b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    ),
    Fault(
        "an alert for a hello",
        ((UNAVAILABLE, "broke off the TLS handshake"),),
        connection=cut_handshake(1, data=b"\x15\x03\x03\x00\x02\x02\x28"),
    ),
    Fault("handshake too slow", ((UNAVAILABLE, "no end in sight"),), connection=slowly(SERVE, ms=20, size=16)),
)
CERTIFICATES = (
    Fault("for another host", ((UNTRUSTED, "for another host"),), certificate="wrong_host"),
    Fault("unknown issuer", ((UNTRUSTED, "no root on this board"),), certificate="unknown_issuer"),
    Fault("expired", ((UNTRUSTED, "has expired"),), certificate="expired"),
    Fault("not valid yet", ((UNTRUSTED, "not valid yet"),), certificate="not_yet_valid"),
    Fault("self-signed", ((UNTRUSTED, "no root on this board"),), certificate="self_signed"),
    Fault("without its intermediate", ((UNTRUSTED, "no root on this board"),), certificate="no_intermediate"),
    Fault("TLS 1.3 only", ((UNAVAILABLE, "must offer TLS 1.2"),), certificate="1.3", times=2),
)
REQUEST_CUT = tuple(
    Fault(
        f"request {name} {how}",
        ((f"{AMBIGUOUS}|{UNAVAILABLE}", ""),),
        (AMBIGUOUS, UNAVAILABLE),
        connection=cut_request(after, how),
        times=2,
    )
    for after, name in ((0, "unread"), (1, "read by a byte"), (0.5, "half read"), (-1, "read but for a byte"))
    for how in ("fin", "rst", "stall")
)
ANSWER_CUT = (
    Fault(
        "upload's answer at each byte, closed",
        ((AMBIGUOUS, "the connection closed"),),
        answer=cut_at_each_byte("fin"),
        times=140,
    ),
    Fault(
        "upload's answer at bytes, close_notify",
        ((AMBIGUOUS, "the connection closed"),),
        answer=cut_at_each_byte("notify", 9),
        times=15,
    ),
    Fault("upload's answer at bytes, reset", ((AMBIGUOUS, ""),), answer=cut_at_each_byte("rst", 9), times=15),
    Fault(
        "upload's answer at bytes, stalled",
        ((AMBIGUOUS, "nothing moved for 300 ms"),),
        answer=cut_at_each_byte("stall", 40),
        times=3,
    ),
)
SLOW = (
    Fault("answer drips, in time", answer=dripping(1), times=2),
    Fault("answer drips too slowly", ((AMBIGUOUS, "no end in sight"),), answer=dripping(20), times=2),
    Fault("a slow wire", connection=slowly(SERVE, ms=1, size=128)),
    Fault(
        "silence, upload stored",
        ((AMBIGUOUS, "nothing moved for 300 ms"),),
        answer=to_posts(stall(), stored=True),
        times=2,
    ),
    Fault("silence, upload not stored", ((AMBIGUOUS, "nothing moved for 300 ms"),), answer=to_posts(stall()), times=2),
    Fault(
        "silence to everything",
        ((AMBIGUOUS, "nothing moved for 300 ms"), (UNAVAILABLE, "nothing moved")),
        answer=always(stall()),
        times=3,
    ),
)
IDLE = (
    *(
        Fault(
            f"idle connection {name}",
            racing=(UNAVAILABLE, AMBIGUOUS),
            connection=conn(SERVE, hang_up(how, ms=20)),
            times=3,
        )
        for how, name in (("fin", "closed"), ("notify", "closed by close_notify"), ("rst", "reset"))
    ),
    Fault(
        "server speaks to an idle connection",
        racing=(UNAVAILABLE, AMBIGUOUS),
        connection=conn(
            SERVE,
            hang_up("notify", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ms=20),
        ),
        times=3,
    ),
)
FRAMING = (
    Fault("100 Continue", answer=framed(lambda body: plain(body, "HTTP/1.1 100 Continue\r\n\r\n")), times=2),
    Fault(
        "103 and 102 first",
        answer=framed(
            lambda body: plain(body, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        ),
    ),
    Fault("chunked", answer=framed(chunked), times=2),
    Fault(
        "chunked, byte by byte, with extensions and trailers",
        answer=framed(lambda body: chunked(body, 1, ";a=b", "X-Sum: 1\r\n")),
    ),
    Fault("HTTP/1.0", answer=framed(lambda body: plain(body, status="HTTP/1.0 200 OK", headers="", close=True))),
    Fault("body until the end", answer=framed(lambda body: plain(body, headers="", close=True))),
    Fault("Connection: close", answer=framed(lambda body: answer(200, body, close=True)), times=2),
    Fault("one answer too many", answer=framed(lambda body: raw(encode(answer(200, body)) * 2)), times=2),
    Fault(
        "chunks without an end",
        ((AMBIGUOUS, "closed in the middle"),),
        answer=framed(lambda body: chunked(body, end=False), True),
    ),
    Fault(
        "length too large",
        ((AMBIGUOUS, "nothing moved"),),
        answer=framed(lambda body: plain(body, headers="Content-Length: 4000\r\n"), True),
    ),
    Fault(
        "length too small",
        ((AMBIGUOUS, "without an answer"),),
        answer=framed(lambda body: plain(body, headers="Content-Length: 10\r\n"), True),
    ),
    Fault(
        "length and chunks",
        ((AMBIGUOUS, "transfer coding"),),
        answer=framed(lambda body: plain(body, headers="Content-Length: 9\r\nTransfer-Encoding: chunked\r\n"), True),
    ),
    Fault(
        "101 Switching Protocols",
        ((AMBIGUOUS, "status 101"),),
        answer=framed(lambda body: plain("", status="HTTP/1.1 101 Switching Protocols"), True),
    ),
    Fault(
        "no HTTP",
        ((AMBIGUOUS, "no HTTP/1.1 status line"),),
        answer=to_posts(raw(b"SSH-2.0-OpenSSH_9.9\r\n" * 20, close=True), True),
    ),
    Fault("empty body", ((AMBIGUOUS, "HTTP 200 without an answer"),), answer=to_posts(answer(200, ""), True), times=2),
    Fault("empty body, nothing stored", ((AMBIGUOUS, "HTTP 200 without an answer"),), answer=to_posts(answer(200, ""))),
    Fault(
        "204 No Content",
        ((AMBIGUOUS, "HTTP 204 without an answer"),),
        answer=to_posts(answer(204, "", {"Content-Length": None}), True),
    ),
    Fault(
        "a captive portal's page",
        ((AMBIGUOUS, "HTTP 200 without an answer"),),
        answer=always(answer(200, PORTAL, {"Content-Type": "text/html"})),
        times=3,
        twice=True,
    ),
    Fault(
        "JSON, but not TagoIO's", ((AMBIGUOUS, "HTTP 200 without an answer"),), answer=to_posts(answer(200, "[]"), True)
    ),
    Fault(
        "body without an end",
        ((AMBIGUOUS, "body longer than"),),
        answer=to_posts(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4000), True),
    ),
    Fault(
        "body without an end, slowly",
        ((AMBIGUOUS, "no end in sight"),),
        answer=to_posts(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 40, ms=10), True),
    ),
    Fault(
        "chunks for ever",
        ((AMBIGUOUS, "body longer than"),),
        answer=to_posts(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"190\r\n" + b"x" * 400 + b"\r\n"), True
        ),
    ),
    Fault(
        "head without an end",
        ((AMBIGUOUS, "head longer than"),),
        answer=to_posts(endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 4000), True),
    ),
    Fault(
        "100 Continue for ever",
        ((AMBIGUOUS, ""),),
        answer=to_posts(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), True),
    ),
)


def refused(name: str, verdict: str, text: str, step: dict, **options) -> Fault:
    return Fault(name, ((verdict, text),), answer=always(step), **options)


REFUSALS = (
    *(
        refused(
            f"{status} elsewhere",
            MISCONFIGURED,
            "sends us to https://elsewhere.example/data?token=***",
            answer(status, PORTAL, {"Location": f"https://elsewhere.example/data?token={TOKEN}"}),
        )
        for status in (301, 302, 307, 308)
    ),
    refused("303 without a place", MISCONFIGURED, "HTTP 303", answer(303, "")),
    refused("401", UNAUTHORISED, "Authorization denied", failure(401, "Authorization denied")),
    refused("401 that repeats the token", UNAUTHORISED, "no device has ***", failure(401, f"no device has {TOKEN}")),
    refused("403", UNAUTHORISED, "Device is disabled", failure(403, "Device is disabled")),
    refused("404", MISCONFIGURED, "Route Not Found", failure(404, "Route Not Found")),
    refused("404 page that repeats the token", MISCONFIGURED, "HTTP 404", answer(404, f"<html>{TOKEN}</html>")),
    refused("405", MISCONFIGURED, "Method not allowed", failure(405, "Method not allowed")),
    refused("402", DEVICE_REFUSES, "Payment", failure(402, "Payment required")),
    refused("failure, form A", DEVICE_REFUSES, LIMIT, failure(400, LIMIT)),
    refused(
        "failure, form B",
        DEVICE_REFUSES,
        LIMIT,
        answer(400, json.dumps({"status": False, "result": {"message": LIMIT}})),
    ),
    refused("failure, form C", DEVICE_REFUSES, LIMIT, answer(400, json.dumps({"status": False, "result": LIMIT}))),
    refused("200, but it failed", DEVICE_REFUSES, LIMIT, failure(200, LIMIT)),
    refused("too old for the device", DEVICE_REFUSES, RETENTION, failure(400, RETENTION)),
    Fault("one reading too old for the device", ((DEVICE_REFUSES, RETENTION),), answer=too_old),
    refused("400 page", UNAVAILABLE, "HTTP 400 without an answer", answer(400, PORTAL), times=2),
    Fault(
        "the same of every reading",
        ((REJECTED, "Invalid payload"), (DEVICE_REFUSES, "Invalid payload")),
        answer=always(failure(400, "Invalid payload")),
        times=5,
    ),
    Fault(
        "200, but rejected",
        ((REJECTED, "Invalid payload"),),
        answer=always(failure(200, "Invalid payload")),
        exactly=True,
    ),
)
POISON = (
    Fault(
        "a refused reading at each position",
        ((REJECTED, "invalid value"),),
        answer=refusing(at_each_position(8)),
        times=8,
        cured=True,
    ),
    Fault(
        "a channel that is refused",
        ((REJECTED, "rssi has an invalid value"),),
        answer=refusing(some(lambda sample, variable: variable == "rssi")),
        times=3,
        cured=True,
    ),
    Fault(
        "a sample that is refused",
        ((REJECTED, "invalid value"),),
        answer=refusing(some(lambda sample, variable: sample == 1)),
        times=2,
        cured=True,
    ),
    Fault(
        "the first and the last reading",
        ((REJECTED, "the same"),),
        answer=refusing(
            some(lambda sample, variable: (sample, variable) in ((0, "battery"), (3, "rssi"))),
            "the same of both",
        ),
        times=2,
        cured=True,
    ),
    Fault(
        "all readings, each for its own reason",
        ((REJECTED, "invalid value"),),
        answer=refusing(some(lambda sample, variable: True)),
        cured=True,
    ),
)
SIZES = (
    Fault("bodies of 300 bytes at most", ((TOO_LARGE, "Payload Too Large"),), answer=larger_than(300), cured=True),
    Fault(
        "bodies of 150 bytes at most",
        ((TOO_LARGE, "Payload Too Large"),),
        answer=larger_than(150),
        cured=True,
        fresh=True,
    ),
    Fault(
        "bodies of 300 bytes, by HTML",
        ((TOO_LARGE, "HTTP 413"),),
        answer=larger_than(300, answer(413, PORTAL, close=True)),
        cured=True,
        fresh=True,
    ),
    Fault(
        "refused before it is read",
        ((TOO_LARGE, "HTTP 413"),),
        (AMBIGUOUS, UNAVAILABLE),
        connection=hang_up("notify", b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        exactly=True,
        fresh=True,
    ),
    Fault(
        "any body is too large",
        ((TOO_LARGE, ""), (DEVICE_REFUSES, "")),
        (REJECTED,),
        answer=larger_than(20),
        times=4,
        fresh=True,
    ),
)
THROTTLING = (
    refused("429, seconds in the text", THROTTLED, TOO_MANY, failure(429, TOO_MANY)),
    refused("429, seconds in the header", THROTTLED, "slow down", failure(429, "slow down", {"Retry-After": "1"})),
    refused(
        "429, header and text", THROTTLED, "Retry-After: 3000", failure(429, "Retry-After: 3000", {"Retry-After": "1"})
    ),
    refused(
        "429, form B", THROTTLED, TOO_MANY, answer(429, json.dumps({"status": False, "result": {"message": TOO_MANY}}))
    ),
    refused("429, nothing said", THROTTLED, "HTTP 429", answer(429, ""), times=2),
    refused("429, nonsense in the text", THROTTLED, "Retry-After: soon", waiting_for("soon"), times=2),
    refused(
        "429, nonsense in the header", THROTTLED, "slow", failure(429, "slow", {"Retry-After": "-1, a while"}), times=2
    ),
    refused(
        "429, a date",
        THROTTLED,
        "slow",
        failure(429, "slow", {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}),
        times=2,
    ),
    refused("429 page", THROTTLED, "HTTP 429", answer(429, PORTAL, close=True), times=2),
    refused("400 that means 429", THROTTLED, TOO_MANY, failure(400, TOO_MANY)),
    # waits up to an hour: the power is cut instead
    refused(
        "429, an hour",
        THROTTLED,
        "Retry-After: 3600",
        waiting_for(3600),
        also=(AMBIGUOUS,),
        samples_in_peace=20,
        reboot=True,
    ),
    refused(
        "429, for ever", THROTTLED, "9" * 40, waiting_for("9" * 40), also=(AMBIGUOUS,), samples_in_peace=20, reboot=True
    ),
    refused("503, come back later", UNAVAILABLE, "later", failure(503, "later", {"Retry-After": "1"})),
)
SERVER = (
    *(
        refused(f"{status}", UNAVAILABLE, "Internal", failure(status, "Internal trouble"), times=3)
        for status in (500, 503, 507, 408)
    ),
    refused("425 page", UNAVAILABLE, "HTTP 425", answer(425, PORTAL), times=3),
    refused("500 page", UNAVAILABLE, "HTTP 500", answer(500, PORTAL, close=True), times=3),
    refused("503 without a body", UNAVAILABLE, "HTTP 503", answer(503, ""), times=3),
    Fault("502", ((AMBIGUOUS, "HTTP 502"), (UNAVAILABLE, "HTTP 502")), answer=always(answer(502, PORTAL)), times=3),
    *(
        Fault(
            f"{status}, upload {name}", ((AMBIGUOUS, "HTTP"),), answer=to_posts(answer(status, PORTAL), stored), times=2
        )
        for status in (502, 504)
        for stored, name in ((True, "stored"), (False, "not stored"))
    ),
)
_LOST = ((AMBIGUOUS, "closed without an answer"),)
LOST_ANSWERS = (
    Fault("upload stored", _LOST, answer=lost(uploads=2), times=2),
    Fault("upload stored after the first question", _LOST, answer=stored_late, cured=True),
    Fault("upload not stored", (*_LOST, (AMBIGUOUS, "did not arrive: sending it again")), answer=lost(stored=False)),
    *(
        Fault(
            f"upload {name}, questions meet {status}",
            (*_LOST, (AMBIGUOUS, "sending it again")),
            answer=lost(always(failure(status, text)), stored),
            cured=True,
            twice=True,
        )
        for status, text in (
            (401, "Authorization denied"),
            (403, "Write only"),
            (404, "Route Not Found"),
            (405, "No"),
            (400, "Invalid query"),
        )
        for stored, name in (((True, "stored"), (False, "not stored")) if status == 401 else ((True, "stored"),))
    ),
    *(
        Fault(f"upload stored, questions meet {name}", (*_LOST, (verdict, text)), answer=lost(always(step)), times=3)
        for name, verdict, text, step in (
            ("503", UNAVAILABLE, "busy", failure(503, "busy")),
            ("429", THROTTLED, TOO_MANY, failure(429, TOO_MANY)),
            ("silence", UNAVAILABLE, "nothing moved", stall()),
            ("no answer", UNAVAILABLE, "closed without an answer", cut(0)),
        )
    ),
    Fault("upload stored, the first question's answer cut", _LOST, (UNAVAILABLE,), answer=questions_cut(13), times=20),
    Fault(
        "upload stored, then a power cut",
        _LOST,
        (UNAVAILABLE,),
        answer=lost(always(failure(503, "busy"))),
        times=2,
        reboot=True,
    ),
    Fault(
        "upload not stored, then a power cut",
        _LOST,
        (UNAVAILABLE,),
        answer=lost(always(failure(503, "busy")), stored=False),
        times=2,
        reboot=True,
    ),
    Fault(
        "stored with a warning",
        ((WARNING, "Data retention is short"),),
        answer=framed(lambda body: success("1 Data Added", "Data retention is short"), True),
        times=2,
    ),
)

CLASSES: dict[str, tuple[Fault, ...]] = {
    "names": NAMES,
    "connect": CONNECT,
    "handshake": HANDSHAKE,
    "certificates": CERTIFICATES,
    "request cut": REQUEST_CUT,
    "answer cut": ANSWER_CUT,
    "slow": SLOW,
    "idle close": IDLE,
    "framing": FRAMING,
    "refusals": REFUSALS,
    "poison": POISON,
    "sizes": SIZES,
    "throttling": THROTTLING,
    "server": SERVER,
    "lost answers": LOST_ANSWERS,
}
# of a board that one class is played on; see hostile/rig.py
SETTINGS: dict[str, dict[str, dict]] = {
    "answer cut": {"sample": {"every": 0.04}, "upload": {"every": 0, "window": 0.1}},
    "poison": {"upload": {"every": 0.25}},
}


class Bench:
    """Plays the faults of one class on one board; after one that did harm on a new one."""

    def __init__(self, kind: str):
        self._kind = kind
        self._rig: Rig | None = None

    def play(self, fault: Fault) -> Outcome:
        try:
            if self._rig is None:
                self._rig = Rig(SETTINGS.get(self._kind, {})).__enter__()
            outcome = self._rig.play(fault)
        except BoardError as error:
            outcome = Outcome(fault, problems=[str(error)])
        if not outcome.ok:
            self.close()
        return outcome

    def close(self) -> None:
        if self._rig is not None:
            rig, self._rig = self._rig, None
            rig.__exit__()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def chosen(wanted: list[str]) -> list[tuple[str, list[Fault]]]:
    """The classes with the faults to play: all, or those whose name or class holds one of these words."""
    found = []
    for kind, faults in CLASSES.items():
        some_of = [f for f in faults if not wanted or any(word in kind or word in f.name for word in wanted)]
        if some_of:
            found.append((kind, some_of))
    return found


def table(outcomes: list[tuple[str, Outcome]]) -> Table:
    numbers = _numbers("requests", "lost", "twice", "longest gap, ms", "unfed, ms", "s")
    shown = Table("class", "fault", "verdicts", *numbers, "ok")
    before = ""
    for kind, outcome in outcomes:
        shown.add_row(
            kind if kind != before else "",
            outcome.fault.name,
            ", ".join(outcome.verdicts),
            str(outcome.requests),
            str(outcome.lost),
            str(outcome.twice),
            f"{outcome.gap * 1000:.0f}",
            f"{outcome.unfed * 1000:.0f}",
            f"{outcome.seconds:.1f}",
            "[green]ok[/]" if outcome.ok else "[red]NO[/]",
        )
        before = kind
    return shown


def _numbers(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def main(wanted: list[str]) -> int:
    """Play faults and print what came of them; exit status 1 when one of them did harm, 2 when there is none."""
    classes = chosen(wanted)
    if not classes:
        print(f"no fault and no class has {' or '.join(wanted)} in its name", file=sys.stderr)
        return 2
    started = time.monotonic()
    console = Console()
    outcomes: dict[str, list[Outcome]] = {kind: [] for kind, _ in classes}
    total = sum(len(faults) for _, faults in classes)
    prepare()

    def play(work: tuple[str, list[Fault]]) -> None:
        kind, faults = work
        with Bench(kind) as bench:
            for fault in faults:
                outcomes[kind].append(bench.play(fault))
                done = sum(map(len, outcomes.values()))
                if console.is_terminal:
                    print(f"\r{done} of {total} faults", end="", file=sys.stderr, flush=True)

    # boards wait most of the time
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        list(pool.map(play, sorted(classes, key=lambda work: -len(work[1]))))
    rows = [(kind, outcome) for kind, of_kind in outcomes.items() for outcome in of_kind]
    if not console.is_terminal:
        console = Console(width=160)
    else:
        print("\r", end="", file=sys.stderr)
    console.print(table(rows))
    harm = [outcome for _, outcome in rows if not outcome.ok]
    for outcome in harm:
        console.print(str(outcome), markup=False, highlight=False)
    unfed = max(outcome.unfed for _, outcome in rows)
    print(f"faults: {total} played, {len(harm)} did harm, {time.monotonic() - started:.0f} s")
    print(f"the watchdog was unfed for {unfed * 1000:.0f} ms at most, of {WATCHDOG_S * 1000:.0f}")
    return 1 if harm else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
