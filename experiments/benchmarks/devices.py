"""How long the neural models train on a GPU and on the processors beside it, and whether they learn the same.

    python -m experiments.benchmarks.devices [--threads 16] [--report FILE]

Epochs: SASRec and the two-tower on generated logs, with the trainer's settings for processors, for GPUs, and with
single changes of the latter; of three epochs the faster of the last two counts, validation left out. Quality: both on
the simulated shop, trained to the end by the pipeline on either device, so NDCG@10 is of the test part. Needs a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
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
CHANGES: dict[str, list[str]] = {
    "processors": ["trainer=cpu"],
    "gpu": ["trainer=gpu"],
    "gpu, 32 bits": ["trainer=gpu", "trainer.precision=32-true"],
    "gpu, compiled": ["trainer=gpu", "trainer.compile=true"],
    "gpu, batches of 1,024": ["trainer=gpu", "model.batch_size=1024"],
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


def quality(model: str, overrides: list[str], folder: Path) -> dict[str, Any]:
    """A run of the pipeline on the simulated shop."""
    paths = [f"paths.prepared={folder}/prepared", f"paths.runs={folder}/runs"]
    run = pipeline.train(pipeline.compose(["data=shop", f"model={model}", *overrides, *paths, *QUIET]))
    return {
        "ndcg@10": round(run.metrics["ndcg@10"]["mean"], 4),
        "epochs": len(run.curve),
        "fit_seconds": round(run.fit_seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a GPU that torch can use")
    torch.set_num_threads(given.threads)
    report: dict[str, Any] = {
        "machine": {**machine(), "gpu": torch.cuda.get_device_name(), "threads": given.threads},
        "versions": versions(PACKAGES),
        "epochs": {},
        "quality": {},
    }
    for name, size in LOGS.items():
        events = movielens_scale(**size)
        log = InteractionLog.from_events(events["users"], events["items"], events["times"])
        report["epochs"][name] = {}
        for model in MODELS:
            found = {change: epoch(model, log, overrides) for change, overrides in CHANGES.items()}
            report["epochs"][name][model] = found
            sys.stdout.write(json.dumps({name: {model: found}}) + "\n")
            sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            found = {device: quality(model, CHANGES[device], Path(folder)) for device in ("processors", "gpu")}
            report["quality"][model] = found
            sys.stdout.write(json.dumps({model: found}) + "\n")
            sys.stdout.flush()
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
