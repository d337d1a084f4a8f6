"""What new items should get on Amazon Office: the settings in ``conf/experiment/amazon-office.yaml`` chosen anew.

    python -m experiments.benchmarks.cold_start_choice --office FOLDER [--text-vectors FOLDER]

Looks at validation parts alone, before the test rows: the experiment's own and the 960 rows before that. On each,
content, two_tower and sasrec learn what came earlier. What is chosen is no part of what is learned, so one fit
answers for all: the bonus of items without an event, and two_tower's weight for alike content. In the mean of both
parts, the choice has the best Recall@20 of cold targets among those that keep nine tenths of NDCG@10 of warm ones: of
SASRec's for two_tower, of its own without a bonus for content, which is far from SASRec's with any. Adds "choice" to
reports/benchmarks/cold_start.json.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.cold_start import OFFICE_ITEMS, REPORT, ROOT, measure, with_texts
from recsys_lab import pipeline
from recsys_lab.data.fold import Fold
from recsys_lab.models.two_tower import TwoTower

CUTOFFS = {"last": "1970-01-04T09:06:00", "before": "1970-01-03T17:06:00"}
BONUSES = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2)
MATCHES, HALF_LIVES = (0.5, 0.75, 1.0, 1.5), (1.0, 3.0)
GRIDS: dict[str, list[dict[str, float]]] = {
    "content": [{"new_item_bonus": bonus} for bonus in BONUSES],
    "two_tower": [
        {"new_item_bonus": bonus, "content_match": match, "match_half_life": half_life}
        for bonus, match, half_life in product(BONUSES[:6], MATCHES, HALF_LIVES)
    ],
}
KEPT = 0.9
Found = tuple[float, float]  # NDCG@10 of warm targets, Recall@20 of cold ones


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
    return round(found["warm"]["ndcg@10"]["mean"], 4), round(found["cold"]["recall@20"]["mean"], 4)


def set_to(model: Any, setting: dict[str, float]) -> Any:
    """The same fitted model with other settings of its served vectors."""
    for name, value in setting.items():
        setattr(model, name, value)
    if isinstance(model, TwoTower):
        items = model.network.items
        items.new_item_bonus, items.content_match = setting["new_item_bonus"], setting["content_match"]
        model._ready()
    return model


def means(parts: dict[str, list[Found]]) -> list[Found]:
    """Of both parts, for each setting."""
    return [(float(warm), float(cold)) for warm, cold in np.mean(list(parts.values()), axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--office", type=Path, required=True, help="folder of Amazon Office Products")
    parser.add_argument("--text-vectors", type=Path, help="folder of the items' sentence embeddings")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[Found]]] = {"sasrec": {}, "content": {}, "two_tower": {}}
    sizes = {}
    for part, (config, fold) in folds(arguments.office, arguments.text_vectors, arguments.seed).items():
        cold = fold.train.item_counts()[fold.target_items] == 0
        sizes[part] = {"queries": len(fold), "cold_targets": int(cold.sum())}
        for name in found:
            model = config.for_model(name).build("model")
            if name in GRIDS:
                model.new_item_bonus = 0.0
            model.fit(fold.train, catalogue=fold.catalogue, valid=fold)
            settings = GRIDS.get(name, [{}])
            found[name][part] = [reached(set_to(model, setting) if setting else model, fold) for setting in settings]
            print(part, name, max(found[name][part]), flush=True)
    choice: dict[str, Any] = {"sizes": sizes, "text_vectors": arguments.text_vectors is not None, "models": {}}
    choice["sasrec_warm_ndcg@10"] = {part: tried[0][0] for part, tried in found["sasrec"].items()}
    for name, grid in GRIDS.items():
        both = means(found[name])
        floor = KEPT * (means(found["sasrec"])[0][0] if name == "two_tower" else both[0][0])
        kept = [place for place, (warm, _) in enumerate(both) if warm >= floor]
        best = max(kept, key=lambda place: (both[place][1], -place))
        tried = [
            {**setting, "warm_ndcg@10": [parts[0] for parts in each], "cold_recall@20": [parts[1] for parts in each]}
            for setting, *each in zip(grid, *found[name].values(), strict=True)
        ]
        choice["models"][name] = {"least_warm_ndcg@10": round(floor, 4), "chosen": grid[best], "tried": tried}
        print(name, grid[best], [round(value, 4) for value in both[best]])
    report = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {}
    arguments.report.write_text(json.dumps({**report, "choice": choice}, indent=2) + "\n")


if __name__ == "__main__":
    main()
