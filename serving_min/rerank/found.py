"""What rules are applied to, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from serving_min.messages import MOST_ITEMS
from serving_min.rerank.lists import NOTHING, TopK

Codes = NDArray[np.int32]
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]

CERTAIN = np.ones(MOST_ITEMS)
MODEL, POPULAR, PINNED, NEW = "model", "popular", "pinned", "new"


class Found(Struct, frozen=True):
    """n distinct candidates of one query, in any order. Those ``filled`` come from the fallback: whatever
    their scores, they come after the others. ``reasons`` say who spoke for each."""

    codes: Codes  # [n]
    scores: Scores  # [n] finite
    filled: Mask  # [n]
    reasons: Sequence[str]  # [n]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, lists: TopK, row: int = 0, reasons: Sequence[str] | None = None) -> Self:
        """One list, without its empty places."""
        there = lists.items[row] != NOTHING
        filled = lists.filled[row, there]
        if reasons is None:
            reasons = [POPULAR if by_fallback else MODEL for by_fallback in filled.tolist()]
        return cls(lists.items[row, there], lists.scores[row, there], filled, reasons)

    def first(self, k: int) -> Ranked:
        """The first k as a list."""
        codes = self.codes[:k]
        return Ranked(codes, self.scores[:k], self.filled[:k], [*self.reasons[:k]], CERTAIN[: len(codes)])

    def with_more(self, other: Found) -> Found:
        """These, and those of ``other`` that are not among them."""
        known = set(self.codes.tolist())  # for some hundred codes much quicker than np.isin
        new = [code not in known for code in other.codes.tolist()]
        fresh = np.array(new, np.bool_)
        return Found(
            np.concatenate([self.codes, other.codes[fresh]]),
            np.concatenate([self.scores, other.scores[fresh]]),
            np.concatenate([self.filled, other.filled[fresh]]),
            [*self.reasons, *compress(other.reasons, new)],
        )

    def with_pinned(self, codes: Sequence[int]) -> Found:
        """These, and ``codes`` that are not among them, behind all others."""
        if not codes:
            return self
        worst = self.scores.min(initial=np.inf)
        score = float(worst) if np.isfinite(worst) else 0.0
        size = len(codes)
        pinned = Found(
            np.array(codes, np.int32), np.full(size, score, np.float32), np.ones(size, np.bool_), [PINNED] * size
        )
        return self.with_more(pinned)

    def taken(self, places: NDArray[np.int64]) -> Found:
        """Those at ``places``, in that order."""
        reasons = [self.reasons[place] for place in places.tolist()]
        return Found(self.codes[places], self.scores[places], self.filled[places], reasons)

    def shares(self) -> NDArray[np.float64]:
        """Scores from 0 (the worst) to 1 (the best), apart for those that are filled; 1 where all are the same."""
        shares = np.ones(len(self))
        for tier in self.tiers():
            scores = self.scores[tier].astype(np.float64)
            worst = scores.min()
            if spread := scores.max() - worst:
                shares[tier] = (scores - worst) / spread
        return shares

    def tiers(self) -> list[Mask | slice]:
        """Those that are not filled, and those that are: scores compare within each only. None is empty."""
        if not self.filled.any():
            return [slice(None)] if len(self) else []
        return [tier for tier in (~self.filled, self.filled) if tier.any()]

    def order(self) -> NDArray[np.int64]:
        """Best first, ties to the lower code, those that are filled last, [n]."""
        return np.lexsort((self.codes, -self.scores, self.filled))


class Ranked(Struct, frozen=True):
    """The final list of one query, at most k items, first place first.

    ``propensity`` is the probability with which this item came to this place, given the places that were settled
    before it: 1 but where the lot decided. ``scores`` are what the order was made from.
    """

    codes: Codes  # [n]
    scores: Scores  # [n]
    filled: Mask  # [n]
    reasons: list[str]  # [n]
    propensity: NDArray[np.float64]  # [n]

    def __len__(self) -> int:
        return len(self.codes)
