"""Seven models of RecBole on MovieLens-100k, leave-one-out, through our evaluation.

    python experiments/benchmarks/recbole_models.py --data FOLDER [--models BPR SASRec …]

Each model is trained on our training part within a few CPU minutes on one core, its epoch chosen on the
validation part, its NDCG@10 and Recall@10 measured on the test part once (full ranking, seen items
excluded). Settings are RecBole's own but for those in RECIPES, which were set beforehand by the time they
take and are not tuned: read the numbers as proof that the models run, not as what they can do.
Finished models are added to reports/benchmarks/recbole.json one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recsys_lab import pipeline, runs
from recsys_lab.evaluation import evaluate, rank

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/recbole.json"
OF_USERS = {"learning_rate": 0.005, "batch_size": 1024, "patience": 3}
OF_HISTORIES = {"learning_rate": 0.003, "batch_size": 1024, "patience": 2, "max_history": 20}
RECIPES: dict[str, dict[str, Any]] = {
    "BPR": {**OF_USERS, "max_epochs": 30},
    "LightGCN": {**OF_USERS, "max_epochs": 12},
    "NeuMF": {**OF_USERS, "max_epochs": 10},
    "WideDeep": {**OF_USERS, "max_epochs": 10},
    "GRU4Rec": {**OF_HISTORIES, "max_epochs": 5, "settings": {"hidden_size": 64}},
    "SASRec": {**OF_HISTORIES, "max_epochs": 5, "settings": {"n_layers": 1, "inner_size": 64}},
    "BERT4Rec": {**OF_HISTORIES, "max_epochs": 8, "settings": {"n_layers": 1, "inner_size": 64}},
}


def measure(name: str, common: list[str]) -> dict[str, Any]:
    """Train and evaluate one model; what its run gave."""
    config = pipeline.compose([*common, "model=recbole", f"recbole.model={name}"])
    model = type(config.build("model"))(**{**config.build("model").params(), **RECIPES[name]})
    split = pipeline.make_split(config, pipeline.prepare(config))
    began = time.process_time()
    model.fit(split.valid.train, catalogue=split.valid.catalogue, valid=split.valid)
    fitted = time.process_time() - began
    lists = rank(model, split.test, 10, split.exclude_seen)
    metrics = evaluate(lists, split.test, cutoffs=[10]).summary
    return {
        "recipe": RECIPES[name],
        "epochs": len(model.history),
        "best_epoch": model.best_epoch,
        "valid_ndcg@10": [round(entry["valid_ndcg@10"], 4) for entry in model.history],
        "test": {metric: metrics[metric] for metric in ("ndcg@10", "recall@10")},
        "queries": len(split.test),
        "share_of_queries_filled_by_popularity": round(float(lists.filled.all(axis=1).mean()), 4),
        "cpu_seconds_fit": round(fitted, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of movielens-100k's atomic files")
    parser.add_argument("--models", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        common = ["experiment=movielens-100k", f"data.path={arguments.data}", f"paths.prepared={folder}"]
        for name in arguments.models:
            measured = measure(name, common)
            report = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {"models": {}}
            report["protocol"] = "movielens-100k, leave-one-out, full ranking, seen items excluded, seed 7"
            report["machine"] = {"cores": os.cpu_count(), "load_average": [round(load, 1) for load in os.getloadavg()]}
            report["versions"] = {**runs.versions(), "platform": platform.platform(), "recbole": version("recbole")}
            report["models"][name] = measured
            arguments.report.parent.mkdir(parents=True, exist_ok=True)
            arguments.report.write_text(json.dumps(report, indent=2) + "\n")
            print(name, json.dumps(measured["test"]), f"{measured['cpu_seconds_fit']} CPU s")


if __name__ == "__main__":
    main()
