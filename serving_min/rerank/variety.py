"""Who is next, when a list should not say the same thing twice.

A picker knows n candidates, best score first, and is told which were taken. mix · score share + (1 - mix) · what
the candidate adds to the list is its gain; the greatest gain is next, ties go to the better score.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving_min.items import Labels
from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Codes, Mask

Values = NDArray[np.float64]
LEAST = 1e-9  # of an item's variance; below, the list says already all that it says
SPANNED = 100  # items of a list that a determinantal process looks at: its cost grows with their square


class Picker(Protocol):
    def best(self, open: Mask) -> int:
        """The next one of those that are ``open``, a flag for each of the first candidates, or any if none is."""

    def take(self, place: int) -> None:
        """It is in the list."""


class ByScore:
    """The best score."""

    def best(self, open: Mask) -> int:
        return int(open.argmax())

    def take(self, place: int) -> None:
        pass


class Among:
    """``picker`` knows the candidates at the places ``some`` alone, which ascend; the others come behind, by score."""

    def __init__(self, some: NDArray[np.int64], picker: Picker) -> None:
        self.some = some
        self.picker = picker
        self.known = {place: number for number, place in enumerate(some.tolist())}

    def best(self, open: Mask) -> int:
        some = self.some[: self.some.searchsorted(len(open))]
        known = open[some]
        return int(some[self.picker.best(known)] if known.any() else open.argmax())

    def take(self, place: int) -> None:
        if place in self.known:
            self.picker.take(self.known[place])


class Similarity:
    """How alike candidates are: the cosine of their vectors, or where there are none the share of category, brand and
    id that they have in common. An item is like itself; without vector or label like nothing else."""

    def __init__(self, facts: Facts, codes: Codes) -> None:
        self.size = len(codes)
        self._units: Values | None = None
        columns: list[Labels | None] = [facts.items.category, facts.items.brand]
        self._labels = [labels.codes[codes] for labels in columns if labels is not None]
        if facts.vectors is not None:
            vectors = facts.vectors(codes).astype(np.float64)
            norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
            self._units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)

    def to(self, place: int) -> Values:
        """Of each candidate to the one at ``place``, [n]."""
        if self._units is not None:
            alike: Values = self._units @ self._units[place]
        else:
            alike = np.zeros(self.size)
            for labels in self._labels:
                if labels[place] >= 0:
                    alike += (labels == labels[place]) / (len(self._labels) + 1)
        alike[place] = 1
        return alike


class MarginalRelevance:
    """Adds the less, the more it is like the most similar item of the list.

    Carbonell and Goldstein (1998), SIGIR, equation 1.
    """

    def __init__(self, shares: Values, similarity: Similarity, mix: float) -> None:
        self.relevance = self.gains = mix * shares
        self.similarity = similarity
        self.mix = mix
        self.nearest: Values | None = None  # [n] similarity to the most similar item of the list

    def best(self, open: Mask) -> int:
        return int(np.where(open, self.gains[: len(open)], -np.inf).argmax())

    def take(self, place: int) -> None:
        alike = self.similarity.to(place)
        self.nearest = alike if self.nearest is None else np.maximum(self.nearest, alike)
        self.gains = self.relevance - (1 - self.mix) * self.nearest


class Determinantal:
    """Adds the logarithm of what of it the list does not span: the greedy search for the most likely set of a
    determinantal point process, one row of the Cholesky factor per item taken.

    Chen, Zhang and Zhou (2018), NeurIPS, algorithm 1 and section 4: the log-probability of a list is, but for a
    constant, mix · sum of scores + (1 - mix) · log det S, S the similarities.
    """

    def __init__(self, shares: Values, similarity: Similarity, mix: float, k: int) -> None:
        self.relevance = self.gains = mix * shares
        self.similarity = similarity
        self.mix = mix
        self.rest = np.ones(len(shares))  # of each candidate's variance, what the list leaves
        self.rows = np.zeros((min(k, SPANNED), len(shares)))
        self.size = 0

    def best(self, open: Mask) -> int:
        return int(np.where(open, self.gains[: len(open)], -np.inf).argmax())

    def take(self, place: int) -> None:
        if self.size == len(self.rows) or self.rest[place] <= LEAST:
            return  # a long list has variety enough, or says already what this one says
        rows = self.rows[: self.size]
        row = (self.similarity.to(place) - rows[:, place] @ rows) / np.sqrt(self.rest[place])
        self.rows[self.size] = row
        self.rest -= np.square(row)
        self.size += 1
        self.gains = self.relevance + (1 - self.mix) * np.log(np.maximum(self.rest, LEAST))
