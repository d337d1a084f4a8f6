"""Whether combining models beats the best of them: Online Retail, repeats allowed, four weeks after 2011-06-03.

    python -m experiments.benchmarks.combination --data FOLDER [--prepared FOLDER] [override …]

Each model is fitted and asked on the validation fold, then on the test fold, with the settings of
``experiment=online_retail``. Reported are means, and on the test fold each model against the leader (paired sign-flip
test, Holm-corrected). Writes reports/benchmarks/combination.json after every model; what that file says of models and
parts that were not asked for stays.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.benchmarks import peers
from recsys_lab import pipeline
from recsys_lab.evaluation import evaluate, rank
from recsys_lab.metrics.significance import compare_with_leader
from recsys_lab.tuning.trial import validation_only

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/combination.json"
MODELS = ("repeat", "als", "ease", "itemknn", "hybrid", "ranker", "wide_deep", "ncf")
PARTS = ("validation", "test")
SHOWN = ("ndcg@10", "precision@10", "recall@20")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of Online Retail II")
    parser.add_argument("--prepared", default="experiments/prepared")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("overrides", nargs="*")
    chosen = parser.parse_args()
    said = ["experiment=online_retail", f"data.path={chosen.data}", f"paths.prepared={chosen.prepared}"]
    config = pipeline.compose([*said, *chosen.overrides])
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    report: dict[str, Any] = {
        "data": dataset.name,
        "queries": {"validation": len(split.valid or ()), "test": len(split.test)},
        "overrides": chosen.overrides,
        "machine": peers.machine(),
        "versions": peers.versions(["numpy", "scipy", "lightgbm"]),
        "models": json.loads(chosen.report.read_text())["models"] if chosen.report.exists() else {},
    }
    values = {}
    for part in PARTS:
        asked = split if part == "test" else validation_only(split)
        for name in chosen.models if part in chosen.parts else ():
            started = time.process_time()
            model = pipeline.fit(config.for_model(name), asked)
            fitted = time.process_time()
            lists = rank(model, asked.test, 20, split.exclude_seen)
            found = evaluate(lists, asked.test, cutoffs=(10, 20), seed=config["seed"])
            report["models"].setdefault(name, {})[part] = {
                **{metric: found.summary[metric] for metric in SHOWN},
                "fit_cpu_seconds": round(fitted - started, 1),
                "ask_cpu_milliseconds_per_query": round(1_000 * (time.process_time() - fitted) / len(asked.test), 2),
            }
            values[name] = found.per_query["ndcg@10"].to_numpy()
            chosen.report.write_text(json.dumps(report, indent=2) + "\n")
            print(part, name, report["models"][name][part], flush=True)
    if "test" not in chosen.parts:
        return
    compared = compare_with_leader(values, clusters=split.test.users, seed=config["seed"])
    report["ndcg@10 against the leader, test"] = [asdict(each) for each in compared]
    chosen.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
