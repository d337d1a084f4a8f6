"""How long the server takes for a request, with 2,000 and with 100,000 items.

    python -m experiments.benchmarks.serving [--seconds 5]

Writes made-up bundles (64 dimensions, exact index, an encoder that adds up; 100 neighbours an item) to a
temporary folder. Measures the engine's CPU microseconds for a history of 20 items, asked alone and in batches
of 32, and the requests a second over HTTP when another process asks on eight connections. Writes them to
reports/benchmarks/serving.json, with versions and machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.manifest import FaissIndex, TableIndex
from serving_min.messages import Request
from tests.serving_min.handmade import write_bundle, write_neighbours, write_vectors
from tests.serving_min.process import running

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/serving.json"
SIZES = (2_000, 100_000)
DIMENSION, NEIGHBOURS, HISTORY, BATCH, CONNECTIONS = 64, 100, 20, 32, 8
SHOWN = ("faiss-cpu", "httptools", "msgspec", "numpy", "onnxruntime", "starlette", "uvicorn", "uvloop")


def write_vector_files(n_items: int, folder: Path) -> FaissIndex:
    return write_vectors(folder, np.random.default_rng(0).normal(size=(n_items, DIMENSION)).astype(np.float32), n_items)


def write_neighbour_files(n_items: int, folder: Path) -> TableIndex:
    rng = np.random.default_rng(0)
    items, weights = rng.integers(0, n_items, (n_items, NEIGHBOURS)), -np.sort(-rng.random((n_items, NEIGHBOURS)))
    rows = {code: [*zip(items[code].tolist(), weights[code].tolist(), strict=True)] for code in range(n_items)}
    return write_neighbours(folder, rows, n_items)


KINDS: dict[str, Callable[[int, Path], Any]] = {"vector": write_vector_files, "neighbours": write_neighbour_files}


def make(folder: Path, kind: Any, n_items: int) -> Path:
    table = pa.table(
        {
            "item_id": [f"item-{code}" for code in range(n_items)],
            "title": [f"A thing of number {code}" for code in range(n_items)],
            "category": [f"category {code % 40}" for code in range(n_items)],
            "price": np.arange(n_items) % 97 + 0.99,
        }
    )
    popularity = np.random.default_rng(1).random(n_items).astype(np.float32)
    return write_bundle(
        folder, kind, table=table, popularity=popularity, model=partial(KINDS[kind], n_items), golden=[]
    )


def bodies(n_items: int, count: int = 256) -> list[dict[str, Any]]:
    codes = np.random.default_rng(2).integers(0, n_items, (count, HISTORY))
    return [{"history": [f"item-{code}" for code in row]} for row in codes.tolist()]


def engine_microseconds(engine: Engine, requests: list[Request], batch: int) -> float:
    """The median over batches, per request."""
    engine.recommend(requests[:batch])
    taken = []
    for start in range(0, len(requests) - batch + 1, batch):
        began = time.process_time()
        engine.recommend(requests[start : start + batch])
        taken.append((time.process_time() - began) / batch)
    return round(float(np.median(taken)) * 1e6)


async def ask(address: str, n_items: int, seconds: float) -> dict[str, float]:
    """What the client's process does: each connection asks again as soon as it is answered."""
    encoded, taken = [json.dumps(body).encode() for body in bodies(n_items)], []
    end = time.perf_counter() + seconds

    async def connection(number: int) -> None:
        async with httpx.AsyncClient(base_url=address) as client:
            while (began := time.perf_counter()) < end:
                answer = await client.post("/v1/recommend", content=encoded[(number + len(taken)) % len(encoded)])
                answer.raise_for_status()
                taken.append(time.perf_counter() - began)

    await asyncio.gather(*(connection(number) for number in range(CONNECTIONS)))
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return {"requests_per_second": round(len(taken) / seconds), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}


def cpu_seconds(process: int) -> float:
    """User and system time of a running process (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, n_items: int, seconds: float, folder: Path) -> dict[str, Any]:
    bundle = make(folder, kind, n_items)
    began = time.perf_counter()
    engine = Engine(Bundle.load(bundle))
    loaded = time.perf_counter() - began
    engine.own_this_thread()
    requests = [Request(**body) for body in bodies(n_items)]
    alone, together = (engine_microseconds(engine, requests, batch) for batch in (1, BATCH))
    with running(bundle) as server:
        before = cpu_seconds(server.process.pid)
        client = [sys.executable, "-m", "experiments.benchmarks.serving", "--ask", server.address, str(n_items)]
        done = subprocess.run([*client, "--seconds", str(seconds)], check=True, stdout=subprocess.PIPE)
        used = cpu_seconds(server.process.pid) - before
    over_http = json.loads(done.stdout)
    answered = over_http["requests_per_second"] * seconds
    return {
        "kind": kind,
        "items": n_items,
        "load_seconds": round(loaded, 2),
        "engine_microseconds": {"alone": alone, f"in batches of {BATCH}": together},
        "http": {**over_http, "server_cpu_microseconds": round(used / answered * 1e6), "connections": CONNECTIONS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--ask", nargs=2, metavar=("ADDRESS", "ITEMS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        sys.stdout.write(json.dumps(asyncio.run(ask(given.ask[0], int(given.ask[1]), given.seconds))))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = [
            measure(kind, n_items, given.seconds, Path(folder) / f"{kind}-{n_items}")
            for kind in KINDS
            for n_items in SIZES
        ]
    report = {
        "results": results,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0]},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in SHOWN}},
    }
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
