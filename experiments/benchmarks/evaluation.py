"""How many users a second are ranked and measured, by us and by RecBole.

    python -m experiments.benchmarks.evaluation [--repeats 3] [--rounds 2]

Top lists for all users out of all items, what they have seen left out, and every metric, on ``collaborative``'s log:
of BPR with 64 factors, and of SASRec with 2 blocks of 2 heads, width 64, over the latest 50 events. RecBole looks
a BPR user's vector up where ours is computed from the history, and leaves nothing out for SASRec. Sides take turns,
each in a process pinned to one core; the least CPU seconds of all rounds count. The vectors need no good values: the
work is the same whatever the numbers in them. "bound" says what the matrix products alone would take at the speed of
the machine's best one: nobody who scores every item in float32 ranks more users a second. Writes
reports/benchmarks/evaluation.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.collaborative import ITEMS, USERS, generate, read

if TYPE_CHECKING:
    from recsys_lab.data.log import InteractionLog
    from recsys_lab.models.base import VectorModel
    from serving_min.queries import Queries

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/evaluation.json"
K = 10
SIDE = 1_536  # of the matrices whose product is the machine's best
MODELS = ("bpr", "sasrec")


def model_of(name: str, log: InteractionLog) -> VectorModel:
    """The model after one epoch, or two steps of one."""
    from recsys_lab.models.bpr import BPR
    from recsys_lab.models.sasrec import SASRec

    if name == "bpr":
        return BPR(factors=64, epochs=1).fit(log)
    two_steps = {"limit_train_batches": 2}
    model = SASRec(width=64, blocks=2, heads=2, feed_forward=4.0, max_history=50, max_epochs=1, trainer=two_steps)
    return model.fit(log)


def ours(name: str, path: str, repeats: int) -> dict[str, Any]:
    """CPU seconds of each step: the query vectors, the lists with them, the metrics, and their intervals."""
    from recsys_lab.data.fold import Fold
    from recsys_lab.evaluation import evaluate, rank

    log, test = read(Path(path))
    model = model_of(name, log)
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
    products = operations(model, fold.queries)
    seconds: dict[str, float] = {}
    seconds["vectors"], _ = peers.cpu_seconds(lambda: model.encode(fold.queries), repeats)
    seconds["lists"], lists = peers.cpu_seconds(lambda: rank(model, fold, K, True), repeats)
    measured = partial(evaluate, lists, fold, cutoffs=(K,))
    seconds["metrics"], evaluation = peers.cpu_seconds(lambda: measured(bootstrap=0), repeats)
    with_intervals, _ = peers.cpu_seconds(measured, repeats)
    square = np.ones((SIDE, SIDE), np.float32)
    peak = 2 * SIDE**3 / peers.cpu_seconds(lambda: square @ square, 5 * repeats)[0]
    seconds["intervals"] = round(with_intervals - seconds["metrics"], 4)
    return {
        "cpu_seconds": seconds,
        "gflop": round(products / 1e9, 2),
        "gflop_per_second_at_best": round(peak / 1e9, 1),
        "peak_memory_mib": peers.peak_memory_mib(),
        "metrics": sorted(evaluation.summary),
        "versions": peers.versions(("numpy", "scipy", "torch")),
    }


def operations(model: VectorModel, queries: Queries) -> int:
    """Of all scores, and of the products that make the query vectors; attention's own are not counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted:
        vectors = model.encode(queries)
    return int(counted.get_total_flops()) + 2 * vectors.size * len(model.item_vectors())


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(each[name] for each in rounds) for name in rounds[0]}


def compared(here: list[dict[str, Any]], there: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rounds of both sides come to."""
    steps = least([each["cpu_seconds"] for each in here])
    batches = least([each["cpu_seconds_by_users_at_once"] for each in there])
    vectors = least([each["of_which_vectors"] for each in there])
    total = steps["lists"] + steps["metrics"]
    bound = min(each["gflop"] / each["gflop_per_second_at_best"] for each in here)
    return {
        "ours": {
            **here[-1],
            "cpu_seconds": steps,
            "users_per_second": round(USERS / total),
            "users_per_second_with_intervals": round(USERS / (total + steps["intervals"])),
            "users_per_second_from_vectors": round(USERS / (total - steps["vectors"])),
        },
        "recbole": {
            **there[-1],
            "cpu_seconds_by_users_at_once": batches,
            "of_which_vectors": vectors,
            "users_per_second_by_users_at_once": {users: round(USERS / each) for users, each in batches.items()},
        },
        "times_as_fast": {users: round(each / total, 1) for users, each in batches.items()},
        "bound": {
            "cpu_seconds": round(bound, 4),
            "users_per_second": round(USERS / bound),
            "times_as_fast": {users: round(each / bound, 1) for users, each in batches.items()},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--python", type=Path, help="one that has RecBole; by default an environment made for it")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--side", nargs=2, metavar=("MODEL", "LOG"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        model, log = arguments.side
        sys.stdout.write(json.dumps(ours(model, log, arguments.repeats)) + "\n")
        return
    python, repeats = arguments.python or peers.python_of("recbole"), str(arguments.repeats)
    here: dict[str, list[dict[str, Any]]] = {model: [] for model in MODELS}
    there: dict[str, list[dict[str, Any]]] = {model: [] for model in MODELS}
    report: dict[str, Any] = {
        "data": {"users": USERS, "items": ITEMS, "held_out": "one item each", "list": K},
        "repeats": arguments.repeats,
        "machine": peers.machine(),
        "models": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "log.npz")
        generate(Path(log))
        for done in range(arguments.rounds):
            for model in MODELS:
                mine = ("experiments.benchmarks.evaluation", "--side", model, log, "--repeats", repeats)
                here[model].append(peers.run(*mine, core=arguments.core))
                theirs = ("experiments.benchmarks.evaluation_peers", model, log, repeats)
                there[model].append(peers.run(*theirs, python=python, core=arguments.core))
                report["models"][model] = {"rounds": done + 1, **compared(here[model], there[model])}
                arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
