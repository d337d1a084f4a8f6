"""How well items without any event are recommended, next to the items that have some.

    python experiments/benchmarks/cold_start.py --office FOLDER --retail FOLDER --text-vectors FOLDER

Two data sets, each with its whole catalogue known at the cutoff and cold items among the candidates:

- Amazon Office: ``experiment=amazon-office``. The rows of the valid file train, those of the test file are
  asked, each from all that its user did before; what only the histories of test rows show is never trained on.
- Online Retail II: ``experiment=online_retail`` with seen items excluded and ``split.cold_items=announce``: the
  items first sold in the four weeks after the cutoff are listed at it, by description and price.

A *cold* target has no training event. Every list is ranked over the whole catalogue; queries are then asked
about their warm and about their cold targets alone. "among_new" ranks the cold items alone, as on a shelf of
new arrivals. With ``--text-vectors`` the items have sentence embeddings of title and description (from
amazon-office.parquet and online-retail.parquet, each with the columns item_id and text_vector; those of the report
are all-MiniLM-L6-v2's, of at most 96 tokens), which content and two_tower read.

Neither data set has categories, so the popularity baseline takes the brand, or shelves found by k-means in the
items' texts; the better one counts. An item without any event has the mean popularity of its brand or shelf there:
with its own, which is none, the baseline would find no cold target at all. Settings are those of the yaml files;
they and the epochs are chosen on the validation fold; ``cold_start_choice`` shows how Amazon Office's bonuses were.
Writes reports/benchmarks/cold_start.json; a data set whose folder is not given keeps its figures there.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_lab import pipeline, runs
from recsys_lab.config import Config
from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold, Split
from recsys_lab.data.slices import cold_targets, with_targets
from recsys_lab.errors import ModelError
from recsys_lab.evaluation import evaluate
from recsys_lab.metrics.content import content_vectors
from recsys_lab.models.base import Recommender
from recsys_lab.models.popular_by_category import PopularByCategory
from serving_min.rerank import TopK

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports/benchmarks/cold_start.json"
MODELS = ("popular", "content", "two_tower", "sasrec")
LENGTH = 20
SHELVES = 100
SHOWN = ("ndcg@10", "recall@10", "recall@20")
OFFICE_ITEMS = "Office_Products.item.json.gz"


def datasets(office: Path | None, retail: Path | None, seed: int) -> Iterator[tuple[str, Config]]:
    common = [f"paths.prepared={ROOT / 'experiments/prepared'}", f"seed={seed}", "trainer.enable_progress_bar=false"]
    if office is not None:
        data = [f"data.path={office}", f"data.items_path={office / OFFICE_ITEMS}"]
        yield "amazon-office", pipeline.compose(["experiment=amazon-office", *data, *common])
    if retail is not None:
        split = ["exclude_seen=true", "cold_items=announce", "allow=[vocabulary-from-the-past]"]
        chosen = [f"data.path={retail}", *(f"split.{setting}" for setting in split)]
        yield "online-retail", pipeline.compose(["experiment=online_retail", *chosen, *common])


def with_texts(split: Split, path: Path) -> Split:
    """The same split, whose items have the text vectors in the file; none where it says nothing of an item."""
    listed = pd.read_parquet(path).set_index(columns.ITEM)[columns.TEXT_VECTOR]

    def described(fold: Fold) -> Fold:
        vectors = fold.catalogue.frame[columns.ITEM].map(listed)
        return replace(fold, catalogue=Catalogue(fold.catalogue.frame.assign(**{columns.TEXT_VECTOR: vectors})))

    return replace(split, test=described(split.test), valid=split.valid and described(split.valid))


def baselines(fold: Fold) -> Iterator[tuple[str, Recommender]]:
    """Popularity by brand, where the shop has brands, and by shelves of alike items."""
    for name, catalogue, column in (
        ("popular_by_brand", fold.catalogue, columns.BRAND),
        ("popular_by_shelf", with_shelves(fold.catalogue), columns.CATEGORY),
    ):
        try:
            yield name, PopularByCategory(column=column, half_life_days=None).fit(fold.train, catalogue=catalogue)
        except ModelError as error:
            print(f"{name}: {error}", flush=True)


def with_shelves(catalogue: Catalogue) -> Catalogue:
    """The catalogue with k-means clusters of its content for categories."""
    from sklearn.cluster import MiniBatchKMeans

    vectors = content_vectors(catalogue)
    if vectors is None:
        return catalogue
    shelves = MiniBatchKMeans(SHELVES, random_state=0, n_init=3).fit_predict(vectors)
    return Catalogue(catalogue.frame.assign(**{columns.CATEGORY: [f"shelf {shelf}" for shelf in shelves]}))


def measure(model: Recommender, fold: Fold, *, exclude_seen: bool, bootstrap: int) -> dict[str, Any]:
    """The shown metrics on all, warm and cold targets, and on cold ones ranked among cold items alone."""
    lists = model.recommend(fold.queries, LENGTH, exclude_seen=exclude_seen)
    cold = cold_targets(fold)
    everything = np.ones(len(cold), np.bool_)
    found = {}
    for name, keep in (("all", everything), ("warm", ~cold), ("cold", cold)):
        part, rows = with_targets(fold, keep)
        shown = TopK(lists.items[rows], lists.scores[rows], lists.filled[rows])
        found[name] = means(shown, part, bootstrap)
    new = fold.train.item_counts() == 0
    part, _ = with_targets(fold, cold)
    shelf = model.recommend(part.queries, LENGTH, exclude_seen=exclude_seen, candidates=new)
    found["among_new"] = means(shelf, part, bootstrap)
    return found


def means(lists: TopK, fold: Fold, bootstrap: int) -> dict[str, Any]:
    summary = evaluate(lists, fold, cutoffs=(10, LENGTH), bootstrap=bootstrap).summary
    return {name: summary[name] for name in SHOWN}


def sizes(split: Split) -> dict[str, int]:
    fold = split.test
    cold, counts = cold_targets(fold), fold.train.item_counts()
    return {
        "train_events": len(fold.train),
        "items": len(counts),
        "cold_items": int((counts == 0).sum()),
        "queries": len(fold),
        "queries_with_cold_target": len(with_targets(fold, cold)[0]),
        "targets": len(cold),
        "cold_targets": int(cold.sum()),
    }


def verdict(models: dict[str, Any]) -> dict[str, float | None]:
    """Cold Recall@20 against the better baseline's (null: it finds nothing), warm NDCG@10 against SASRec's."""
    by_category = [name for name in models if name.startswith("popular_by_")]
    ratios: dict[str, float | None] = {}
    for part in ("cold", "among_new"):
        best = max(models[name][part]["recall@20"]["mean"] for name in by_category)
        for name in ("content", "two_tower"):
            mean = models[name][part]["recall@20"]["mean"]
            ratios[f"{name}_{part}_recall@20_against_popular_by_category"] = round(mean / best, 2) if best else None
    warm = {name: models[name]["warm"]["ndcg@10"]["mean"] for name in ("two_tower", "sasrec")}
    ratios["two_tower_warm_ndcg@10_against_sasrec"] = round(warm["two_tower"] / warm["sasrec"], 3)
    return ratios


def benchmark(config: Config, bootstrap: int, texts: Path | None) -> dict[str, Any]:
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    pipeline.check(dataset, split)
    if texts is not None:
        split = with_texts(split, texts)
    models: dict[str, Any] = {}

    def add(name: str, model: Recommender, cpu_seconds: float) -> None:
        found = measure(model, split.test, exclude_seen=split.exclude_seen, bootstrap=bootstrap)
        models[name] = {"fit_cpu_seconds": round(cpu_seconds, 1), "epochs": model.best_epoch, **found}
        line = {part: {name: round(value["mean"], 4) for name, value in found[part].items()} for part in found}
        print(name, json.dumps(line), flush=True)

    for name, model in baselines(split.test):
        add(name, model, 0.0)
    for name in MODELS:
        started = time.process_time()
        model = pipeline.fit(config.for_model(name), split)
        add(name, model, time.process_time() - started)
    return {
        "text_vectors": texts is not None,
        "overrides": [part for part in config.overrides if "path" not in part],
        "sizes": sizes(split),
        "models": models,
        "verdict": verdict(models),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--office", type=Path, help="folder of Amazon Office Products")
    parser.add_argument("--retail", type=Path, help="folder of Online Retail II")
    parser.add_argument("--text-vectors", type=Path, help="folder of the items' sentence embeddings")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    texts = arguments.text_vectors
    before = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {}
    report = {
        **before,
        "protocol": " ".join((__doc__ or "").partition("Two data sets")[2].split()),
        "seed": arguments.seed,
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": runs.versions(),
        "data": dict(before.get("data", {})),
    }
    for name, config in datasets(arguments.office, arguments.retail, arguments.seed):
        report["data"][name] = benchmark(config, arguments.bootstrap, texts and texts / f"{name}.parquet")
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    for name, found in report["data"].items():
        print(name, json.dumps(found["verdict"], indent=2))


if __name__ == "__main__":
    main()
