"""Retrieval by inner product: an ONNX encoder makes the query, FAISS finds, exact scores order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.queries import Queries
from serving_min.rerank import TopK, speaks

EXACT_BELOW = 10_000  # items left by a filter: scoring them all is then the quickest way
MOST_FETCHED = 4_096  # neighbours asked of the index for one list; beyond that, exact scoring
SLACK = 1e-5  # relative: the index sums in another order, so closer scores may have changed places
PADDED = ("items", "events", "ages")  # inputs [B, T]


@dataclass(frozen=True)
class Vectors:
    """C candidates of I items, in D dimensions. ``index`` may be approximate; ``vectors`` are exact."""

    encoder: Any  # onnxruntime.InferenceSession
    inputs: tuple[str, ...]
    max_length: int | None
    index: Any  # faiss.Index
    codes: NDArray[np.int32]  # [C] ascending
    vectors: NDArray[np.float32]  # [C, D]
    n_items: int
    exact: bool = False  # the index itself leaves nothing out

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors [Q, D]. Each history is encoded alone and without padding: kernels sum in another
        order when shapes change, and no answer may depend on the company in which it was asked for."""
        longest = self.max_length or int(queries.lengths.max(initial=1))
        padded = queries.padded(longest)
        vectors = []
        for row, length in enumerate(queries.lengths.clip(1, longest).tolist()):
            own = {name: padded[name][row : row + 1] for name in self.inputs}
            own |= {name: own[name][:, -length:] for name in PADDED if name in own}
            vectors.append(self.encoder.run(["query"], own)[0])
        return np.concatenate(vectors)

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query. An empty history, or a query vector of zeros or without numbers, has no opinion."""
        lists = [no_opinion(bound.k) for bound in bounds]
        rows = np.flatnonzero(queries.lengths)
        if not len(rows) or not len(self.codes):
            return lists
        encoded = np.full((len(queries), self.vectors.shape[1]), np.nan, np.float32)
        encoded[rows] = self.encode(queries if len(rows) == len(queries) else queries.take(rows))
        for row in np.flatnonzero(speaks(encoded)).tolist():
            lists[row] = self._best_one(encoded[row], bounds[row])
        return lists

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """The nearest items by cosine; no opinion on an item without a vector."""
        place = self._places[code]
        if place < 0 or not self._norms[place]:
            return no_opinion(bounds.k)
        inside = bounds.places(self.codes)
        inside = inside[self._norms[inside] > 0]
        cosines = self._scores(inside, self.vectors[place] / self._norms[place]) / self._norms[inside]
        return best_of(self.codes[inside], cosines, bounds.k)

    def _depth(self, bounds: Bounds) -> int:
        """How many to fetch so that k and one more remain inside the bounds, as a power of two;
        0 = score exactly."""
        if bounds.among is not None:
            return 0
        wanted = bounds.k + len(bounds.barred) + 1
        if bounds.allowed is not None:
            left = int(np.count_nonzero(bounds.allowed[self.codes]))
            if left <= EXACT_BELOW:
                return 0
            wanted = 2 * wanted * len(self.codes) // left
        depth = 1 << (wanted - 1).bit_length()
        return depth if depth <= min(MOST_FETCHED, len(self.codes)) else 0

    def _best_one(self, query: NDArray[np.float32], bounds: Bounds) -> TopK:
        if depth := self._depth(bounds):
            their_scores, places = self.index.search(query[None], depth)
            found = np.sort(places[0, places[0] >= 0])
            inside = found[bounds.within(self.codes[found])]
            if len(inside) >= bounds.k:
                best = best_of(self.codes[inside], self._scores(inside, query), bounds.k)
                # what ties with the last one fetched may have lost to a higher code: then all are scored
                edge = float(their_scores[0, -1])
                if not self.exact or best.scores[0, -1] > edge + SLACK * abs(edge):
                    return best
        inside = bounds.places(self.codes)
        return best_of(self.codes[inside], self._scores(inside, query), bounds.k)

    def _scores(self, places: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        most = 2 * len(places) > len(self.vectors)  # to score them all is quicker than to copy most of them
        # einsum sums each row by itself, so a score does not depend on its neighbours as in BLAS
        scores: NDArray[np.float32] = np.einsum("cd,d->c", self.vectors if most else self.vectors[places], query)
        return scores[places] if most else scores

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where the vector of an item code stands, [I]; -1 = nowhere."""
        places = np.full(self.n_items, -1, np.int64)
        places[self.codes] = np.arange(len(self.codes))
        return places

    @cached_property
    def _norms(self) -> NDArray[np.float32]:
        norms: NDArray[np.float32] = np.linalg.norm(self.vectors, axis=1)
        return norms
