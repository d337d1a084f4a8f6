"""Scores that a shop lifts or lowers: boosts, margin and stock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.items import Items, Labels
from serving_min.rerank.found import Found
from serving_min.rules import DAY, Boost, Rules

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Lift:
    """What one column's boosts say, by code: times ``factor`` and plus ``add``; the last place is for code -1."""

    codes: NDArray[np.int32]  # [I]
    factor: Values
    add: Values


class Promotion:
    """The boosts and weights of ``rules`` for these items. What it says changes with the day alone."""

    def __init__(self, rules: Rules, items: Items) -> None:
        self.rules = rules
        self._today = lru_cache(2)(partial(_lifts, rules, items))
        self._weighted = [
            (weight, column)
            for weight, column in ((rules.weights.margin, items.margin), (rules.weights.stock, _logarithm(items.stock)))
            if weight and column is not None
        ]

    def applied(self, found: Found, now: int) -> Found:
        """The same candidates with other scores."""
        lifts, by_item = self._today(now // DAY) if self.rules.boosts else ([], {})
        if not (lifts or by_item or self._weighted):
            return found
        factor, add = np.ones(len(found)), np.zeros(len(found))
        for lift in lifts:
            labels = lift.codes[found.codes]
            factor *= lift.factor[labels]
            add += lift.add[labels]
        for code in by_item.keys() & set(found.codes.tolist()) if by_item else ():
            times, plus = by_item[code]
            factor[found.codes == code] *= times
            add[found.codes == code] += plus
        for weight, column in self._weighted:
            add += weight * _of_the_largest(column[found.codes])
        scores = found.scores.astype(np.float64)
        lifted = np.where(scores < 0, scores / factor, scores * factor)
        for tier in found.tiers():
            lifted[tier] += add[tier] * (scores[tier].max() - scores[tier].min() or 1.0)
        return replace(found, scores=lifted.astype(np.float32))


def _lifts(rules: Rules, items: Items, day: int) -> tuple[list[Lift], Mapping[int, tuple[float, float]]]:
    """By label, and by item code."""
    boosts = [boost for boost in rules.boosts if boost.holds(day * DAY)]
    by_item: dict[int, tuple[float, float]] = {}
    for boost in boosts:
        code = items.codes.get(boost.item) if boost.item is not None else None
        if code is not None:
            factor, add = by_item.get(code, (1.0, 0.0))
            by_item[code] = (factor * boost.factor, add + boost.add)
    columns = {"category": items.category, "brand": items.brand}
    lifts = [_lift(labels, name, boosts) for name, labels in columns.items() if labels is not None]
    return [lift for lift in lifts if (lift.factor != 1).any() or lift.add.any()], by_item


def _lift(labels: Labels, column: str, boosts: list[Boost]) -> Lift:
    factor, add = np.ones(len(labels.names) + 1), np.zeros(len(labels.names) + 1)
    for boost in boosts:
        name = getattr(boost, column)
        for place in labels.with_part.get(name, ()) if name is not None else ():
            factor[place] *= boost.factor
            add[place] += boost.add
    return Lift(labels.codes, factor, add)


def _logarithm(stock: Values | None) -> Values | None:
    return None if stock is None else np.log1p(np.maximum(stock, 0))


def _of_the_largest(values: Values) -> Values:
    """Shares of the largest value, 0 for what is negative or unknown."""
    known = np.nan_to_num(values, nan=0.0).clip(min=0)
    largest = known.max(initial=0)
    return known / largest if largest else known
