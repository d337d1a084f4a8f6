"""How long collaborative models take to fit, ours and others', and how good the lists are.

    python -m experiments.benchmarks.collaborative [--repeats 3]

Generates a log of MovieLens' scale with planted tastes. Each side runs alone, in a process pinned to one
core, interleaved with the others; the least CPU seconds of several runs count. Quality is NDCG@10 of one
held-out item per user, among all items not touched before. A peer that has not answered after ``--limit`` seconds by
the clock is left out, and the report says so. Writes reports/benchmarks/collaborative.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.collaborative_peers import ndcg

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/collaborative.json"
USERS, ITEMS, EACH, TASTES = 6_040, 3_400, 165, 12
OURS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "als": ("recsys_lab.models.als", "ALS", {}),
    "ease": ("recsys_lab.models.ease", "EASE", {}),
    "itemknn": ("recsys_lab.models.itemknn", "ItemKNN", {"neighbours_of": "recommended"}),  # as RecBole keeps them
    "slim": ("recsys_lab.models.slim", "SLIM", {}),
}
SIDES = (("als", ("implicit",)), ("ease", ("rectools", "recbole")), ("itemknn", ("rectools", "recbole")), ("slim", ()))


def generate(path: Path, seed: int = 7) -> None:
    """Users pick items in proportion to popularity × exp(taste); the last two of each are held out."""
    rng = np.random.default_rng(seed)
    popularity = -0.9 * np.log(rng.permutation(np.arange(1, ITEMS + 1)) / ITEMS + 0.01)
    users, items = (rng.normal(size=(size, TASTES)) for size in (USERS, ITEMS))
    items /= np.linalg.norm(items, axis=1)[:, None]
    lengths = np.exp(rng.normal(np.log(EACH) - 0.4, 0.9, USERS)).clip(20, ITEMS // 3).astype(int)
    picked = []
    for taste, length in zip(users, lengths, strict=True):
        scores = 1.2 * items @ taste + popularity + rng.gumbel(size=ITEMS)
        picked.append(rng.permutation(np.argpartition(-scores, length + 1)[: length + 2]))
    np.savez(
        path,
        users=np.repeat(np.arange(USERS), lengths).astype(np.int32),
        items=np.concatenate([each[:-2] for each in picked]).astype(np.int32),
        valid=np.array([each[-2] for each in picked], np.int32),
        test=np.array([each[-1] for each in picked], np.int32),
    )


def read(path: Path) -> Any:
    """The generated log as ours, and each user's held-out item."""
    from recsys_lab.data.log import InteractionLog

    with np.load(path) as stored:
        users, items, test = stored["users"], stored["items"], stored["test"]
    return InteractionLog.from_events(users, items, np.arange(len(users)), n_users=USERS, n_items=ITEMS), test


def fit_ours(name: str, path: Path, repeats: int) -> dict[str, Any]:
    from importlib import import_module

    log, test = read(path)
    module, model, settings = OURS[name]
    seconds, fitted = peers.cpu_seconds(lambda: getattr(import_module(module), model)(**settings).fit(log), repeats)
    memory = peers.peak_memory_mib()
    lists = fitted.recommend(log.histories(len(log)), 10).items
    used = ("numpy", "scipy", "torch")
    return {
        "fit_cpu_seconds": seconds,
        "peak_memory_mib": memory,
        "ndcg@10": ndcg(lists, test),
        "settings": settings,
        "versions": peers.versions(used),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=["implicit", "rectools", "recbole"], help="whom to measure")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a peer may take for one model")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--side", nargs=2, metavar=("MODEL", "LOG"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        model, path = arguments.side
        sys.stdout.write(json.dumps(fit_ours(model, Path(path), arguments.repeats)) + "\n")
        return
    measured: dict[str, dict[str, Any]] = {}
    report = {
        "data": {
            "users": USERS,
            "items": ITEMS,
            "events_per_user": EACH,
            "tastes": TASTES,
            "held_out": "one item each",
        },
        "repeats": arguments.repeats,
        "machine": peers.machine(),
        "models": measured,
    }
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "log.npz")
        generate(Path(log))
        repeats = str(arguments.repeats)
        for model, others in SIDES:
            ours = ("experiments.benchmarks.collaborative", "--side", model, log, "--repeats", repeats)
            measured[model] = {"ours": peers.run(*ours, core=arguments.core)}
            for other in [name for name in others if name in arguments.peers]:
                theirs = ("experiments.benchmarks.collaborative_peers", other, model, log, repeats)
                python, core = peers.python_of(other), arguments.core
                try:
                    measured[model][other] = peers.run(*theirs, python=python, core=core, limit=arguments.limit)
                except subprocess.TimeoutExpired:
                    measured[model][other] = {"no_answer_after_seconds": arguments.limit}
            measured[model]["load_average"] = peers.machine()["load_average"]
            arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
