"""How fast SASRec trains here, in RecTools, in RePlay and in RecBole: CPU seconds on one core.

    python -m experiments.benchmarks.sequences [--beauty FOLDER/Beauty.txt.gz] [--cache FOLDER] [--rounds 5]

Makes a virtual environment for each peer under ``--cache`` (RecTools needs NumPy 1), generates a log of
MovieLens's size, and lets all sides take turns on the same core: the other jobs of the machine then slow all of
them alike. Each side's best round counts. Writes reports/benchmarks/sequences.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import peers

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/sequences.json"
STEPS = Path(__file__).with_name("sequence_steps.py")
TARGETS = {  # data → peer → what is compared, and how many times faster this project is to be
    "movielens-scale": {
        "rectools": ("sequences", 4.0),
        "replay": ("sequences", 2.0),
        "recbole": ("positions", 45.0),
    },
    "amazon-beauty": {"rectools": ("positions", 10.0)},  # some batches are run, whose histories differ in length
}


def movielens_scale(*, users: int = 6_040, items: int = 3_400, events: int = 51, seed: int = 7) -> dict[str, Any]:
    """Skewed draws; only the last 51 of a user's 165 events, so that all sides see the same full histories."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(10, items + 10)
    drawn = random.choice(items, users * events, p=shares / shares.sum())
    drawn[:items] = np.arange(items)  # every item occurs
    return {
        "users": np.repeat(np.arange(users), events),
        "items": drawn,
        "times": np.tile(np.arange(events), users),
    }


def beauty(path: Path) -> dict[str, Any]:
    """The training part of leave-one-out: all but each user's last two events."""
    with gzip.open(path, "rt") as lines:
        histories = [[int(item) for item in line.split()[1:-2]] for line in lines]
    lengths = [len(history) for history in histories]
    _, items = np.unique(np.concatenate(histories), return_inverse=True)
    times = np.concatenate([np.arange(length) for length in lengths])
    return {"users": np.repeat(np.arange(len(lengths)), lengths), "items": items, "times": times}


class Side:
    """One implementation in a process of its own, which steps when asked."""

    def __init__(self, name: str, python: Path, log: Path, core: int) -> None:
        pinned = ["taskset", "-c", str(core), str(python), str(STEPS), name, str(log)]
        self.process = subprocess.Popen(
            pinned,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(peers.THREADS, "1")},
        )
        self.versions = self._answer()
        self.rounds: list[dict[str, float]] = []

    def round(self) -> None:
        self.rounds.append(self.ask(""))

    def ask(self, line: str) -> dict[str, Any]:
        """What the process answers to ``line``."""
        if self.process.stdin is not None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        return self._answer()

    def best(self, unit: str) -> float:
        """``unit`` (sequences, positions) per CPU second in the fastest round."""
        return max(taken[unit] / taken["seconds"] for taken in self.rounds)

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            raise SystemExit(f"{self.process.args}: ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(data: str, log: dict[str, Any], cache: Path, rounds: int, core: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        np.savez(path, **log)
        pythons = {"ours": Path(sys.executable), **{peer: peers.python_of(peer, cache) for peer in TARGETS[data]}}
        sides = {name: Side(name, python, path, core) for name, python in pythons.items()}
        for _ in range(rounds):
            for side in sides.values():
                side.round()
        for side in sides.values():
            side.process.communicate()
    speeds = {
        name: {
            "sequences_per_cpu_second": round(side.best("sequences"), 1),
            "positions_per_cpu_second": round(side.best("positions")),
            "versions": side.versions,
        }
        for name, side in sides.items()
    }
    ratios = {
        peer: {"per": unit, "times": round(sides["ours"].best(unit) / sides[peer].best(unit), 2), "target": target}
        for peer, (unit, target) in TARGETS[data].items()
    }
    size = {"users": int(log["users"].max()) + 1, "items": int(log["items"].max()) + 1, "events": len(log["users"])}
    return {"log": size, "speeds": speeds, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beauty", type=Path, help="the file of Amazon Beauty sequences")
    parser.add_argument("--cache", type=Path, default=peers.CACHE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    logs = {"movielens-scale": movielens_scale()}
    if arguments.beauty is not None:
        logs["amazon-beauty"] = beauty(arguments.beauty)
    report = {
        "settings": {"width": 64, "blocks": 2, "heads": 1, "length": 50, "batch": 128, "loss": "full softmax"},
        "rounds": arguments.rounds,
        "machine": peers.machine(),
        "python": platform.python_version(),
        "data": {
            name: measure(name, log, arguments.cache, arguments.rounds, arguments.core) for name, log in logs.items()
        },
    }
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report["data"], indent=2) + "\n")


if __name__ == "__main__":
    main()
