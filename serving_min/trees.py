"""Boosted regression trees as plain arrays. Numpy only, so neither pickle nor the library that grew them is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float64] | NDArray[np.int32]]


@dataclass(frozen=True)
class Trees:
    """N inner nodes and M leaves of T trees, one tree after the other.

    A row goes left where its ``feature`` is at most ``threshold``. Children are node numbers, or leaf m as -1 - m.
    A tree's ``root`` may be a leaf itself.
    """

    roots: NDArray[np.int32]  # [T]
    feature: NDArray[np.int32]  # [N]
    threshold: NDArray[np.float64]  # [N]
    left: NDArray[np.int32]  # [N]
    right: NDArray[np.int32]  # [N]
    value: NDArray[np.float64]  # [M]

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of the trees' values for each of ``rows`` [R, F], in order of the trees: [R]."""
        at = np.repeat(self.roots[:, None], len(rows), axis=1)  # [T, R]
        flat, width = rows.astype(np.float64).ravel(), rows.shape[1]
        starts = np.arange(len(rows)) * width
        walking = np.flatnonzero(at.ravel() >= 0)
        places = at.ravel()
        while len(walking):
            node = places[walking]
            goes_left = flat[starts[walking % len(rows)] + self.feature[node]] <= self.threshold[node]
            places[walking] = np.where(goes_left, self.left[node], self.right[node])
            walking = walking[places[walking] >= 0]
        total = np.zeros(len(rows))
        for leaves in places.reshape(at.shape):  # one tree at a time: a sum in pairs would round otherwise
            total += self.value[-1 - leaves]
        return total
