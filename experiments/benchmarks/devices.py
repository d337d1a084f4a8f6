"""How long an epoch of the neural models takes on a GPU and on the processors beside it, and if they learn the same.

    python -m experiments.benchmarks.devices [--threads 16] [--report FILE]

SASRec and the two-tower on generated logs, with the trainer's settings for processors, for GPUs, and with single
changes of the latter; of three epochs the faster of the last two counts. The training loss says if they learn the same.
Needs a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.peers import ROOT, machine, versions
from experiments.benchmarks.sequences import movielens_scale
from recsys_lab import pipeline
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog

REPORT = ROOT / "reports" / "benchmarks" / "devices.json"
PACKAGES = ("torch", "pytorch-lightning", "numpy")
LOGS = {  # SASRec's windows hold 50 events, so there is one for each user
    "6,040 users, 3,400 items": {"users": 6_040, "items": 3_400},
    "20,000 users, 20,000 items": {"users": 20_000, "items": 20_000},
}
HALF = ["trainer=gpu", "trainer.precision=bf16-mixed"]
CHANGES: dict[str, list[str]] = {
    "processors": ["trainer=cpu"],
    "gpu": ["trainer=gpu"],
    "gpu, half precision": HALF,
    "gpu, half precision, compiled": [*HALF, "trainer.compile=true"],
    "gpu, half precision, batches of 1,024": [*HALF, "model.batch_size=1024"],
}
QUIET = ["trainer.enable_progress_bar=false"]
MODELS = ("sasrec", "two_tower")


def epoch(model: str, log: InteractionLog, overrides: list[str]) -> dict[str, Any]:
    """Seconds of the faster of two epochs after the first, the loss of the last, what the GPU held at most."""
    words = [f"model={model}", "model.max_epochs=3", "model.exclude_seen=false", *overrides, *QUIET]
    learner = pipeline.compose(words).build("model")
    torch._dynamo.reset()
    torch.cuda.reset_peak_memory_stats()
    learner.fit(log, catalogue=Catalogue.of_ids([str(code) for code in range(log.n_items)]))
    first, *later = learner.history
    return {
        "seconds": round(min(entry["seconds"] for entry in later), 3),
        "first_seconds": round(first["seconds"], 3),
        "train_loss": round(later[-1]["train_loss"], 4),
        "gpu_peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
    }


def epochs() -> dict[str, Any]:
    """By log, model and change."""
    found: dict[str, Any] = {}
    for name, size in LOGS.items():
        events = movielens_scale(**size)
        log = InteractionLog.from_events(events["users"], events["items"], events["times"])
        found[name] = {}
        for model in MODELS:
            found[name][model] = {change: epoch(model, log, overrides) for change, overrides in CHANGES.items()}
            sys.stderr.write(json.dumps({name: {model: found[name][model]}}) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a GPU that torch can use")
    torch.set_num_threads(given.threads)
    report = {
        "machine": {**machine(), "gpu": torch.cuda.get_device_name(), "threads": given.threads},
        "versions": versions(PACKAGES),
        "epochs": epochs(),
    }
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
