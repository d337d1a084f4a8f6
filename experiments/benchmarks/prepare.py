"""How long a large log takes to prepare, and how much memory.

    python experiments/benchmarks/prepare.py [--rows 20000000] [--memory-limit 4GB]

Generates a seeded Parquet log in a temporary folder, prepares it in a process of its own, and
writes wall and CPU seconds, rows per second and that process's peak memory to
reports/benchmarks/prepare.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/prepare.json"
CHUNK = 2_000_000
YEAR = 365 * 86_400
EVENTS = pa.array(["view", "cart", "purchase"])


def generate(path: Path, *, rows: int, users: int, items: int, seed: int) -> None:
    """A year of skewed events in no order, with string ids and one row in a hundred repeated."""
    random = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        fresh = np.arange(size)
        repeated = random.random(size) < 0.01
        fresh[repeated] = np.maximum(fresh[repeated] - 1, 0)
        who = (users * random.random(size) ** 2).astype(np.int64)[fresh]
        what = (items * random.random(size) ** 4).astype(np.int64)[fresh]
        when = 1_700_000_000 + random.integers(0, YEAR, size)[fresh]
        kind = random.choice(3, size, p=[0.9, 0.07, 0.03]).astype(np.int32)[fresh]
        table = pa.table(
            {
                "user_id": pa.array(np.char.add("user-", who.astype(str))),
                "item_id": pa.array(np.char.add("item-", what.astype(str))),
                "timestamp": pa.array(when),
                "event": pa.DictionaryArray.from_arrays(pa.array(kind), EVENTS).cast(pa.string()),
            }
        )
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def prepare_here(path: Path, root: Path, memory_limit: str) -> None:
    """What the measured process does; prints the seconds of each step as JSON."""
    from recsys_lab.data.prepare import prepare
    from recsys_lab.data.sources.parquet import Parquet

    begun: list[tuple[str, float]] = []
    dataset = prepare(
        Parquet(path),
        root=root,
        memory_limit=memory_limit,
        threads=os.cpu_count(),
        progress=lambda name: begun.append((name, time.perf_counter())),
    )
    begun.append(("", time.perf_counter()))
    steps = {name: round(after - at, 2) for (name, at), (_, after) in pairwise(begun)}
    sys.stdout.write(json.dumps({"steps": steps, "events": len(dataset.log), "items": len(dataset.catalogue)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--memory-limit", default="4GB")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--prepare", nargs=2, type=Path, metavar=("LOG", "ROOT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare_here(*arguments.prepare, arguments.memory_limit)
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events.parquet"
        generate(log, rows=arguments.rows, users=arguments.users, items=arguments.items, seed=arguments.seed)
        command = [sys.executable, __file__, "--memory-limit", arguments.memory_limit]
        start = time.perf_counter()
        answer = subprocess.run(
            [*command, "--prepare", str(log), str(Path(folder) / "prepared")], check=True, stdout=subprocess.PIPE
        )
        seconds = time.perf_counter() - start
    import duckdb

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "rows": arguments.rows,
        "users": arguments.users,
        "items": arguments.items,
        "memory_limit": arguments.memory_limit,
        "seconds": round(seconds, 1),
        "rows_per_second": round(arguments.rows / seconds),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_gib": round(used.ru_maxrss / 2**20, 2),
        "cores": os.cpu_count(),
        "prepared": json.loads(answer.stdout),
        "versions": {
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
    }
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
