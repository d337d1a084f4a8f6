"""How many CPU seconds of training SASRec takes to a given NDCG@10, here, in RecTools and in RePlay.

    python -m experiments.benchmarks.sequence_time [--share 0.8] [--peers rectools replay]

The steps are ``sequences``' own: the same width, blocks, length, batch and rate everywhere, weights drawn as each
library draws them. The log is generated: an item is mostly followed by one of its three successors, so there
is an order to learn and a best NDCG@10 that anybody could reach. One side after the other trains on the same core
until it expects the items held back with ``--share`` of that best; asking is not counted. Adds "time" to
reports/benchmarks/sequences.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.sequences import REPORT, Side

USERS, ITEMS, EVENTS, SUCCESSORS, FOLLOWED = 2_000, 1_000, 51, (0.5, 0.3, 0.2), 0.7
ROUNDS_BETWEEN = 2  # of the steps between two questions


def chains(seed: int = 7) -> tuple[dict[str, Any], float]:
    """The log, each user's next item held back as "next", and NDCG@10 of who knows all successors."""
    random = np.random.default_rng(seed)
    follows = np.stack([random.permutation(ITEMS) for _ in SUCCESSORS], axis=1)
    shares = 1 / np.arange(10, ITEMS + 10)
    shares /= shares.sum()
    walks = np.empty((USERS, EVENTS + 1), np.int64)
    walks[:, 0] = random.permutation(np.arange(USERS) % ITEMS)  # every item occurs
    for place in range(1, EVENTS + 1):
        successors = follows[walks[:, place - 1], random.choice(len(SUCCESSORS), USERS, p=SUCCESSORS)]
        anything = random.choice(ITEMS, USERS, p=shares)
        walks[:, place] = np.where(random.random(USERS) < FOLLOWED, successors, anything)
    known, wanted = follows[walks[:, -2]], walks[:, -1]
    best = float(((known == wanted[:, None]) / np.log2([2, 3, 4])).sum(axis=1).mean())
    log = {
        "users": np.repeat(np.arange(USERS), EVENTS),
        "items": walks[:, :-1].ravel(),
        "times": np.tile(np.arange(EVENTS), USERS),
        "next": wanted,
    }
    return log, best


def learn(name: str, side: Side, wanted: float, most: float) -> dict[str, Any]:
    """Train until NDCG@10 is ``wanted``, or for ``most`` CPU seconds."""
    seconds, curve = 0.0, []
    while not curve or (curve[-1][1] < wanted and seconds < most):
        for _ in range(ROUNDS_BETWEEN):
            side.round()
        seconds = sum(taken["seconds"] for taken in side.rounds)
        curve.append((round(seconds, 1), round(side.ask("ask")["ndcg@10"], 4)))
        print(name, *curve[-1], file=sys.stderr, flush=True)
    side.process.communicate()
    sequences = sum(taken["sequences"] for taken in side.rounds)
    reached = curve[-1][1] >= wanted
    return {"reached": reached, "cpu_seconds": curve[-1][0], "sequences": int(sequences), "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.8, help="of the best NDCG@10 that anybody could reach")
    parser.add_argument("--most", type=float, default=600, help="CPU seconds after which a side gives up")
    parser.add_argument("--peers", nargs="*", default=["rectools", "replay"])
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    log, best = chains()
    wanted = arguments.share * best
    sides: dict[str, dict[str, Any]] = {}
    found = {
        "log": {"users": USERS, "items": ITEMS, "events": len(log["users"])},
        "ndcg@10": {"wanted": round(wanted, 4), "best_possible": round(best, 4)},
        "machine": peers.machine(),
        "sides": sides,
        "times_as_fast": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        np.savez(path, **log)
        for name in ("ours", *arguments.peers):
            python = Path(sys.executable) if name == "ours" else peers.python_of(name)
            sides[name] = learn(name, Side(name, python, path, arguments.core), wanted, arguments.most)
            ours = sides["ours"]["cpu_seconds"]
            found["times_as_fast"] = {
                peer: round(side["cpu_seconds"] / ours, 2) for peer, side in sides.items() if side["reached"]
            }
            report = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {}
            arguments.report.write_text(json.dumps({**report, "time": found}, indent=2) + "\n")
    sys.stdout.write(json.dumps(found["times_as_fast"], indent=2) + "\n")


if __name__ == "__main__":
    main()
