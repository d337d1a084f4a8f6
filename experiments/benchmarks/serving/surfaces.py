"""What an answer costs on each surface of a bundle, in microseconds of CPU; batches of 16, as under load.

    python -m experiments.benchmarks.serving.surfaces BUNDLE [--rounds 10]

The requests are the bundle's golden ones, over and over. The least of all rounds counts, since others use the machine
too. Writes reports/benchmarks/surfaces.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from itertools import cycle, islice
from pathlib import Path

from experiments.benchmarks import peers
from experiments.benchmarks.serving.operations import requests_of
from serving_min.asks import Asked
from serving_min.engine import Engine
from serving_min.verification import verified

REPORT = Path(__file__).resolve().parents[3] / "reports/benchmarks/surfaces.json"
BATCH, ASKED = 16, 256
PACKAGES = ("faiss-cpu", "msgspec", "numpy", "onnxruntime")


def by_surface(folder: Path) -> dict[str, list[Asked]]:
    """As many requests to each surface as are asked in a round."""
    asked: dict[str, list[Asked]] = defaultdict(list)
    for one in requests_of(folder):
        asked[one.surface].append(one)
    return {surface: [*islice(cycle(few), ASKED)] for surface, few in sorted(asked.items())}


def microseconds(engine: Engine, asked: list[Asked]) -> float:
    """Of an answer, once round."""
    began = time.thread_time()
    for start in range(0, len(asked), BATCH):
        engine.answer(asked[start : start + BATCH])
    return (time.thread_time() - began) / len(asked) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    engine = verified(given.bundle)
    engine.own_this_thread()
    surfaces = by_surface(given.bundle)
    least = dict.fromkeys(surfaces, float("inf"))
    for _ in range(given.rounds):  # by turns: a quiet moment then serves all of them
        for surface, asked in surfaces.items():
            least[surface] = min(least[surface], microseconds(engine, asked))
    report = {
        "machine": peers.machine(),
        "versions": peers.versions(PACKAGES),
        "model": engine.bundle.manifest.model.class_,
        "items": len(engine.bundle.items),
        "microseconds": {surface: round(each) for surface, each in least.items()},
    }
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
