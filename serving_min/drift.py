"""Whether the model still says what it said when it was exported: scores and items against ``drift.json``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import ArrayLike, NDArray

from serving_min.rerank import NOTHING
from serving_min.surfaces import MODEL, RECOMMEND

if TYPE_CHECKING:
    from serving_min.engine import Served

Codes = NDArray[np.int32]
Scores = NDArray[np.float32]

DRIFT_FILE: Final = "drift.json"
LEAST = 1e-4  # share of a bin, so that an empty one has a logarithm

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Spread(Struct, frozen=True, forbid_unknown_fields=True):
    """How values are spread: the share in each bin, of which ``edges``, ascending, are the lower ends but for the first
    bin's."""

    edges: tuple[float, ...]
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.edges) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"{len(self.edges)} edges, ascending, need {len(self.edges) + 1} shares")

    @classmethod
    def of(cls, values: ArrayLike, bins: int = 10) -> Spread:
        """Bins of about the same share; fewer where many values are the same."""
        numbers = np.asarray(values, np.float64)
        edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins)) if len(numbers) else np.zeros(0)
        return cls(tuple(edges.tolist()), tuple(_shares(numbers, edges).tolist()))

    def stability(self, values: ArrayLike) -> float:
        """The population stability index Σ (p − q) ln (p / q) of these shares q and those p of ``values``: usually
        below .1 where nothing happened, above .25 where something did (Siddiqi, Credit Risk Scorecards, 2006)."""
        wanted = np.maximum(self.shares, LEAST)
        found = np.maximum(_shares(np.asarray(values, np.float64), np.array(self.edges)), LEAST)
        return float(((found - wanted) * np.log(found / wanted)).sum())


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """``drift.json``: the model's own lists of ``k`` for ``lists`` of the export's queries: their ``scores``, the
    ``popularity`` (of ``fallback.npz``) of their items, and how many ``distinct`` items were among them."""

    k: Positive
    lists: Positive
    scores: Spread
    popularity: Spread
    distinct: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class Drifted:
    """``scores`` and ``popularity`` are stability indices; ``coverage`` is the number of distinct items relative to the
    reference's, over ``lists`` lists."""

    scores: float
    popularity: float
    coverage: float
    lists: int


class Drift:
    """Keeps as many of the latest lists as the reference has, in one block: a list costs two copies of k numbers."""

    def __init__(self, reference: Reference, popularity: NDArray[np.float32]) -> None:
        self.reference, self.popularity = reference, popularity
        shape = (reference.lists, reference.k)
        self._codes, self._scores = np.full(shape, NOTHING, np.int32), np.zeros(shape, np.float32)
        self._seen = self._measured_at = 0
        self._measured: Drifted | None = None

    def saw(self, codes: Codes, scores: Scores) -> None:
        """The model's own part of a list, item codes and scores."""
        place, size = self._seen % self.reference.lists, min(len(codes), self.reference.k)
        self._codes[place, :size], self._scores[place, :size] = codes[:size], scores[:size]
        if size < self.reference.k:
            self._codes[place, size:] = NOTHING
        self._seen += 1

    def measure(self) -> Drifted | None:
        """None before there are as many lists as the reference has: fewer prove nothing, and cover less. Looks again
        when a quarter of the window is new."""
        lists = self.reference.lists
        if self._seen >= lists and (self._measured is None or self._seen - self._measured_at >= lists / 4):
            self._measured, self._measured_at = self._measure(), self._seen
        return self._measured

    def _measure(self) -> Drifted:
        there = self._codes != NOTHING
        codes = self._codes[there]
        known = codes[codes < len(self.popularity)]  # items may have come since
        return Drifted(
            self.reference.scores.stability(self._scores[there]),
            self.reference.popularity.stability(self.popularity[known]),
            len(np.unique(codes)) / max(1, self.reference.distinct),
            self.reference.lists,
        )


def own_part(served: Served) -> tuple[Codes, Scores] | None:
    """The items and scores that the model itself spoke for, before what the fallback filled in; None on other surfaces
    and where it did not speak."""
    if served.answer.surface != RECOMMEND or served.answer.fallback is not None:
        return None
    ranked = served.ranked
    own = len([*takewhile(MODEL.__eq__, ranked.reasons)])
    return (ranked.codes[:own], ranked.scores[:own]) if own else None


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(edges.searchsorted(values, "right"), minlength=len(edges) + 1)
    return counts / max(1, len(values))
