"""Requests at a given rate, whatever the server does: a process of its own, on a core of its own.

    python -m experiments.benchmarks.serving.load HOST PORT REQUESTS.jsonl --rate 1000 --seconds 10

Arrivals are a Poisson process whose times are drawn beforehand. A request that finds no free connection waits for one,
and every latency counts from the time at which the request was due, so a server that stalls cannot hide those that it
kept from being sent (coordinated omission). Without ``--rate`` each connection asks again as soon as it is answered.
The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

LATE = 5.0  # seconds after the last arrival in which answers still count


def encoded(path: Path, host: str, route: str) -> list[bytes]:
    """Whole HTTP requests, one for each line."""
    head = f"POST {route} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in path.read_bytes().splitlines()]


class Connection(asyncio.Protocol):
    """One request at a time; ``crowd`` is told what came back."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd, self.due, self.got, self.awaited = crowd, 0.0, b"", 0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self.due, self.got, self.awaited = due, b"", 0
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.awaited:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return
            length = self.got.lower().find(b"content-length:")
            self.awaited = end + 4 + int(self.got[length + 15 : self.got.index(b"\r\n", length)])
        if len(self.got) >= self.awaited:
            self.crowd.answered(self, self.got[9:12], b"retry-after" in self.got.lower())

    def connection_lost(self, _: Exception | None) -> None:
        self.crowd.lost(self)


class Crowd:
    """All connections, the requests that are due, and what came of them."""

    def __init__(self, requests: list[bytes], closed: bool) -> None:
        self.requests, self.closed, self.asked = requests, closed, 0
        self.free: list[Connection] = []
        self.due: deque[float] = deque()
        self.taken: dict[str, list[float]] = {}
        self.retry_later = self.errors = 0

    def arrive(self, due: float) -> None:
        if self.free:
            self._ask(self.free.pop(), due)
        else:
            self.due.append(due)

    def answered(self, connection: Connection, status: bytes, retry_later: bool) -> None:
        now = time.perf_counter()
        self.taken.setdefault(status.decode(), []).append(now - connection.due)
        self.retry_later += retry_later
        if self.closed:
            self._ask(connection, now)
        elif self.due:
            self._ask(connection, self.due.popleft())
        else:
            self.free.append(connection)

    def lost(self, connection: Connection) -> None:
        self.errors += connection not in self.free

    def _ask(self, connection: Connection, due: float) -> None:
        self.asked += 1
        connection.ask(self.requests[self.asked % len(self.requests)], due)


async def load(given: argparse.Namespace) -> dict[str, Any]:
    """Connect, ask, and count."""
    loop = asyncio.get_running_loop()
    crowd = Crowd(encoded(given.requests, given.host, given.route), given.rate is None)
    for _ in range(given.connections):
        _, connection = await loop.create_connection(lambda: Connection(crowd), given.host, given.port)
        crowd.free.append(connection)
    began = time.perf_counter()
    if given.rate is None:
        for _ in range(given.connections):
            crowd.arrive(time.perf_counter())
        await asyncio.sleep(given.seconds)
    else:
        rng = np.random.default_rng(given.seed)
        arrivals = began + np.cumsum(rng.exponential(1 / given.rate, int(given.rate * given.seconds)))
        for due in arrivals.tolist():
            while (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            crowd.arrive(due)
            if not crowd.asked % 64:
                await asyncio.sleep(0)
        while sum(map(len, crowd.taken.values())) < len(arrivals) and time.perf_counter() < arrivals[-1] + LATE:
            await asyncio.sleep(0.01)
    spent = time.perf_counter() - began
    accepted = np.array(crowd.taken.get("200", []))
    percentiles = np.percentile(accepted, [50, 99, 99.9]) if len(accepted) else np.full(3, np.nan)
    return {
        "seconds": round(spent, 2),
        "asked": crowd.asked + len(crowd.due),
        "answered": {status: len(taken) for status, taken in sorted(crowd.taken.items())},
        "accepted_per_second": round(len(accepted) / min(spent, given.seconds)),
        "latency_ms": dict(
            zip(("p50", "p99", "p99.9"), (round(float(each) * 1e3, 2) for each in percentiles), strict=True)
        ),
        "told_when_to_retry": crowd.retry_later,
        "connections_lost": crowd.errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--route", default="/v1/recommend")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    sys.stdout.write(json.dumps(uvloop.run(load(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
