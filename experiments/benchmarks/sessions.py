"""How long session neighbours (vsknn) take for an answer, on a log of a million sessions.

    python -m experiments.benchmarks.sessions [--sessions 1000000] [--items 100000]

Generates sessions of themes with long-tailed popularity, indexes them, and asks for lists of 10 with running
sessions of 1, 3 and 10 distinct items: CPU microseconds a query, alone and 32 at a time, of the code that the
server runs. Writes reports/benchmarks/sessions.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import peers
from recsys_lab.data.log import InteractionLog
from recsys_lab.models.vsknn import VSkNN
from serving_min.bounds import Bounds
from serving_min.queries import Queries

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/sessions.json"
LENGTHS, ASKED, BATCH, K, THEME = (1, 3, 10), 2_000, 32, 10, 200
NOBODY = np.zeros(0, np.int32)


def generate(sessions: int, items: int, seed: int = 7) -> InteractionLog:
    """One user a session, 2 + a geometric number of events (6 on average) among the items of one theme, Zipf-like."""
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.geometric(1 / 5, sessions).clip(1, 49)
    owners = np.repeat(np.arange(sessions, dtype=np.int32), lengths)
    theme = rng.permutation(items // THEME)[(rng.random(sessions) ** 2 * (items // THEME)).astype(np.int64)]
    place = (rng.random(len(owners)) ** 3 * THEME).astype(np.int64)
    chosen = (theme[owners] * THEME + place).astype(np.int32)
    return InteractionLog.from_events(owners, chosen, np.arange(len(owners)), n_users=sessions, n_items=items)


def ask(log: InteractionLog, length: int, seed: int = 8) -> Queries:
    """Running sessions of ``length`` items of one theme, the themes as popular as in the log."""
    rng = np.random.default_rng(seed)
    themes = log.items[rng.integers(0, len(log), ASKED)] // THEME
    histories = [
        (theme * THEME + (rng.random(8 * length) ** 3 * THEME).astype(np.int64)).tolist() for theme in themes.tolist()
    ]
    return Queries.from_histories([list(dict.fromkeys(history))[:length] for history in histories])


def microseconds(model: VSkNN, queries: Queries, batch: int) -> dict[str, float]:
    """CPU time of one query: the mean, and the 99th percentile of its batches."""
    taken = []
    for rows, block in queries.batches(batch):
        bounds = [Bounds(K, NOBODY)] * len(block)
        started = time.process_time_ns()
        model.sessions.best(block, bounds)
        taken.append((time.process_time_ns() - started) / 1_000 / (rows.stop - rows.start))
    return {"mean": round(float(np.mean(taken)), 1), "p99": round(float(np.quantile(taken, 0.99)), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    chosen = parser.parse_args()
    log = generate(chosen.sessions, chosen.items)
    fit_seconds, model = peers.cpu_seconds(lambda: VSkNN(gap=None).fit(log))
    results: list[dict[str, Any]] = []
    for length in LENGTHS:
        queries = ask(log, length)
        alone, together = microseconds(model, queries, 1), microseconds(model, queries, BATCH)
        results.append({"items": length, "alone": alone, f"in batches of {BATCH}": together})
    report = {
        "log": {"events": len(log), "sessions": chosen.sessions, "items": chosen.items},
        "model": model.params(),
        "fit_cpu_seconds": round(fit_seconds, 2),
        "peak_memory_mib": peers.peak_memory_mib(),
        "cpu_microseconds_per_query": results,
        "machine": peers.machine(),
        "versions": peers.versions(["numpy", "scipy"]),
    }
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
