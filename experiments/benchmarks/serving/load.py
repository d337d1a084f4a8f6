"""Requests at a given rate, whatever the server does: a process of its own, on a core of its own.

    python -m experiments.benchmarks.serving.load HOST PORT REQUESTS.jsonl --rate 10000 --seconds 10

Arrivals are a Poisson process whose times are drawn beforehand. A request that finds no free connection waits for one,
and every latency counts from the time at which the request was due, so a server that stalls cannot hide those that it
kept from being sent (coordinated omission). Without ``--rate`` each connection asks again as soon as it is answered.
The last line printed is JSON. Whether the server was measured, or this process, tell ``generator_cpu_share``, its own
share of a core, and ``sent_late_ms``: how long after it was due and a connection was free a request left.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

LATE = 5.0  # seconds after the last arrival in which answers still count
AT_ONCE = 32  # answers read before it is looked again what is due
PIECE = 1 << 16
NEVER = float("inf")


def encoded(path: Path, host: str, route: str) -> list[bytes]:
    """Whole HTTP requests, one for each line."""
    head = f"POST {route} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in path.read_bytes().splitlines()]


def length_of(answer: bytes) -> int:
    """Bytes of the whole answer that begins so; 0 while its head is not there."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = answer[: end + 2].lower()
    named = head.find(b"\r\ncontent-length:")
    if named < 0:
        raise SystemExit(f"an answer does not say how long it is: {head!r}")
    return end + 4 + int(head[named + 17 : head.index(b"\r\n", named + 17)])


class Connection:
    """One request at a time, on a socket that never blocks."""

    __slots__ = ("awaited", "due", "got", "socket")

    def __init__(self, address: tuple[str, int], longest: int) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * longest)  # it takes a request whole
        self.socket.setblocking(False)
        self.due = NEVER  # of the request under way
        self.got, self.awaited = b"", 0

    def ask(self, request: bytes, due: float) -> None:
        self.due = due
        if self.socket.send(request) < len(request):
            raise ConnectionError("the request was not taken whole")

    def read(self) -> bytes:
        """The answer, or nothing while it is not whole."""
        data = self.socket.recv(PIECE)
        if not data:
            raise ConnectionResetError
        if self.got:
            data = self.got + data
        self.awaited = self.awaited or length_of(data)
        if not self.awaited or len(data) < self.awaited:
            self.got = data
            return b""
        self.got, self.awaited = b"", 0
        return data


class Crowd:
    """All connections, and what came of what they asked."""

    def __init__(self, address: tuple[str, int], requests: list[bytes], size: int) -> None:
        self.address, self.requests, self.longest = address, requests, max(map(len, requests))
        self.forget()
        self.poller = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.free: deque[Connection] = deque()  # the one that has rested longest is asked next
        self.free_since = 0.0  # since when there has been a free one all the time
        for _ in range(size):
            self.connect()

    def forget(self) -> None:
        """Count from here on."""
        self.asked = self.answers = self.retry_later = self.lost = 0
        self.taken: dict[bytes, list[float]] = {}  # seconds, by status
        self.late: list[float] = []

    def settle(self) -> None:
        """Each connection asks once, some at a time: what a server does for a new one would delay the first requests,
        and is not what is measured here."""
        until = time.perf_counter() + LATE
        for _ in range(-(-len(self.connections) // AT_ONCE)):
            for _ in range(min(AT_ONCE, len(self.connections))):
                self.ask(now := time.perf_counter(), now)
            while len(self.free) < len(self.connections) and (now := time.perf_counter()) < until:
                self.listen(until - now)
        self.forget()

    def connect(self) -> None:
        connection = Connection(self.address, self.longest)
        place = connection.socket.fileno()
        self.connections[place] = connection
        self.poller.register(place, select.EPOLLIN)
        self.free.append(connection)

    def ask(self, due: float, now: float) -> None:
        """By a connection that is free."""
        self.late.append(now - (due if due > self.free_since else self.free_since))
        connection = self.free.popleft()
        self.asked += 1
        try:
            connection.ask(self.requests[self.asked % len(self.requests)], due)
        except ConnectionError:
            self.lose(connection)

    def listen(self, seconds: float) -> None:
        """Read some of the answers that are there, or wait for the first."""
        # epoll's own patience has only whole milliseconds
        if seconds > 0 and not select.select((self.poller,), (), (), seconds)[0]:
            return
        for place, _ in self.poller.poll(0, AT_ONCE):
            connection = self.connections[place]
            try:
                answer = connection.read()
            except ConnectionError:
                self.lose(connection)
                continue
            if answer:
                self.note(connection, answer)

    def note(self, connection: Connection, answer: bytes) -> None:
        now = time.perf_counter()
        self.answers += 1
        status = answer[9:12]
        self.taken.setdefault(status, []).append(now - connection.due)
        if status != b"200":
            self.retry_later += b"\r\nretry-after:" in answer.lower()
        connection.due = NEVER
        if not self.free:
            self.free_since = now
        self.free.append(connection)

    def lose(self, connection: Connection) -> None:
        """Another takes its place; a request that was under way stays without an answer."""
        self.lost += connection.due < NEVER
        del self.connections[connection.socket.fileno()]
        connection.socket.close()
        if connection.due == NEVER:
            self.free.remove(connection)
        if not self.free:
            self.free_since = time.perf_counter()
        try:
            self.connect()
        except OSError as error:
            raise SystemExit(f"the server at {self.address} is gone: {error}") from error

    def close(self) -> None:
        for connection in self.connections.values():
            connection.socket.close()
        self.poller.close()


def ask_again(crowd: Crowd, until: float) -> None:
    """Each connection, as soon as it is answered."""
    while (now := time.perf_counter()) < until:
        for _ in range(len(crowd.free)):
            crowd.ask(now, now)
        crowd.listen(until - now)


def ask_when_due(crowd: Crowd, arrivals: list[float]) -> None:
    """At the times given, until all that were asked are answered or it is too late."""
    count, until = len(arrivals), arrivals[-1] + LATE
    arrivals.append(NEVER)
    place = 0
    while (now := time.perf_counter()) < until and (place < count or crowd.answers + crowd.lost < count):
        while arrivals[place] <= now and crowd.free:
            crowd.ask(arrivals[place], now)
            place += 1
            now = time.perf_counter()
        crowd.listen(min(arrivals[place] if crowd.free else NEVER, until) - now)


def load(given: argparse.Namespace) -> dict[str, Any]:
    """Connect, ask, and count."""
    address = (given.host, given.port)
    crowd = Crowd(address, encoded(given.requests, given.host, given.route), given.connections)
    crowd.settle()
    busy, began = time.process_time(), time.perf_counter()
    if given.rate is None:
        due = 0
        ask_again(crowd, began + given.seconds)
    else:
        due = max(1, int(given.rate * given.seconds))
        gaps = np.random.default_rng(given.seed).exponential(1 / given.rate, due)
        ask_when_due(crowd, (began + np.cumsum(gaps)).tolist())
    spent, busy = time.perf_counter() - began, time.process_time() - busy
    crowd.close()
    accepted = crowd.taken.get(b"200", [])
    return {
        "seconds": round(spent, 2),
        "asked": max(crowd.asked, due),
        "answered": {status.decode(): len(taken) for status, taken in sorted(crowd.taken.items())},
        "accepted_per_second": round(len(accepted) / min(spent, given.seconds)),
        "latency_ms": milliseconds(accepted, {"p50": 50, "p99": 99, "p99.9": 99.9}),
        "told_when_to_retry": crowd.retry_later,
        "connections_lost": crowd.lost,
        "generator_cpu_share": round(busy / spent, 2),
        "sent_late_ms": milliseconds(crowd.late, {"p50": 50, "p99": 99}),
    }


def milliseconds(seconds: list[float], ranks: dict[str, float]) -> dict[str, float]:
    found = np.percentile(seconds, [*ranks.values()]) if seconds else np.full(len(ranks), np.nan)
    return {name: round(float(each) * 1e3, 2) for name, each in zip(ranks, found, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--route", default="/v1/recommend")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    sys.stdout.write(json.dumps(load(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
