"""Retrieval from past sessions: those most like the running one speak for their items (VMIS-kNN).

Kersbergen, Sprangers & Schelter, "Serenade: Low-latency session-based recommendation in e-commerce at scale",
SIGMOD 2022, §3, which bounds the work of V-SkNN (Ludewig & Jannach, "Evaluation of session-based recommendation
algorithms", UMUAI 2018) by an inverted index: item → its latest sessions.

Numpy only, and one query at a time; the lab's ``vsknn`` scores with this code, so nothing can differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.manifest import SessionIndex
from serving_min.queries import Queries
from serving_min.rerank import TopK

Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Sessions:
    """S past sessions of distinct items (CSR), the latest last, and the sessions of each item.

    Session n of the running session's L items weighs rₙ = Σ (L − d) / L over the items they share, where
    d = 0, 1 … counts back from the newest; item i scores Σₙ (1 − d*ₙ / L) rₙ wᵢ over the neighbours n that hold it,
    d*ₙ being the newest shared item's. Ties among sessions go to the later one.
    """

    offsets: NDArray[np.int64]  # [S + 1]
    items: Codes  # [N]
    weights: NDArray[np.float32]  # [I] w
    candidates: NDArray[np.bool_]  # [I]
    settings: SessionIndex
    postings: Codes  # [N] the sessions of item 0, then those of item 1 …, each ascending
    ends: NDArray[np.int64]  # [I] where an item's postings end
    starts: NDArray[np.int64]  # [I] where the latest ``recent`` of them begin

    @classmethod
    def index(
        cls,
        offsets: NDArray[np.int64],
        items: Codes,
        weights: NDArray[np.float32],
        candidates: NDArray[np.bool_],
        settings: SessionIndex,
    ) -> Sessions:
        """Invert sessions → items into items → sessions."""
        owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        counts = np.bincount(items, minlength=len(weights))
        ends = counts.cumsum()
        starts = ends - np.minimum(counts, settings.recent)
        postings = owners[np.argsort(items, kind="stable")]
        return cls(offsets, items, weights, candidates, settings, postings, ends, starts)

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query."""
        return [self._best_one(running, bound) for running, bound in zip(self.running(queries), bounds, strict=True)]

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """What a session of this item alone would get."""
        return self._best_one(np.array([code], np.int32), bounds)

    def running(self, queries: Queries) -> list[Codes]:
        """The distinct items of each query's running session, the newest first, at most ``length``."""
        gap, found = self.settings.gap, []
        for start, end in zip(queries.offsets[:-1].tolist(), queries.offsets[1:].tolist(), strict=True):
            if gap is not None and end > start:
                silences = np.flatnonzero(np.diff(queries.times[start:end]) > gap)
                start += int(silences[-1]) + 1 if len(silences) else 0
            newest_first = dict.fromkeys(queries.items[start:end][::-1].tolist())
            found.append(np.fromiter(newest_first, np.int32, len(newest_first))[: self.settings.length])
        return found

    def opinions(self, running: Codes) -> tuple[Codes, NDArray[np.float32]]:
        """Ascending item codes and their scores, all positive. ``running`` [L] has the newest item first."""
        sessions, votes = self._neighbours(running)
        lengths = self.offsets[sessions + 1] - self.offsets[sessions]
        ends = lengths.cumsum()
        if not len(ends):
            return running[:0], np.zeros(0, np.float32)
        places = np.arange(ends[-1]) + np.repeat(self.offsets[sessions] - ends + lengths, lengths)
        codes, groups = np.unique(self.items[places], return_inverse=True)
        scores = (np.bincount(groups, np.repeat(votes, lengths)) * self.weights[codes]).astype(np.float32)
        spoken = scores > 0
        return codes[spoken], scores[spoken]

    def _neighbours(self, running: Codes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The sessions most like ``running``: codes, and what their votes weigh."""
        size = max(1, len(running))
        latest = [self.postings[self.starts[item] : self.ends[item]] for item in running]
        # one number sorts by session and, within it, the newest shared item first
        keys = [found.astype(np.int64) * size + back for back, found in enumerate(latest)]
        sessions, back = np.divmod(np.sort(np.concatenate([np.zeros(0, np.int64), *keys])), size)
        first = np.flatnonzero(np.diff(sessions, prepend=-1))[-self.settings.recent :]
        if not len(first):
            return sessions, np.zeros(0)
        alike = np.add.reduceat(1 - back / size, first)
        best = np.argsort(-alike[::-1], kind="stable")[: self.settings.neighbours]
        chosen = len(first) - 1 - best
        return sessions[first[chosen]], alike[chosen] * (1 - back[first[chosen]] / size)

    def _best_one(self, running: Codes, bounds: Bounds) -> TopK:
        codes, scores = self.opinions(running)
        kept = np.flatnonzero(self.candidates[codes] & bounds.within(codes))
        return best_of(codes[kept], scores[kept], bounds.k) if len(kept) else no_opinion(bounds.k)
