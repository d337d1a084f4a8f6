"""Which bonus new items should have on Amazon Office: what ``conf/experiment/amazon-office.yaml`` says, chosen anew.

    python -m experiments.benchmarks.cold_start_choice --office FOLDER [--text-vectors FOLDER]

Looks at validation parts alone, before the test rows: the experiment's own and the 960 rows before that. On each,
content, two_tower and sasrec learn what came earlier; the bonus is no part of what is learned, so one fit answers for
all values. The choice has the best Recall@20 of cold targets, averaged over both parts, of those whose NDCG@10 of warm
targets keeps nine tenths on each: of SASRec's for two_tower, of its own without the bonus for content, which
is far from SASRec's with any. Adds "choice" to reports/benchmarks/cold_start.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.cold_start import OFFICE_ITEMS, REPORT, ROOT, measure, with_texts
from recsys_lab import pipeline
from recsys_lab.data.fold import Fold
from recsys_lab.models.content import Content
from recsys_lab.models.two_tower import TwoTower

CUTOFFS = {"last": "1970-01-04T09:06:00", "before": "1970-01-03T17:06:00"}
BONUSES = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.4)
KEPT = 0.9
Found = dict[str, float]  # what a model with some bonus reaches


def folds(office: Path, texts: Path | None, seed: int) -> dict[str, tuple[Any, Fold]]:
    """The configuration and the validation part for each cutoff."""
    found = {}
    for name, cutoff in CUTOFFS.items():
        paths = [f"data.path={office}", f"data.items_path={office / OFFICE_ITEMS}"]
        common = [
            f"paths.prepared={ROOT / 'experiments/prepared'}",
            f"seed={seed}",
            "trainer.enable_progress_bar=false",
        ]
        config = pipeline.compose(["experiment=amazon-office", *paths, *common, f"split.cutoff='{cutoff}'"])
        split = pipeline.make_split(config, pipeline.prepare(config))
        valid = split.valid if texts is None else with_texts(split, texts / "amazon-office.parquet").valid
        if valid is None:
            raise SystemExit("the experiment has no validation part")
        found[name] = (config, valid)
    return found


def reached(model: Any, fold: Fold) -> Found:
    found = measure(model, fold, exclude_seen=False, bootstrap=0)
    return {
        "warm_ndcg@10": round(found["warm"]["ndcg@10"]["mean"], 4),
        "cold_recall@20": round(found["cold"]["recall@20"]["mean"], 4),
    }


def with_bonus(model: Any, bonus: float) -> Any:
    """The same fitted model with another bonus; it is a column of the item vectors."""
    model.new_item_bonus = bonus
    if isinstance(model, TwoTower):
        model.network.items.new_item_bonus = bonus
        model._ready()
    return model


def chosen(curves: dict[str, dict[float, Found]], floors: dict[str, float]) -> float:
    """The best of the bonuses that keep enough of the warm targets on every part."""
    keeps = [bonus for bonus in BONUSES if all(curves[name][bonus]["warm_ndcg@10"] >= floors[name] for name in curves)]
    gains = {bonus: float(np.mean([curve[bonus]["cold_recall@20"] for curve in curves.values()])) for bonus in keeps}
    return max(gains, key=lambda bonus: (gains[bonus], -bonus))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--office", type=Path, required=True, help="folder of Amazon Office Products")
    parser.add_argument("--text-vectors", type=Path, help="folder of the items' sentence embeddings")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    curves: dict[str, dict[str, dict[float, Found]]] = {"content": {}, "two_tower": {}}
    sasrec, sizes = {}, {}
    for part, (config, fold) in folds(arguments.office, arguments.text_vectors, arguments.seed).items():
        cold = fold.train.item_counts()[fold.target_items] == 0
        sizes[part] = {"queries": len(fold), "cold_targets": int(cold.sum())}
        for name in ("sasrec", *curves):
            model = config.for_model(name).build("model")
            if isinstance(model, Content | TwoTower):
                model.new_item_bonus = 0.0
            model.fit(fold.train, catalogue=fold.catalogue, valid=fold)
            if name == "sasrec":
                sasrec[part] = reached(model, fold)
            else:
                curves[name][part] = {bonus: reached(with_bonus(model, bonus), fold) for bonus in BONUSES}
            print(part, name, json.dumps(sasrec[part] if name == "sasrec" else curves[name][part]), flush=True)
    floors = {
        "two_tower": {part: KEPT * found["warm_ndcg@10"] for part, found in sasrec.items()},
        "content": {part: KEPT * curve[0.0]["warm_ndcg@10"] for part, curve in curves["content"].items()},
    }
    choice = {
        "sizes": sizes,
        "text_vectors": arguments.text_vectors is not None,
        "sasrec": sasrec,
        "by_bonus": curves,
        "chosen": {name: chosen(curves[name], floors[name]) for name in curves},
    }
    report = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {}
    arguments.report.write_text(json.dumps({**report, "choice": choice}, indent=2) + "\n")
    print(json.dumps(choice["chosen"]))


if __name__ == "__main__":
    main()
