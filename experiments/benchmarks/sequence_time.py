"""How many CPU seconds of training SASRec takes to a given NDCG@10, here, in RecTools and in RePlay.

    python -m experiments.benchmarks.sequence_time [--peers rectools replay] [--most 600]

The steps are ``sequences``' own: the same width, blocks, length, batch and rate everywhere, weights drawn as each
library draws them. The log is generated: an item is mostly followed by one of its three successors, so there
is an order to learn and a best NDCG@10 that anybody could reach. All sides train on the same core, always the one
that has had the least CPU seconds so far, until NDCG@10 of the items held back has not risen for a while; asking for
it is not counted. Each peer is compared at shares of the lower of the two bests, its own and ours.
Adds "time" to reports/benchmarks/sequences.json.
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
ROUNDS_BETWEEN = 4  # of steps between two questions: an epoch
PATIENCE = 10  # questions without a better answer
SHARES = (0.9, 0.95, 0.99)

Point = tuple[float, int, float]  # CPU seconds and sequences so far, and NDCG@10 then


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


def advance(side: Side, curve: list[Point]) -> None:
    """Train for some rounds and add a point to the curve."""
    for _ in range(ROUNDS_BETWEEN):
        side.round()
    seconds, sequences = (sum(taken[unit] for taken in side.rounds) for unit in ("seconds", "sequences"))
    curve.append((round(seconds, 1), int(sequences), round(side.ask("ask")["ndcg@10"], 4)))


def best_of(curve: list[Point]) -> float:
    return max(ndcg for *_, ndcg in curve)


def finished(curve: list[Point], most: float) -> bool:
    """Whether it has taken ``most`` CPU seconds, or stopped rising."""
    if not curve:
        return False
    answers = [ndcg for *_, ndcg in curve]
    return curve[-1][0] >= most or len(answers) - answers.index(max(answers)) > PATIENCE


def compared(ours: list[Point], theirs: list[Point]) -> dict[str, Any]:
    """When each side first reached ``SHARES`` of the lower best."""
    lower = min(best_of(ours), best_of(theirs))
    found = {}
    for share in SHARES:
        here, there = (next(point for point in curve if point[2] >= share * lower) for curve in (ours, theirs))
        found[f"{share:.0%}"] = {
            "ndcg@10": round(share * lower, 4),
            "cpu_seconds": {"ours": here[0], "theirs": there[0]},
            "sequences": {"ours": here[1], "theirs": there[1]},
            "times_as_fast": round(there[0] / here[0], 2),
        }
    return found


def write(found: dict[str, Any], curves: dict[str, list[Point]], versions: dict[str, Any], path: Path) -> None:
    found["load_average_at_the_end"] = peers.machine()["load_average"]
    found["sides"] = {
        name: {"best_ndcg@10": best_of(curve), "still_rising": not finished(curve, np.inf), **versions[name]}
        for name, curve in curves.items()
    }
    found["curves"] = {"of": "CPU seconds, sequences, NDCG@10", **curves}
    found["against"] = {peer: compared(curves["ours"], curve) for peer, curve in curves.items() if peer != "ours"}
    report = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**report, "time": found}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=600, help="CPU seconds after which a side ends anyway")
    parser.add_argument("--peers", nargs="*", default=["rectools", "replay"])
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    log, best = chains()
    curves: dict[str, list[Point]] = {name: [] for name in ("ours", *arguments.peers)}
    found: dict[str, Any] = {
        "log": {"users": USERS, "items": ITEMS, "events": len(log["users"])},
        "best_possible_ndcg@10": round(best, 4),
        "most_cpu_seconds": arguments.most,
        "machine": peers.machine(),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        np.savez(path, **log)
        pythons = {name: Path(sys.executable) if name == "ours" else peers.python_of(name) for name in curves}
        sides = {name: Side(name, python, path, arguments.core) for name, python in pythons.items()}
        while learning := [name for name in curves if not finished(curves[name], arguments.most)]:
            name = min(learning, key=lambda name: curves[name][-1][0] if curves[name] else 0.0)
            advance(sides[name], curves[name])
            print(name, *curves[name][-1], file=sys.stderr, flush=True)
            if all(curves.values()):  # after every question, for the run may be cut short
                write(found, curves, {name: side.versions for name, side in sides.items()}, arguments.report)
        for side in sides.values():
            side.process.communicate()
    sys.stdout.write(json.dumps(found["against"], indent=2) + "\n")


if __name__ == "__main__":
    main()
