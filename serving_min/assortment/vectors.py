"""Retrieval by inner product with more items than the index has: those are scored exactly and merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds
from serving_min.item_vectors import ItemVectors, Numbers, Places
from serving_min.queries import Queries
from serving_min.rerank import TopK
from serving_min.vectors import Vectors


@dataclass(frozen=True)
class MoreVectors(ItemVectors):
    """The rows of ``first``, then those of ``stored`` [N, D], which is float32."""

    first: ItemVectors = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.first) + len(self.stored)

    def rows(self, places: Places | slice) -> Numbers:
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        late = places >= len(self.first)
        if not late.any():
            return self.first.rows(places)
        found: Numbers = np.empty((*places.shape, self.width), np.float32)
        found[~late] = self.first.rows(places[~late])
        found[late] = self.stored[places[late] - len(self.first)]
        return found

    def scores(self, places: Places, queries: Numbers) -> Numbers:
        late = places >= len(self.first)
        scores = self.first.scores(np.where(late, 0, places), queries)
        rows, columns = np.nonzero(late)
        scores[rows, columns] = np.einsum("nd,nd->n", self.stored[places[late] - len(self.first)], queries[rows])
        return scores

    def all_scores(self, query: Numbers) -> Numbers:
        return np.concatenate([self.first.all_scores(query), np.einsum("cd,d->c", self.stored, query)])

    @cached_property
    def norms(self) -> Numbers:
        return np.concatenate([self.first.norms, np.sqrt(np.einsum("cd,cd->c", self.stored, self.stored))])

    def blocks(self) -> Iterator[Numbers]:
        yield from self.first.blocks()
        yield self.stored


@dataclass(frozen=True)
class MoreIndex:
    """What ``index`` finds, and ``vectors`` [N, D] that it does not hold, at the places from ``begin`` on."""

    index: Any  # faiss.Index
    vectors: NDArray[np.float32]
    begin: int

    def search(self, queries: NDArray[np.float32], depth: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As FAISS does: the scores [Q, depth], best first, and places, -1 where nothing more is found."""
        scores, places = self.index.search(queries, depth)
        more = np.einsum("qd,nd->qn", queries, self.vectors)
        scores = np.concatenate([scores, more], axis=1)
        begin = np.arange(self.begin, self.begin + len(self.vectors))
        places = np.concatenate([places, np.broadcast_to(begin, more.shape)], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        return np.take_along_axis(scores, best, axis=1), np.take_along_axis(places, best, axis=1)


@dataclass(frozen=True)
class Grown(Vectors):
    """A model with items that it has not seen in training: their codes are from ``known`` on.

    An encoder that takes vectors hears of them in a history; one that takes codes does not, and they are left out.
    """

    known: int = field(kw_only=True)

    @classmethod
    def from_model(cls, model: Vectors, known: int, codes: NDArray[np.int32], vectors: NDArray[np.float32]) -> Grown:
        """``model`` with items of the ``codes`` [N], ascending from ``known`` on, and their ``vectors`` [N, D]."""
        parts = {part.name: getattr(model, part.name) for part in fields(Vectors)}
        if len(codes) and len(model.codes):
            parts["codes"] = np.concatenate([model.codes, codes])
            parts["vectors"] = MoreVectors(vectors, first=model.vectors)
            parts["index"] = MoreIndex(model.index, vectors, len(model.codes))
            if model.cells is not None:
                parts["cells"] = model.cells.with_late(np.arange(len(model.codes), len(model.codes) + len(codes)))
        return cls(**parts, known=known)

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        if "items" in self.inputs:
            queries = queries.of_items_below(self.known)
        return super().best(queries, bounds)
