"""Which items pass a filter, as one flag per item, remembered: the same few filters are asked again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serving_min.content import BAR

if TYPE_CHECKING:
    from serving_min.items import Items, Labels
    from serving_min.messages import Filters

Mask = NDArray[np.bool_]
MEMORY = 1 << 26  # bytes of remembered masks, one for each flag
FEWEST = 4  # remembered however many items there are


class Masks:
    """The masks [I] of the tests that filters are made of. They are shared, so nobody may write to them."""

    def __init__(self, items: Items) -> None:
        self._tests = tests(items)
        self._passing = lru_cache(max(FEWEST, MEMORY // max(1, len(items))))(partial(_pass, self._tests))
        self._dates = None if items.available_from is None else np.unique(items.available_from)

    def allowed(self, filters: Filters, now: int) -> Mask | None:
        """Which items pass, [I]; None when nothing was asked for. A test on a column that is not there is passed."""
        price = filters.price
        asked = {
            "category": _values(filters.category),
            "not_category": _values(filters.not_category),
            "brand": _values(filters.brand),
            "not_brand": _values(filters.not_brand),
            "price": None if price is None else (price.min, price.max),
            "market": filters.market,
            "age": filters.age,
            "on_sale_before": self._next_date(now) if filters.available else None,
            "in_stock": True if filters.available else None,
            "shown": True,
        }
        wanted = [(name, value) for name, value in asked.items() if value is not None and name in self._tests]
        masks = [self._passing(name, value) for name, value in wanted]
        return masks[0] if len(masks) == 1 else np.logical_and.reduce(masks) if masks else None

    def _next_date(self, now: int) -> int | None:
        """When the next item comes: until then the same ones are on sale. None when all of them are."""
        if self._dates is None:
            return None
        later = self._dates[self._dates.searchsorted(now, "right") :]
        return int(later[0]) if len(later) else None


def _pass(tests: Mapping[str, Callable[[Any], Mask]], name: str, value: Any) -> Mask:
    mask = tests[name](value)
    mask.flags.writeable = False
    return mask


def tests(items: Items) -> dict[str, Callable[[Any], Mask]]:
    """By name, those that the columns allow. What is unknown of an item passes, but as a category, brand or price
    asked for."""
    found: dict[str, Callable[[Any], Mask]] = {}
    if (category := items.category) is not None:
        found |= {"category": category.among, "not_category": lambda names: ~category.among(names)}
    if (brand := items.brand) is not None:
        found |= {"brand": brand.among, "not_brand": lambda names: ~brand.among(names)}
    if (price := items.price) is not None:
        found["price"] = lambda ends: _between(price, *ends)
    if (market := items.market) is not None:
        found["market"] = lambda name: _sold_in(market, name)
    if (min_age := items.min_age) is not None:
        found["age"] = lambda age: ~(min_age > age)
    if (dates := items.available_from) is not None:
        found["on_sale_before"] = lambda date: dates < date
    if (stock := items.stock) is not None:
        found["in_stock"] = lambda _: ~(stock <= 0)
    if (shown := items.shown) is not None:
        found["shown"] = lambda _: shown.copy()
    return found


def _values(listed: list[str] | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(sorted(set(listed)))


def _between(numbers: NDArray[np.float64], low: float | None, high: float | None) -> Mask:
    inside: Mask = numbers >= (-np.inf if low is None else low)
    inside &= numbers <= (np.inf if high is None else high)
    return inside


def _sold_in(markets: Labels, name: str) -> Mask:
    """Items that are sold in several have them all in their label, with bars between."""
    sold = np.array([*(name in listed.split(BAR) for listed in markets.names), True])  # the last is for code -1
    mask: Mask = sold[markets.codes]
    return mask
