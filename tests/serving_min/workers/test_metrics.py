"""Whichever worker is scraped, all of them are counted."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from tests.serving_min.process import running

COUNT = re.compile(r'recsys_request_seconds_count\{surface="recommend"\} (\S+)')


def counted(address: str) -> float:
    found = COUNT.search(httpx.get(f"{address}/metrics").text)
    return float(found[1]) if found else 0.0


def test_each_worker_counts_for_all(bundles: dict[str, Path]) -> None:
    options = ("--workers", "2", "--redis", "redis://127.0.0.1:1/0")  # requests without a user need none
    with running(bundles["static"], *options) as server:
        for _ in range(20):
            assert httpx.post(f"{server.address}/v1/recommend", json={}).status_code == 200
        until = time.monotonic() + 10
        while {counted(server.address) for _ in range(6)} != {20.0} and time.monotonic() < until:
            time.sleep(0.2)
        assert {counted(server.address) for _ in range(6)} == {20.0}
        assert server.terminate() == 0
