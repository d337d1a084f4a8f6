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

    def check(self, features: int) -> None:
        """Raises ValueError when a walk through the trees could leave them, or never end."""
        nodes, leaves = len(self.feature), len(self.value)
        if not nodes == len(self.threshold) == len(self.left) == len(self.right):
            raise ValueError("feature, threshold, left and right are not of one length")
        if nodes and not (self.feature.min() >= 0 and self.feature.max() < features):
            raise ValueError(f"features outside 0 … {features - 1}")
        children = np.concatenate([self.left, self.right])
        parents = np.concatenate([np.arange(nodes)] * 2)
        if (children[children >= 0] <= parents[children >= 0]).any():
            raise ValueError("a node comes before its parent")
        for places in (children, self.roots):
            if len(places) and not (-leaves <= places.min() and places.max() < nodes):
                raise ValueError(f"children outside {nodes} nodes and {leaves} leaves")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise ValueError("thresholds and values are not all finite")

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
