"""How many users a second are ranked and measured, by us and by RecBole.

    python -m experiments.benchmarks.evaluation [--repeats 5] [--rounds 3]

Top lists for all users out of all items, what they have seen left out, and every metric, of BPR with 64
factors on ``collaborative``'s log. RecBole looks a user's vector up where ours is computed from the history.
Sides take turns, each in a process pinned to one core; the least CPU seconds of all rounds count. The vectors need
no good values: the work is the same whatever the numbers in them. Writes reports/benchmarks/evaluation.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.collaborative import ITEMS, USERS, generate, read

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/evaluation.json"
K = 10


def ours(path: str, repeats: int) -> dict[str, Any]:
    """CPU seconds of each step: the query vectors, the lists with them, the metrics, and their intervals."""
    from recsys_lab.data.fold import Fold
    from recsys_lab.evaluation import evaluate, rank
    from recsys_lab.models.bpr import BPR

    log, test = read(Path(path))
    model = BPR(factors=64, epochs=1).fit(log)
    one, now = np.ones(USERS, np.int64), np.full(USERS, len(log))
    fold = Fold(
        train=log,
        catalogue=model.catalogue,
        queries=log.histories(len(log)),
        users=np.arange(USERS, dtype=np.int32),
        target_offsets=np.arange(USERS + 1),
        target_items=test,
        n_targets=one,
        target_times=now,
        cutoff=len(log),
    )
    seconds: dict[str, float] = {}
    seconds["vectors"], _ = peers.cpu_seconds(lambda: model.encode(fold.queries), repeats)
    seconds["lists"], lists = peers.cpu_seconds(lambda: rank(model, fold, K, True), repeats)
    measured = partial(evaluate, lists, fold, cutoffs=(K,))
    seconds["metrics"], evaluation = peers.cpu_seconds(lambda: measured(bootstrap=0), repeats)
    with_intervals, _ = peers.cpu_seconds(measured, repeats)
    seconds["intervals"] = round(with_intervals - seconds["metrics"], 4)
    return {
        "cpu_seconds": seconds,
        "peak_memory_mib": peers.peak_memory_mib(),
        "metrics": sorted(evaluation.summary),
        "versions": peers.versions(("numpy", "scipy", "torch")),
    }


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(each[name] for each in rounds) for name in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--python", type=Path, help="one that has RecBole; by default an environment made for it")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--side", metavar="LOG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        sys.stdout.write(json.dumps(ours(arguments.side, arguments.repeats)) + "\n")
        return
    here, there = [], []
    python, repeats = arguments.python or peers.python_of("recbole"), str(arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "log.npz")
        generate(Path(log))
        for _ in range(arguments.rounds):
            mine = ("experiments.benchmarks.evaluation", "--side", log, "--repeats", repeats)
            here.append(peers.run(*mine, core=arguments.core))
            theirs = ("experiments.benchmarks.evaluation_peers", log, repeats)
            there.append(peers.run(*theirs, python=python, core=arguments.core))
    steps = least([each.pop("cpu_seconds") for each in here])
    batches = least([each.pop("cpu_seconds_by_users_at_once") for each in there])
    total = steps["lists"] + steps["metrics"]
    report = {
        "data": {"users": USERS, "items": ITEMS, "held_out": "one item each", "list": K},
        "repeats": arguments.repeats,
        "rounds": arguments.rounds,
        "machine": peers.machine(),
        "ours": {
            **here[-1],
            "cpu_seconds": steps,
            "users_per_second": round(USERS / total),
            "users_per_second_with_intervals": round(USERS / (total + steps["intervals"])),
        },
        "recbole": {
            **there[-1],
            "cpu_seconds_by_users_at_once": batches,
            "users_per_second_by_users_at_once": {users: round(USERS / each) for users, each in batches.items()},
        },
        "times_as_fast": {users: round(each / total, 1) for users, each in batches.items()},
    }
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
