"""Retrieval by inner product: an ONNX encoder makes the query, FAISS finds, exact scores order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.cells import Cells
from serving_min.depth import depth
from serving_min.encoder import encoded
from serving_min.item_vectors import ItemVectors, pieces
from serving_min.laps import lap
from serving_min.opinions import CODE_BITS
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK, speaks

EXACT_BELOW = 10_000  # items left by a filter: scoring them all is then the quickest way
MOST_FETCHED = 1 << 14  # neighbours asked of the index for one list; beyond that, exact scoring
SLACK = 1e-5  # relative: the index sums in another order, so closer scores may have changed places
SHALLOW = 512  # neighbours: what looks no deeper is not told apart
SAMPLE = 1 << 16  # candidates that tell how many a filter leaves


@dataclass(frozen=True)
class Vectors:
    """C candidates of I items, in D dimensions. ``index`` may be approximate; ``vectors`` say the score.

    An approximate index is asked for ``widening`` times as many items as are wanted, so that the scores decide.
    """

    encoder: Any  # onnxruntime.InferenceSession
    inputs: tuple[str, ...]
    max_length: int | None
    index: Any  # faiss.Index
    codes: NDArray[np.int32]  # [C] ascending
    vectors: ItemVectors  # [C, D]
    exact: bool = False  # the index itself leaves nothing out
    widening: int = 1
    together: bool = True  # whether histories may be encoded in company, see ``serving_min/encoder.py``
    cells: Cells | None = None  # where to look for similar items; None: everywhere

    @cached_property
    def _all(self) -> bool:
        """Whether every item, from the first on, is a candidate: then its place is its code."""
        return len(self.codes) > 0 and int(self.codes[-1]) == len(self.codes) - 1

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors [Q, D], zeros for an empty history. Each is the same, down to the last bit, whatever else is
        asked: no answer may depend on the company in which it was asked for."""
        if not queries.lengths.all() or not len(queries):
            vectors = np.zeros((len(queries), self.vectors.width), np.float32)
            rows = np.flatnonzero(queries.lengths)
            if len(rows):
                vectors[rows] = self.encode(queries.take(rows))
            return vectors
        recent = queries if self.max_length is None else queries.last(self.max_length)
        if self.together:
            return encoded(self.encoder, self.inputs, recent, self.of)
        each = (one for _, one in recent.batches(1))
        return np.concatenate([encoded(self.encoder, self.inputs, one, self.of) for one in each])

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query. An empty history, or a query vector of zeros or without numbers, has no opinion."""
        lists: list[TopK | None] = [None] * len(bounds)
        if not len(self.codes):
            return [no_opinion(bound.k) for bound in bounds]
        lap("retrieve")  # what another model may have done before
        encoded = self.encode(queries)
        lap("encode")
        alike: dict[int, list[int]] = defaultdict(list)
        depths = {place: self._depth(bounds[place]) for place in np.flatnonzero(speaks(encoded)).tolist()}
        for place, deep in depths.items():
            alike[_class_of(deep)].append(place)
        for reach, places in alike.items():
            asked = [bounds[place] for place in places]
            own = np.array([depths[place] for place in places])
            found = self._found(encoded[places], asked, own) if reach else [None] * len(places)
            for place, bound, best in zip(places, asked, found, strict=True):
                lists[place] = self._scored(encoded[place], bound) if best is None else best
        return [no_opinion(bound.k) if best is None else best for best, bound in zip(lists, bounds, strict=True)]

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """The nearest items by cosine, of those that the cells around it have; no opinion on one without a vector."""
        place = int(self.codes.searchsorted(np.int32(code)))  # for another type all codes would be copied
        if place == len(self.codes) or self.codes[place] != code:
            return no_opinion(bounds.k)
        own = self.vectors.rows(slice(place, place + 1))[0]
        length = np.sqrt(np.einsum("d,d->", own, own))
        if not length:
            return no_opinion(bounds.k)
        direction = own / length
        around = self._around(direction, bounds)
        inside = bounds.places(self.codes) if around is None else around
        cosines = self.vectors.cosines(inside, direction)
        there = np.isfinite(cosines)
        return best_of(self.codes[inside[there]], cosines[there], bounds.k)

    def _around(self, direction: NDArray[np.float32], bounds: Bounds) -> NDArray[np.int64] | None:
        """Where in the bounds those stand that may be most alike; None: anywhere."""
        if self.cells is None or bounds.among is not None:
            return None
        left = len(self.codes) if bounds.allowed is None else self._left(bounds.allowed)
        if left <= EXACT_BELOW:
            return None
        around = self.cells.around(direction, bounds.k, left / len(self.codes))
        if around is None:
            return None
        if bounds.allowed is not None:  # first: the rest takes longer
            around = around[bounds.allowed[self.codes[around]]]
        around.sort()
        inside = around[bounds.within(self.codes[around])]
        return inside if len(inside) >= bounds.k else None

    def of(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """The vectors of any item codes [N, D], zeros for those that are no candidates."""
        if not len(self.codes):
            return np.zeros((len(codes), self.vectors.width), np.float32)
        if self._all and (not len(codes) or codes.max() < len(self.codes)):
            return self.vectors.rows(codes)
        places = self.codes.searchsorted(codes).clip(max=len(self.codes) - 1)
        vectors = self.vectors.rows(places)
        strangers = self.codes[places] != codes
        if strangers.any():
            vectors[strangers] = 0
        return vectors

    def _depth(self, bounds: Bounds) -> int:
        """How many to fetch so that k and one more remain inside the bounds; 0 = score exactly."""
        if bounds.among is not None:
            return 0
        left = len(self.codes)
        if bounds.allowed is not None:
            left = self._left(bounds.allowed)
            if left <= EXACT_BELOW:
                return 0
        wanted = depth(bounds.sure, len(bounds.barred), self.widening, left / len(self.codes))
        return wanted if wanted <= min(MOST_FETCHED, len(self.codes)) else 0

    def _left(self, allowed: NDArray[np.bool_]) -> int:
        """How many candidates are allowed: about, if they are many."""
        few = int(np.count_nonzero(allowed))  # of all items, candidates or not
        if few <= EXACT_BELOW:
            return few
        sample = self.codes[:: max(1, len(self.codes) // SAMPLE)]
        return int(allowed[sample].mean() * len(self.codes))

    def _found(
        self, queries: NDArray[np.float32], bounds: Sequence[Bounds], depths: NDArray[np.int64]
    ) -> list[TopK | None]:
        """The lists of queries [Q, D] from as many as ``depths`` [Q] says that the index names for each; None where
        those do not do.

        All are asked to the greatest depth. What scores no better than the last within its own is left out, so that a
        list does not depend on how deep others look: an index breaks ties as it likes.
        """
        their_scores, places = self._searched(queries, int(depths.max()))
        starts = np.arange(len(queries))  # ``take`` and ``putmask`` where an index would take twice as long
        edges = their_scores.take(starts * their_scores.shape[1] + depths - 1)
        np.putmask(places, their_scores <= edges[:, None], -1)
        places.sort(axis=1)
        missing = places < 0
        np.putmask(places, missing, 0)  # ascending they stay
        codes = places.astype(np.int32) if self._all else self.codes.take(places)
        scores = self.vectors.scores(places, queries)
        np.putmask(scores, missing, -np.inf)
        np.putmask(scores, _barred(codes, bounds), -np.inf)
        sizes = [bound.k for bound in bounds]
        sure = [bound.sure for bound in bounds]
        codes, scores = best_first(codes, scores, max(sizes))
        if sizes != sure:
            np.putmask(codes, scores == -np.inf, NOTHING)
        filled = np.zeros(codes.shape, np.bool_)
        lists: list[TopK | None] = []
        lasts = scores.take(starts * scores.shape[1] + sure - 1).tolist()
        for row, (k, edge, last) in enumerate(zip(sizes, edges.tolist(), lasts, strict=True)):
            one = slice(row, row + 1)
            # what ties with the last one fetched may have lost to a higher code: then all are scored
            if last == -np.inf or (self.exact and last <= edge + SLACK * abs(edge)):
                lists.append(None)
            else:
                lists.append(TopK(codes[one, :k], scores[one, :k], filled[one, :k]))
        return lists

    def _searched(self, queries: NDArray[np.float32], depth: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What the index says, [Q, depth]. From 20 queries on FAISS asks BLAS, which sums otherwise."""
        if len(queries) <= 16:
            scores, places = self.index.search(queries, depth)
            return scores, places
        found = [self.index.search(queries[row : row + 16], depth) for row in range(0, len(queries), 16)]
        return np.concatenate([scores for scores, _ in found]), np.concatenate([places for _, places in found])

    def _scored(self, query: NDArray[np.float32], bounds: Bounds) -> TopK:
        inside = bounds.places(self.codes)
        return best_of(self.codes[inside], self._scores(inside, query), bounds.k)

    def _scores(self, places: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.vectors.are_most(places):
            scores = self.vectors.all_scores(query)[places]
        else:
            some = [self.vectors.scores(piece[None], query[None])[0] for piece in pieces(places)]
            scores = np.concatenate(some)
        return scores


def _class_of(depth: int) -> int:
    """Those of one class are searched for together, each four times as deep as the one below; 0 for none."""
    return 0 if depth == 0 else SHALLOW * 4 ** ((((depth - 1) // SHALLOW).bit_length() + 1) // 2)


def _barred(codes: NDArray[np.int32], bounds: Sequence[Bounds]) -> NDArray[np.bool_]:
    """Which of ``codes`` [Q, F], which ascend in each row, are outside the row's bounds."""
    outside = np.zeros(codes.shape, np.bool_)
    for row, bound in enumerate(bounds):
        if bound.allowed is not None:
            outside[row] = ~bound.allowed[codes[row]]
    sizes = [len(bound.barred) for bound in bounds]
    if any(sizes):
        # all rows one above the other: one search instead of one for each
        above = np.arange(len(codes)) << CODE_BITS
        found = (codes + above[:, None]).ravel()
        wanted = np.concatenate([bound.barred for bound in bounds]) + np.repeat(above, sizes)
        places = found.searchsorted(wanted, "right") - 1
        outside.ravel()[places[found[places] == wanted]] = True
    return outside


def best_first(
    codes: NDArray[np.int32], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best of each row of ``scores`` [Q, F] and their ``codes``, which ascend in each row, as arrays [Q, k]; ties
    go to the lower code."""
    order = (-scores).argsort(axis=1, kind="stable")[:, :k]
    order += np.arange(len(codes))[:, None] * codes.shape[1]
    return codes.take(order), scores.take(order)
