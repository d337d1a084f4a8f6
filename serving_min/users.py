"""Retrieval from past users: those whose cosine with the history is greatest speak for their items.

Numpy only, and one query at a time; the lab's ``userknn`` scores with this code, so nothing can differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from serving_min.sessions import Codes, Sessions


@dataclass(frozen=True)
class Users(Sessions):
    """S past users as sessions, the latest last, whose N touches weigh something.

    A history of the items H is like user n by Σ aᵢ xₙᵢ / (‖a‖ ‖xₙ‖ + ``settings.shrinkage``), summed over i in H, with
    ‖a‖ over H; this is the weight of the user's vote for each of their items. Ties among users go to the later one.
    """

    asks: NDArray[np.float32]  # [I] a
    values: NDArray[np.float32]  # [N] x, in the order of ``postings``
    norms: NDArray[np.float64]  # [S] ‖xₙ‖

    @classmethod
    def of(cls, sessions: Sessions, asks: NDArray[np.float32], values: NDArray[np.float32]) -> Self:
        """``values`` [N] are in the order of ``sessions.items``."""
        owners = np.repeat(np.arange(len(sessions.offsets) - 1), np.diff(sessions.offsets))
        squares = np.bincount(owners, values.astype(np.float64) ** 2, len(sessions.offsets) - 1)
        by_item = values[np.argsort(sessions.items, kind="stable")]
        return cls(**vars(sessions), asks=asks, values=by_item, norms=np.sqrt(squares))

    def _neighbours(self, running: Codes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        alike = np.zeros(len(self.norms))
        for item in running.tolist():
            latest = slice(self.starts[item], self.ends[item])
            alike[self.postings[latest]] += self.asks[item] * self.values[latest]
        found = np.flatnonzero(alike > 0)[-self.settings.recent :]
        own = np.sqrt((self.asks[running].astype(np.float64) ** 2).sum())
        cosines = alike[found] / (own * self.norms[found] + (self.settings.shrinkage or 0.0))
        best = np.argsort(-cosines[::-1], kind="stable")[: self.settings.neighbours]
        chosen = len(found) - 1 - best
        return found[chosen], cosines[chosen]
