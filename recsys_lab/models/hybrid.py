"""Several models' lists joined into one: the weights are learned, and may differ for short histories.

Reciprocal ranks: Cormack, Clarke & Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009. Weights by a softmax over the list: Cao et al., "Learning to rank: from pairwise approach to
listwise approach", ICML 2007, §4 (ListNet's top-one loss), convex in the few weights there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.composite import NOBODY, Composite, Members, Practice
from serving_min.blend import Blend, By, shares

Weights = NDArray[np.float64]
FEWEST = 50  # questions that weights are learned from
LENGTHS = [5, 20]


class Hybrid(Composite):
    """The weighted sum of what ``members`` say of their ``depth`` best (``serving_min.blend``): ``by`` scores or ranks.

    ``weights`` learned: those, none negative, under which a softmax over all items named gives the targets of the
    practice questions the greatest likelihood; apart for histories of up to each of ``lengths`` events and for longer
    ones, where at least 50 questions tell. ``weights`` equal: every member counts the same, nothing is practised.
    Without any question the weights are equal too.
    """

    kind = "hybrid"

    blend: Blend

    def __init__(
        self,
        *,
        members: Members = NOBODY,
        by: By = "scores",
        weights: Literal["learned", "equal"] = "learned",
        lengths: list[int] = LENGTHS,
        smoothing: float = 60.0,
        depth: int = 100,
        days: float | None = 28.0,
        folds: int = 2,
        exclude_seen: bool = False,
    ) -> None:
        super().__init__(members, depth, days, folds, exclude_seen)
        for name, value, choices in (("by", by, get_args(By)), ("weights", weights, ("learned", "equal"))):
            if value not in choices:
                raise ConfigError(f"{name}: {value!r} is none of {', '.join(choices)}")
        if list(lengths) != sorted({length for length in lengths if length > 0}):
            raise ConfigError(f"lengths: {list(lengths)} must be positive and ascend, [5,20] for instance")
        if not smoothing >= 0:
            raise ConfigError(f"smoothing: {smoothing} must be 0 or more")
        self.by = by
        self.weights = weights
        self.lengths = list(lengths)
        self.smoothing = smoothing

    def _learn(self, practices: Iterator[Practice]) -> None:
        self._set(np.ones((len(self.lengths) + 1, len(self.fresh))))
        if self.weights == "equal":
            return
        buckets: list[list[tuple[Weights, Weights]]] = [[] for _ in self.blend.weights]
        for practice in practices:
            owners, codes, said = shares(practice.opinions, self.by, self.smoothing)
            ends = owners.searchsorted(np.arange(1, len(practice.queries)))
            questions = zip(np.split(said, ends), np.split(practice.hits(owners, codes), ends), strict=True)
            for bucket, (told, hits) in zip(self.blend.buckets(practice.queries.lengths), questions, strict=True):
                if hits.any() and not hits.all():
                    buckets[bucket].append((told, hits / hits.sum()))
        everybody = likeliest([question for bucket in buckets for question in bucket], len(self.fresh))
        self._set(
            np.stack([likeliest(bucket, len(self.fresh)) if len(bucket) >= FEWEST else everybody for bucket in buckets])
        )

    def _set(self, weights: Weights) -> None:
        self.blend = Blend(weights / weights.sum(axis=1, keepdims=True), tuple(self.lengths), self.by, self.smoothing)

    @property
    def judge(self) -> Blend:
        return self.blend

    def _arrays(self) -> Arrays:
        return {**super()._arrays(), "weights": self.blend.weights}

    def _restore(self, arrays: Arrays) -> None:
        self._set(arrays.pop("weights"))
        super()._restore(arrays)


def likeliest(questions: list[tuple[Weights, Weights]], members: int) -> Weights:
    """The weights [M] ≥ 0 that minimise Σ −target · log softmax(said · w) over ``questions``, each said [C, M] and
    target [C]; equal ones when there is nothing to learn from. Said is scaled so that the weights' start suits."""
    from scipy.optimize import minimize

    if not questions:
        return np.ones(members)
    said = np.concatenate([question[0] for question in questions])
    target = np.concatenate([question[1] for question in questions])
    starts = np.cumsum([0, *(len(question[1]) for question in questions)])[:-1]
    sizes = np.diff(np.append(starts, len(target)))
    scale = said.max()

    def loss(weights: Weights) -> tuple[float, Weights]:
        raw = said @ weights / scale
        raw -= np.repeat(np.maximum.reduceat(raw, starts), sizes)
        odds = np.exp(raw)
        totals = np.add.reduceat(odds, starts)
        value = float((np.log(totals)).sum() - target @ raw)
        slope = (odds / np.repeat(totals, sizes) - target) @ said / scale
        return value / len(starts), slope / len(starts)

    found: Weights = minimize(loss, np.ones(members), jac=True, bounds=[(0, None)] * members, method="L-BFGS-B").x
    return found if found.sum() > 0 else np.ones(members)
