"""A leaderboard of invented results, in the shape that `recsys-lab compare` gives."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.evaluation import Evaluation, evaluate
from recsys_lab.metrics.significance import compare_with_leader
from serving_min.queries import Queries
from serving_min.rerank import top_k

ITEMS, QUERIES = 120, 300
SKILL = {"sasrec": 1.55, "two_tower": 1.5, "als": 1.2, "ease": 1.5, "itemknn": 1.1, "content": 0.8, "popular": 0.35}
CURVE = [{"epoch": epoch, "train_loss": 5 / epoch + 2, "valid_ndcg@10": 0.2 - 0.15 / epoch} for epoch in range(1, 9)]


def fold(seed: int = 0) -> Fold:
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, ITEMS + 1)
    items = rng.choice(ITEMS - 10, 4000, p=popularity[:-10] / popularity[:-10].sum()).astype(np.int32)
    sizes = rng.integers(1, 4, QUERIES)
    targets = [rng.choice(ITEMS, size, replace=False, p=popularity / popularity.sum()) for size in sizes]
    lengths = np.minimum(rng.geometric(0.12, QUERIES) - 1, 60)
    categories = [f"shelf {item % 6}" for item in range(ITEMS)]
    return Fold(
        train=InteractionLog.from_events(rng.integers(0, 500, 4000), items, np.arange(4000), n_items=ITEMS),
        catalogue=Catalogue(pd.DataFrame({"item_id": [str(item) for item in range(ITEMS)], "category": categories})),
        queries=Queries.from_histories([[0] * length for length in lengths]),
        users=np.arange(QUERIES, dtype=np.int32),
        target_offsets=np.cumsum([0, *sizes]),
        target_items=np.concatenate(targets).astype(np.int32),
        n_targets=sizes,
        target_times=np.full(QUERIES, 4000),
        cutoff=1_780_000_000,
    )


def evaluations(models: dict[str, float] | None = None) -> dict[str, Evaluation]:
    """Models that see the targets through noise, the more skilled the clearer."""
    asked = fold()
    rng = np.random.default_rng(1)
    truth = np.zeros((QUERIES, ITEMS), np.float32)
    truth[np.repeat(np.arange(QUERIES), np.diff(asked.target_offsets)), asked.target_items] = 1
    liked = np.log1p(asked.train.item_counts()) / 8
    found = {}
    for model, skill in (SKILL if models is None else models).items():
        scores = skill * truth + rng.normal(size=truth.shape).astype(np.float32) * 0.7 + (2 - skill) * liked
        vectors = np.random.default_rng(2).normal(size=(ITEMS, 8)).astype(np.float32)
        found[model] = evaluate(top_k(scores.astype(np.float32), 20), asked, bootstrap=200, content=vectors)
    return found


def board(found: dict[str, Evaluation], primary: str = "ndcg@10") -> dict[str, Any]:
    ranked = sorted(found, key=lambda model: -found[model].summary[primary]["mean"])
    values = {model: found[model].per_query[primary].to_numpy() for model in ranked}
    described = {"train_events": 4000, "train_users": 500, "items": ITEMS, "cutoff": 1_780_000_000}
    counts = {"queries_without_history": 31, "cold_targets": 12}
    return {
        "name": "20261123-161600-compare-0a1b2c3d",
        "created": "2026-11-23T16:16:00+00:00",
        "data": {"name": "made-up", "fingerprint": "0a1b2c3d4e5f6a7b", "events": 4000},
        "primary": primary,
        "split": {
            "name": "time",
            "fingerprint": "9f8e7d6c5b4a3f2e",
            "leaks": False,
            "exclude_seen": True,
            "settings": {"test": "28d", "valid": "28d", "targets": "window", "target_events": ["purchase"]},
            "folds": {name: {**described, "queries": QUERIES, "counts": counts} for name in ("valid", "test")},
        },
        "audit": {
            "passed": True,
            "findings": [
                finding("training-before-targets", "test", True, 0, "latest training event before earliest target"),
                finding("whole-log-filters", "data", False, 0.1, "steps that look at the whole log: k_core"),
                finding("cold-items", "test", True, 0.04, "12 (4.0%) target items are new since the cutoff"),
            ],
        },
        "lineage": {
            "source": "made-up",
            "steps": [
                {"name": "drop_duplicates", "why": "the same event twice", "rows_in": 4100, "rows_out": 4000},
                {"name": "k_core", "why": "fewer than 5 events", "rows_in": 4000, "rows_out": 4000},
            ],
        },
        "models": [
            {
                "model": model,
                "run": f"20261123-161500-{model}-3f2a9c1b",
                "metrics": found[model].summary,
                "fit_seconds": 3.2 if model != "sasrec" else 161.0,
                "queries_per_second": 12_345.6,
                "peak_memory_mb": 812.4,
                "curve": CURVE if model in ("sasrec", "two_tower") else [],
            }
            for model in ranked
        ],
        "comparisons": [asdict(comparison) for comparison in compare_with_leader(values, samples=500)],
        "failed": [],
    }


def finding(name: str, fold: str, ok: bool, value: float, detail: str) -> dict[str, Any]:
    return {"name": name, "fold": fold, "ok": ok, "allowed": not ok, "value": value, "detail": detail}
