"""One model's lists on one fold: a value per query, and their means with intervals.

The full catalogue is ranked, never a sample of it: sampled metrics can order models differently
(Krichene and Rendle, 2020, KDD). docs/metrics.md defines every metric.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.atomic import replacing
from recsys_lab.data.fold import Fold
from recsys_lab.errors import ConfigError, RunError, SplitError
from recsys_lab.metrics import lists as beyond
from recsys_lab.metrics import ranking
from recsys_lab.metrics.calibration import category_mix, miscalibration
from recsys_lab.metrics.significance import mean_intervals
from recsys_lab.models.base import Recommender
from recsys_lab.reranking import Reranking
from serving_min.rerank import NOTHING, TopK

LOG = logging.getLogger(__name__)
AS_THEY_ARE = Reranking()
PER_QUERY_FILE, SUMMARY_FILE = "per_query.parquet", "metrics.json"
AGAIN = "train the run again, or all with `recsys-lab compare --fresh`"
MOST_SILENT = 0.95  # of the queries; with more, the numbers are hardly the model's
Measure = dict[str, Any]  # {"mean": float, "ci95": [low, high], or None for metrics of all lists together}


@dataclass(frozen=True)
class Evaluation:
    """``per_query`` has one row per query, in the fold's order:

    user (code), history_length, n_targets, target_popularity (mean training events of its targets,
    cold ones 0), filled (share of places that the fallback filled), and ``metric@k`` in float32,
    NaN where a list is too short to have one. ``summary`` is by ``metric@k``.
    """

    per_query: pd.DataFrame
    summary: dict[str, Measure]

    def save(self, folder: Path) -> None:
        """Write ``per_query.parquet`` and ``metrics.json``, each whole or not at all."""
        with replacing(folder / PER_QUERY_FILE) as path:
            self.per_query.to_parquet(path, index=False)
        with replacing(folder / SUMMARY_FILE) as path:
            path.write_text(json.dumps(self.summary, indent=2, allow_nan=False))

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Read what ``save`` wrote. Raises RunError when either file is missing or damaged."""
        for name in (PER_QUERY_FILE, SUMMARY_FILE):
            if not (folder / name).is_file():
                raise RunError(f"{folder}: {name} is missing; {AGAIN}")
        try:
            return cls(pd.read_parquet(folder / PER_QUERY_FILE), json.loads((folder / SUMMARY_FILE).read_text()))
        except ValueError as error:
            raise RunError(f"{folder}: damaged ({error}); {AGAIN}") from None


def rank(model: Recommender, fold: Fold, k: int, exclude_seen: bool, reranking: Reranking = AS_THEY_ARE) -> TopK:
    """The model's lists for the fold's queries, out of its whole catalogue, and re-ranked."""
    return reranking.rank(model, fold.queries, k, exclude_seen=exclude_seen)


def warn_of_silence(model: str, lists: TopK, fold: Fold) -> None:
    """A warning when the model has no opinion on almost all queries with a history: the fallback made their lists."""
    asked = fold.queries.lengths > 0
    silent = asked & (lists.filled | (lists.items == NOTHING)).all(axis=1)
    if silent.sum() > MOST_SILENT * asked.sum():
        LOG.warning(
            "%s: has no opinion on %s of the %s test queries with a history; their lists are what is popular: "
            "look at its settings and at split.exclude_seen",
            model,
            f"{silent.sum():,}",
            f"{asked.sum():,}",
        )


def mean_ndcg(model: Recommender, fold: Fold, k: int, *, exclude_seen: bool) -> float:
    """NDCG@k of the model's lists alone: what epochs are chosen by."""
    lists = rank(model, fold, k, exclude_seen)
    found = ranking.hits(lists.items, fold.target_offsets, fold.target_items)
    return float(ranking.ndcg(found, fold.n_targets, k).mean())


def evaluate(
    lists: TopK,
    fold: Fold,
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    bootstrap: int = 1000,
    seed: int = 0,
    content: NDArray[np.float32] | None = None,
    candidates: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Every metric of ``lists`` at every cutoff.

    ``bootstrap`` draws users ``seed``-ed for the intervals; 0 leaves them out. ``content`` [I, D]
    (``metrics.content.content_vectors``) adds content diversity, a catalogue with categories adds
    category diversity and miscalibration. ``candidates`` [I] are what coverage and Gini refer to, by default the whole
    catalogue. Raises ConfigError for cutoffs that the lists are too short for, SplitError for a
    fold that asks nothing.
    """
    _check(lists, fold, cutoffs)
    if bootstrap < 0:
        raise ConfigError(f"bootstrap: {bootstrap} resamples cannot be drawn; use 0 for none, or about 1000")
    shown = lists.items
    counts = fold.train.item_counts()
    candidates = np.ones(len(counts), np.bool_) if candidates is None else candidates
    categories, category_names = fold.catalogue.categories()
    mix = category_mix(fold.catalogue)
    found = ranking.hits(shown, fold.target_offsets, fold.target_items)

    by_query: dict[str, NDArray[np.float64]] = {}
    of_all: dict[str, float] = {}
    for k in cutoffs:
        top = shown[:, :k]
        values = ranking.at_k(found, fold.n_targets, k)
        if len(category_names) > 1:
            values["category_diversity"] = beyond.category_diversity(top, categories)
        if mix is not None:
            values["miscalibration"] = miscalibration(top, fold.queries, mix)
        if content is not None:
            values["content_diversity"] = beyond.content_diversity(top, content)
        values["novelty"] = beyond.novelty(top, counts)
        values["popularity"] = beyond.mean_popularity(top, counts)
        by_query |= {f"{name}@{k}": column for name, column in values.items() if not np.isnan(column).all()}
        of_all |= {f"coverage@{k}": beyond.coverage(top, candidates), f"gini@{k}": beyond.gini(top, candidates)}

    summary = _means(by_query, fold.users, bootstrap, seed)
    summary |= {name: {"mean": value, "ci95": None} for name, value in of_all.items() if not np.isnan(value)}
    return Evaluation(_per_query(lists, fold, counts, by_query), summary)


def _means(
    by_query: dict[str, NDArray[np.float64]], users: NDArray[np.int32], bootstrap: int, seed: int
) -> dict[str, Measure]:
    table = np.column_stack(list(by_query.values()))
    means = np.nanmean(table, axis=0)
    if bootstrap == 0:
        return {name: {"mean": float(mean), "ci95": None} for name, mean in zip(by_query, means, strict=True)}
    intervals = mean_intervals(table, clusters=users, samples=bootstrap, seed=seed)
    return {
        name: {"mean": float(mean), "ci95": [float(low), float(high)]}
        for name, mean, (low, high) in zip(by_query, means, intervals, strict=True)
    }


def _per_query(
    lists: TopK, fold: Fold, counts: NDArray[np.int64], by_query: dict[str, NDArray[np.float64]]
) -> pd.DataFrame:
    rows = np.repeat(np.arange(len(fold)), np.diff(fold.target_offsets))
    events_of_targets = np.bincount(rows, weights=counts[fold.target_items], minlength=len(fold))
    described: dict[str, Any] = {
        "user": fold.users,
        "history_length": fold.queries.lengths,
        "n_targets": fold.n_targets,
        "target_popularity": (events_of_targets / fold.n_targets).astype(np.float32),
        "filled": lists.filled.mean(axis=1).astype(np.float32),
    }
    return pd.DataFrame(described | {name: column.astype(np.float32) for name, column in by_query.items()})


def _check(lists: TopK, fold: Fold, cutoffs: Sequence[int]) -> None:
    places = lists.items.shape[1]
    if not cutoffs or min(cutoffs) < 1 or max(cutoffs) > places:
        raise ConfigError(f"cutoffs: {tuple(cutoffs)} on lists of {places} items; use numbers from 1 to {places}")
    if len(lists) != len(fold):
        raise ConfigError(f"lists: {len(lists)} lists for {len(fold)} queries; rank the same fold")
    if len(fold) == 0:
        raise SplitError("fold: it has no query; move the cutoff or widen the target window")
    if fold.n_targets.min() < 1:
        empty = int((fold.n_targets < 1).sum())
        raise SplitError(f"fold: {empty} of {len(fold)} queries have no target; leave such queries out of the split")
