"""History → encode → retrieve → filter → fill → items. No HTTP here, so the lab uses it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, no_opinion
from serving_min.bundle import Bundle
from serving_min.errors import RequestError, UnknownItemError
from serving_min.history import read_history, to_queries
from serving_min.messages import Answer, Recommendation, Request, Similar
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK, fill, top_k

NO_CODES = np.zeros(0, np.int32)


class Engine:
    """Answers from one bundle. Holds no state between calls, so threads may share it.

    ``clock`` gives epoch seconds for requests that do not say when they are asked.
    """

    def __init__(self, bundle: Bundle, *, clock: Callable[[], float] = time.time) -> None:
        self.bundle = bundle
        self.clock = clock

    def own_this_thread(self) -> None:
        """Keep FAISS to one thread in the calling thread: its setting holds in no other, and more only spin."""
        if any(name.endswith("items.faiss") for name in self.bundle.manifest.files):
            import faiss

            faiss.omp_set_num_threads(1)

    def check(self, request: Request) -> None:
        """Raises RequestError when this bundle cannot answer the request."""
        self.bundle.items.check(request.filters)

    def recommend(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, the same as if it were asked alone.

        Raises RequestError as ``check`` does.
        """
        items, manifest = self.bundle.items, self.bundle.manifest
        histories, bounds = [], []
        for request in requests:
            self.check(request)
            now = int(self.clock()) if request.now is None else request.now
            history = read_history(request, items.codes, manifest.history, now)
            exclude_seen = manifest.policy.exclude_seen if request.exclude_seen is None else request.exclude_seen
            excluded = [items.codes[item] for item in request.exclude if item in items.codes]
            barred = np.array(list({*excluded, *history.items} if exclude_seen else excluded), np.int32)
            histories.append(history)
            bounds.append(Bounds(request.k, barred, items.allowed(request.filters, now)))
        answers = []
        for history, ranked in zip(histories, self._rank(to_queries(histories, manifest.history), bounds), strict=True):
            silent = self.bundle.model is not None and bool(ranked.filled[0, :1].any())
            answers.append(
                Answer(
                    items=self._shown(ranked),
                    model=manifest.name,
                    version=manifest.version,
                    unknown_items=history.unknown_items,
                    unknown_events=history.unknown_events,
                    fallback=history.silence or ("the model has no opinion" if silent else None),
                )
            )
        return answers

    def rank(
        self,
        queries: Queries,
        k: int,
        *,
        exclude_seen: bool | None = None,
        candidates: NDArray[np.bool_] | None = None,
    ) -> TopK:
        """The same lists as arrays, with the meaning of ``Recommender.recommend``, for offline evaluation.

        ``exclude_seen`` None follows the bundle's policy; ``candidates`` [I] narrows the catalogue.
        Raises RequestError when k is below 1 or the mask is not of this catalogue.
        """
        if k < 1:
            raise RequestError(f"k: {k} asks for no item; use 1 or more")
        if candidates is not None and candidates.shape != self.bundle.candidates.shape:
            raise RequestError(f"candidates: shape {candidates.shape} for {len(self.bundle.items)} items")
        if exclude_seen is None:
            exclude_seen = self.bundle.manifest.policy.exclude_seen
        blocks = [top_k(np.zeros((0, 1), np.float32), k)]  # also right for no query at all
        for _, block in queries.batches(512):
            histories = np.split(block.items, block.offsets[1:-1])
            barred = [np.unique(history) if exclude_seen else NO_CODES for history in histories]
            blocks += self._rank(block, [Bounds(k, codes, candidates) for codes in barred])
        return TopK(
            np.concatenate([block.items for block in blocks]),
            np.concatenate([block.scores for block in blocks]),
            np.concatenate([block.filled for block in blocks]),
        )

    def similar(self, item: str, k: int) -> Similar:
        """The k items most like ``item``, filled up with what is popular in its category.

        Raises UnknownItemError.
        """
        bundle = self.bundle
        code = bundle.items.codes.get(item)
        if code is None:
            raise UnknownItemError(f"item {item!r} is not in this bundle")
        itself = np.array([code], np.int32)
        model = bundle.model
        found = no_opinion(k) if model is None else model.similar(code, Bounds(k, itself))
        labels = bundle.items.category
        kin = labels.codes == labels.codes[code] if labels is not None and labels.codes[code] >= 0 else None
        ranked = self._filled(found, Bounds(k, itself, kin))
        return Similar(item, self._shown(ranked), bundle.manifest.name, bundle.manifest.version)

    def _rank(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        model = self.bundle.model
        found = [no_opinion(bound.k) for bound in bounds] if model is None else model.best(queries, bounds)
        return [self._filled(best, bound) for best, bound in zip(found, bounds, strict=True)]

    def _filled(self, found: TopK, bounds: Bounds) -> TopK:
        if found.items[0, -1] != NOTHING:
            return found
        order = self._by_popularity
        if bounds.allowed is not None:
            order = order[bounds.allowed[order]]
        return fill(found, order, self.bundle.popularity, [bounds.barred])

    @cached_property
    def _by_popularity(self) -> NDArray[np.int32]:
        """The candidates, most popular first; ties go to the lower code."""
        order = np.argsort(-self.bundle.popularity, kind="stable").astype(np.int32)
        return order[self.bundle.candidates[order]]

    def _shown(self, ranked: TopK) -> list[Recommendation]:
        items = self.bundle.items
        shown = []
        for code, score, filled in zip(
            ranked.items[0].tolist(), ranked.scores[0].tolist(), ranked.filled[0].tolist(), strict=True
        ):
            if code == NOTHING:
                break
            shown.append(
                Recommendation(
                    id=items.ids[code],
                    score=float(f"{score:.6g}"),
                    reason="popular" if filled else "model",
                    **items.description(code),
                )
            )
        return shown
