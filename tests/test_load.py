"""The load generator counts what a server does, however it does it."""

import argparse
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments.benchmarks.serving.load import length_of, load

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
GONE = b""


@contextmanager
def server(pieces: list[bytes], pause: float = 0.0) -> Iterator[int]:
    """Answers each request with ``pieces``, one after the other; closes the connection at one that is empty."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(1 << 16):
                for piece in pieces:
                    if piece == GONE:
                        return
                    time.sleep(pause)
                    connection.sendall(piece)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    accepting.join()


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"history": []}\n{"history": ["a"]}')
    return path


def given(port: int, requests: Path, rate: float | None, connections: int = 4) -> argparse.Namespace:
    return argparse.Namespace(
        host="127.0.0.1",
        port=port,
        requests=requests,
        route="/",
        rate=rate,
        seconds=0.3,
        connections=connections,
        seed=0,
    )


@pytest.mark.parametrize("pieces", [[ANSWER], [ANSWER[:12], ANSWER[12:37], ANSWER[37:]]], ids=["whole", "in pieces"])
def test_every_request_that_was_due_is_answered(pieces: list[bytes], requests: Path) -> None:
    with server(pieces, pause=1e-3) as port:
        found = load(given(port, requests, rate=200))
    assert (found["asked"], found["answered"], found["connections_lost"]) == (60, {"200": 60}, 0)
    assert found["latency_ms"]["p50"] >= len(pieces)


def test_a_wait_for_a_free_connection_is_latency_and_not_lateness(requests: Path) -> None:
    with server([ANSWER], pause=0.02) as port:
        found = load(given(port, requests, rate=100, connections=1))
    assert found["answered"] == {"200": 30}
    assert found["latency_ms"]["p99"] > 100 > found["sent_late_ms"]["p99"]


def test_without_a_rate_each_asks_as_soon_as_it_is_answered(requests: Path) -> None:
    with server([ANSWER], pause=0.01) as port:
        found = load(given(port, requests, rate=None))
    assert 40 <= found["answered"]["200"] <= 124


def test_refusals_are_counted_apart(requests: Path) -> None:
    with server([REFUSAL]) as port:
        found = load(given(port, requests, rate=100))
    assert (found["answered"], found["told_when_to_retry"], found["accepted_per_second"]) == ({"503": 30}, 30, 0)


@pytest.mark.parametrize("pieces", [[GONE], [ANSWER[:20], GONE]], ids=["at once", "in the middle"])
def test_a_lost_connection_is_counted_and_replaced(pieces: list[bytes], requests: Path) -> None:
    with server(pieces) as port:
        found = load(given(port, requests, rate=100))
    assert (found["asked"], found["answered"], found["connections_lost"]) == (30, {}, 30)


def test_a_connection_closed_after_its_answer_is_replaced(requests: Path) -> None:
    with server([ANSWER, GONE]) as port:
        found = load(given(port, requests, rate=100))
    assert (found["answered"], found["connections_lost"]) == ({"200": 30}, 0)


def test_the_length_of_an_answer() -> None:
    assert length_of(ANSWER) == len(ANSWER)
    assert length_of(ANSWER[:30]) == 0
    with pytest.raises(SystemExit, match="how long"):
        length_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
