"""One epoch of SASRec with an item table of ten million rows: memory and time.

    python experiments/benchmarks/large_table.py [--items 10000000] [--users 20000]

Every item has an event of its own at most a few times, users are as few as that takes for an epoch
to be more than a moment. Trains with sampled softmax and row-wise Adam in a process of its own, validates
on a few users by full ranking, and writes peak memory and seconds to reports/benchmarks/large_table.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/large_table.json"
LENGTH, WIDTH = 20, 64


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def train_here(items: int, users: int, queries: int, optimizer: str) -> None:
    """What the measured process does; prints its numbers as JSON."""
    import torch

    from recsys_lab.data.catalogue import Catalogue
    from recsys_lab.data.fold import Fold
    from recsys_lab.data.log import InteractionLog
    from recsys_lab.models.sasrec import SASRec
    from serving_min.queries import Queries

    torch.set_num_threads(1)
    random = np.random.default_rng(7)
    codes = (items * random.random((users, LENGTH + 1)) ** 2).astype(np.int32)  # some items are popular
    who, when = np.indices((users, LENGTH))
    log = InteractionLog.from_events(who.ravel(), codes[:, :LENGTH].ravel(), when.ravel(), n_items=items)
    catalogue = Catalogue.of_ids([str(code) for code in range(items)])
    fold = Fold(
        train=log,
        catalogue=catalogue,
        queries=Queries.from_histories(codes[:queries, :LENGTH].tolist()),
        users=np.arange(queries, dtype=np.int32),
        target_offsets=np.arange(queries + 1),
        target_items=codes[:queries, LENGTH],
        n_targets=np.ones(queries, np.int64),
        target_times=np.full(queries, LENGTH),
        cutoff=LENGTH,
    )
    before = peak_gib()
    began, used = time.perf_counter(), time.process_time()
    model = SASRec(
        width=WIDTH,
        max_history=LENGTH,
        loss="sampled_softmax",
        negatives=256,
        optimizer=optimizer,
        max_epochs=1,
        trainer={"accelerator": "cpu", "devices": 1},
    ).fit(log, catalogue=catalogue, valid=fold)
    numbers = {
        "touched_items": int((log.item_counts() > 0).sum()),
        "train_loss": round(model.history[0]["train_loss"], 4),
        "fit_seconds": round(time.perf_counter() - began, 1),
        "fit_cpu_seconds": round(time.process_time() - used, 1),
        "peak_memory_gib_before_fit": before,
        "peak_memory_gib": peak_gib(),
        "table_gib": round(items * WIDTH * 4 / 2**30, 2),
    }
    sys.stdout.write(json.dumps(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--optimizer", choices=["adam", "rowwise_adam"], default="rowwise_adam")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = {name: getattr(arguments, name) for name in ("items", "users", "queries", "optimizer")}
    if arguments.train:
        train_here(**sizes)
        return
    words = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    answer = subprocess.run([sys.executable, __file__, "--train", *words], check=True, stdout=subprocess.PIPE)
    import torch

    report = {
        **sizes,
        "events": arguments.users * LENGTH,
        "width": WIDTH,
        "length": LENGTH,
        **json.loads(answer.stdout),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
