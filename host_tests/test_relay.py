"""The counting relay: what passes it, what it counts, how it acknowledges."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tagonode.virtual.relay import CountingRelay

LOCAL = ("127.0.0.1", 0)
REQUEST, ANSWER = 400, 150


@contextlib.contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Answers every 400 bytes with 150, and a Q by hanging up."""
    listening = socket.create_server(LOCAL)

    def serve(connection: socket.socket) -> None:
        with connection:
            waiting = 0
            while (data := connection.recv(65536)) and b"Q" not in data:
                waiting += len(data)
                while waiting >= REQUEST:
                    waiting -= REQUEST
                    connection.sendall(b"a" * ANSWER)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def connect(relay: CountingRelay) -> socket.socket:
    return socket.create_connection(relay.address, timeout=10)


def test_it_passes_everything_and_counts_it():
    with server() as target, CountingRelay(LOCAL, target) as relay:
        with connect(relay) as one, connect(relay) as other:
            one.sendall(b"x" * 3 * REQUEST)
            assert read(one, 3 * ANSWER) == b"a" * 3 * ANSWER
            other.sendall(b"x" * 250000)
            assert read(other, 625 * ANSWER) == b"a" * 625 * ANSWER
            other.sendall(b"Q")
            assert other.recv(1) == b""  # the server hung up
        assert relay.connections == 2
        assert relay.up == 3 * REQUEST + 250000 + 1
        assert relay.down == 628 * ANSWER


def test_a_board_that_resets_takes_its_own_connection_with_it_alone():
    with server() as target, CountingRelay(LOCAL, target) as relay, connect(relay) as stays:
        with connect(relay) as goes:
            goes.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            goes.sendall(b"x")
        stays.sendall(b"x" * REQUEST)
        assert len(read(stays, ANSWER)) == ANSWER


def test_a_target_that_is_not_there():
    with socket.create_server(LOCAL) as free:
        nowhere = free.getsockname()
    missed = threading.Event()
    with CountingRelay(LOCAL, nowhere, missed.set) as relay, connect(relay) as board:
        assert board.recv(1) == b""
        assert missed.is_set()


def test_it_ends_with_connections_open():
    with server() as target:
        with CountingRelay(LOCAL, target) as relay:
            board = connect(relay)
            board.sendall(b"x" * REQUEST)
            read(board, ANSWER)
        with board:
            assert board.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(relay)


def test_a_taken_port_is_an_error():
    with socket.create_server(LOCAL) as taken, pytest.raises(OSError):
        CountingRelay(taken.getsockname(), LOCAL)


def test_an_impossible_segment_is_an_error():
    with pytest.raises(OSError, match="mss at least 88"):
        CountingRelay(LOCAL, LOCAL, mss=20)


def segments(mss: int | None) -> tuple[int, int]:
    with server() as target:
        with CountingRelay(LOCAL, target, mss=mss) as relay, connect(relay) as board:
            board.sendall(b"x" * 14600)
            read(board, 36 * ANSWER)
            board.sendall(b"Q")
            assert board.recv(1) == b""
        return relay.segments_up, relay.segments_down


def test_segments_are_as_long_as_the_boards_are():
    up, down = segments(1460)
    assert up >= 11
    assert down >= 36 * ANSWER / 1460
    assert 2 <= segments(None)[0] < 11


def slowness(nodelay: bool, delay_acks: bool) -> float:
    """The median seconds of a request in two writes; a client with Nagle on holds the second until the first is
    acknowledged."""
    with server() as target, CountingRelay(LOCAL, target, delay_acks=delay_acks) as relay, connect(relay) as board:
        board.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        took = []
        for _ in range(11):
            started = time.perf_counter()
            board.send(b"x" * 100)
            board.send(b"x" * 300)
            read(board, ANSWER)
            took.append(time.perf_counter() - started)
        return sorted(took)[5]


def test_late_acknowledgements_cost_those_who_wait_for_them():
    waits, does_not = slowness(False, True), slowness(True, True)
    assert waits > 5 * does_not


def test_prompt_acknowledgements_cost_nobody():
    assert slowness(False, True) > 5 * slowness(False, False)
