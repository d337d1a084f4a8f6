"""A small shop with a known structure, and the smallest model of each kind.

Items of one category are bought together; the query is a user's history before the last event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.export.bundle import write_bundle
from recsys_lab.models.base import Arrays, NeighbourModel, Recommender, VectorModel
from recsys_lab.models.popular import Popular
from recsys_lab.models.vsknn import VSkNN
from recsys_lab.nn.histories import inside
from recsys_lab.nn.query import QueryModule
from serving_min.queries import Queries

USERS, ITEMS, CATEGORIES = 240, 120, 6
DAY = 86_400
COUNTRIES = ("", "at", "de")
CREATED = datetime(2026, 11, 23, 16, 15, tzinfo=UTC)
SETTINGS: dict[str, Any] = {"k": 20, "parity_queries": 150, "table_limit": 0}


def planted_fold(seed: int = 0) -> Fold:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(USERS), rng.integers(2, 14, USERS))
    loyal = rng.random(len(users)) < 0.8
    category = np.where(loyal, users % CATEGORIES, rng.integers(0, CATEGORIES, len(users)))
    items = category + CATEGORIES * rng.integers(0, (ITEMS - 2) // CATEGORIES, len(users))  # the last ones stay new
    times = DAY * 100 + rng.integers(0, 60 * DAY, len(users))
    kinds = rng.integers(0, 2, len(users)).astype(np.int8)
    log = InteractionLog.from_events(
        users, items, times, n_users=USERS, n_items=ITEMS, events=kinds, event_names=("view", "purchase")
    )
    attributes = rng.integers(0, len(COUNTRIES), (USERS, 1)).astype(np.int32)
    named = {**vars(log), "attributes": attributes, "attribute_names": (("country", COUNTRIES),)}
    log = InteractionLog(**named)
    last = np.zeros(len(log), np.bool_)
    last[log.offsets[1:] - 1] = True
    train = log.where(~last)
    now = int(log.times.max()) + 1
    return Fold(
        train=train,
        catalogue=planted_catalogue(),
        queries=train.histories(now),
        users=np.arange(USERS, dtype=np.int32),
        target_offsets=np.arange(USERS + 1, dtype=np.int64),
        target_items=log.items[last],
        target_times=log.times[last],
        n_targets=np.ones(USERS, np.int64),
        cutoff=now,
    )


def planted_catalogue() -> Catalogue:
    codes = np.arange(ITEMS)
    return Catalogue(
        pd.DataFrame(
            {
                "item_id": [f"item-{code}" for code in codes],
                "title": [f"thing {code}" if code % 10 else None for code in codes],
                "text": [f"word{code % CATEGORIES} word{code % 7}" for code in codes],
                "category": [f"category {code % CATEGORIES}" for code in codes],
                "brand": [f"brand {code % 4}" if code % 4 else None for code in codes],
                "price": np.where(codes % 9 == 0, np.nan, 1.0 + codes % 50),
            }
        )
    )


class MaskedMean(QueryModule):
    """The mean of the vectors of the history's items."""

    inputs = ("items", "places")

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(torch.from_numpy(vectors.copy()))

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        real = (places >= 0).to(torch.float32)
        total = (real[:, None] @ self.vectors(items[inside(places)]))[:, 0]
        return total / real.sum(1, keepdim=True)


class MeanVector(VectorModel):
    """Fixed vectors, of which items 0 and 60 share one; the new items have no vector."""

    def __init__(self, *, max_history: int = 6, dimension: int = 8, items: int = ITEMS, seed: int = 0) -> None:
        self.max_history, self.dimension, self.items, self.seed = max_history, dimension, items, seed

    def _fit(self, train: InteractionLog, _: Catalogue, __: Fold | None) -> None:
        rng = np.random.default_rng(self.seed)
        self.vectors = rng.normal(size=(train.n_items, self.dimension)).astype(np.float32)
        self.vectors[train.n_items // 2] = self.vectors[0]
        self.candidates = train.item_counts() > 0
        self.vectors[~self.candidates] = 0

    def item_vectors(self) -> NDArray[np.float32]:
        return self.vectors

    def query_module(self) -> QueryModule:
        return MaskedMean(self.vectors)

    def _arrays(self) -> Arrays:
        return {"vectors": self.vectors}

    def _restore(self, arrays: Arrays) -> None:
        self.vectors = arrays["vectors"]


class Together(NeighbourModel):
    """Co-occurrence less ``penalty``: a dense matrix with negative weights, or a sparse one without."""

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def _fit(self, train: InteractionLog, _: Catalogue, __: Fold | None) -> None:
        matrix = train.matrix()
        counts: NDArray[np.float32] = (matrix.T @ matrix).toarray()
        np.fill_diagonal(counts, 0)
        self.weights = (counts / (1 + counts.sum(axis=1, keepdims=True)) ** 0.5 - self.penalty).astype(np.float32)

    def item_weights(self) -> Any:
        return self.weights if self.penalty else sparse.csr_array(self.weights)

    def _arrays(self) -> Arrays:
        return {"weights": self.weights}

    def _restore(self, arrays: Arrays) -> None:
        self.weights = arrays["weights"]


def smallest_of_each_kind() -> dict[str, Recommender]:
    return {"vector": MeanVector(), "neighbours": Together(), "sessions": VSkNN(gap=None), "static": Popular()}


def fitted(model: Recommender, fold: Fold) -> Recommender:
    return model.fit(fold.train, catalogue=fold.catalogue)


def export(
    model: Recommender,
    fold: Fold,
    folder: Path,
    *,
    version: str = "1",
    exclude_seen: bool = True,
    settings: Mapping[str, Any] = SETTINGS,
    companions: Mapping[str, Recommender] | None = None,
) -> Path:
    return write_bundle(
        model,
        folder=folder,
        name="planted",
        version=version,
        fold=fold,
        exclude_seen=exclude_seen,
        fingerprints={"data": "d", "split": "s", "config": "c"},
        metrics={"ndcg@10": {"mean": 0.5, "ci95": [0.4, 0.6]}, "coverage@10": {"mean": 0.9, "ci95": None}},
        settings=settings,
        created=CREATED,
        companions=companions,
    )


def histories(*histories: list[int]) -> Queries:
    return Queries.from_histories(histories)
