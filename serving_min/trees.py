"""Boosted regression trees as plain arrays. Numpy only, so neither pickle nor the library that grew them is needed.

Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees", SIGIR
2015, §3: who goes right at a node cannot end in a leaf on its left. A row's leaf in a tree is then the first one
from the left that no node rules out, and no row walks from node to node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.ranking import Table

WORDS = (np.uint8, np.uint16, np.uint32, np.uint64)
MOST = 64  # leaves of a tree: one bit each
BLOCK = 1 << 19  # comparisons at a time, so that they stay in the cache


@dataclass(frozen=True)
class Trees:
    """N inner nodes and M leaves of T trees, one tree after the other.

    A row goes left where its ``feature`` is at most ``threshold``. Children are node numbers, or leaf m as -1 - m.
    A tree's ``root`` may be a leaf itself. No tree has more than 64 leaves.
    """

    roots: NDArray[np.int32]  # [T]
    feature: NDArray[np.int32]  # [N]
    threshold: NDArray[np.float64]  # [N]
    left: NDArray[np.int32]  # [N]
    right: NDArray[np.int32]  # [N]
    value: NDArray[np.float64]  # [M]

    def check(self, features: int) -> None:
        """Raises ValueError when a walk through the trees could leave them or never end, or a tree is too large."""
        nodes, leaves = len(self.feature), len(self.value)
        if not nodes == len(self.threshold) == len(self.left) == len(self.right):
            raise ValueError("feature, threshold, left and right are not of one length")
        if nodes and not (self.feature.min() >= 0 and self.feature.max() < features):
            raise ValueError(f"features outside 0 … {features - 1}")
        children = np.concatenate([self.left, self.right])
        for places in (children, self.roots):
            if len(places) and not (-leaves <= places.min() and places.max() < nodes):
                raise ValueError(f"children outside {nodes} nodes and {leaves} leaves")
        parents = np.concatenate([np.arange(nodes)] * 2)
        if (children[children >= 0] <= parents[children >= 0]).any():
            raise ValueError("a node comes before its parent")
        if len(np.unique(np.concatenate([children, self.roots]))) != len(children) + len(self.roots):
            raise ValueError("a node or a leaf has two parents")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise ValueError("thresholds and values are not all finite")
        _Plan.of(self)

    def score(self, table: Table) -> NDArray[np.float64]:
        return self.sums(table.features)

    def sums(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of the trees' values for each of ``rows`` [R, F], in order of the trees: [R]."""
        plan = self._plan
        size = max(1, BLOCK // max(1, plan.feature.size))
        columns = rows.T
        blocks = [plan.sums(columns[:, start : start + size]) for start in range(0, len(rows), size)]
        return np.concatenate([np.zeros(0), *blocks])

    @cached_property
    def _plan(self) -> _Plan:
        return _Plan.of(self)


@dataclass(frozen=True)
class _Plan:
    """The nodes as a table, so that all are asked at once: T trees of at most W nodes and W + 1 leaves."""

    feature: NDArray[np.intp]  # [W, T]
    threshold: NDArray[np.float32]  # [W, T] infinity where a tree has no more nodes
    ruled_out: NDArray[Any]  # [W, T, 1] the leaves on the left of a node, one bit each
    leaves: NDArray[np.float64]  # [T, W + 1] values, from left to right

    @classmethod
    def of(cls, trees: Trees) -> _Plan:
        walks = [_walk(trees, int(root)) for root in trees.roots]
        most = max((len(nodes) for nodes, _ in walks), default=0)
        if most >= MOST:
            raise ValueError(f"a tree of {MOST + 1} leaves or more; {MOST} is the most")
        shape = (most, len(walks))
        feature, threshold = np.zeros(shape, np.intp), np.full(shape, np.inf, np.float32)
        word = next(word for word in WORDS if np.iinfo(word).bits >= most)
        ruled_out = np.zeros((*shape, 1), word)
        leaves = np.zeros((len(walks), most + 1))
        for tree, (nodes, found) in enumerate(walks):
            leaves[tree, : len(found)] = trees.value[found]
            for place, (node, first, last) in enumerate(nodes):
                feature[place, tree] = trees.feature[node]
                threshold[place, tree] = _at_most(trees.threshold[node])
                ruled_out[place, tree] = (1 << last) - (1 << first)
        return cls(feature, threshold, ruled_out, leaves)

    def sums(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each of the rows [F, R]."""
        goes_right = columns[self.feature] > self.threshold[:, :, None]  # [W, T, R]
        word = self.ruled_out.dtype
        out = np.bitwise_or.reduce(goes_right * self.ruled_out, axis=0)  # [T, R]
        first = np.bitwise_count(out & ~(out + word.type(1)))  # ones up to the lowest zero
        trees, width = self.leaves.shape
        places = first + (np.arange(trees) * width)[:, None]
        values = self.leaves.ravel()[places]
        if values.shape[1] == 1:  # numpy adds a single column in pairs, but many columns one tree after the other
            values = np.repeat(values, 2, axis=1)
        total: NDArray[np.float64] = values.sum(axis=0)[: columns.shape[1]]
        return total


def _walk(trees: Trees, root: int) -> tuple[list[tuple[int, int, int]], list[int]]:
    """The tree's nodes, each with the first and the behind-last of the leaves on its left, and its leaves."""
    nodes: list[tuple[int, int, int]] = []
    leaves: list[int] = []

    def walk(place: int, depth: int) -> None:
        if depth >= MOST:
            raise ValueError(f"a tree of {MOST + 1} leaves or more; {MOST} is the most")
        if place < 0:
            leaves.append(-1 - place)
            return
        first = len(leaves)
        walk(int(trees.left[place]), depth + 1)
        nodes.append((place, first, len(leaves)))
        walk(int(trees.right[place]), depth + 1)

    walk(root, 0)
    return nodes, leaves


def _at_most(threshold: float) -> np.float32:
    """The greatest float32 that is not above: a float32 is at most the one just if it is at most the other."""
    rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(-np.inf)) if rounded > threshold else rounded
