"""How a shopper picks: first what to look for, then one item of the few that come to sight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.shop.assortment import Assortment
from recsys_lab.data.shop.opening_hours import DAY, OpeningHours, season
from recsys_lab.data.shop.shoppers import Shoppers
from recsys_lab.data.shop.vocabulary import CATEGORY_OF

Ints = NDArray[np.int64]

IN_SIGHT = 20  # items of a shelf that a shopper compares
SHELF_TASTE, ITEM_TASTE = 2.4, 2.0  # how sharply taste decides
SAME_BRAND = 1.5  # log-odds for the brand of the item that a complement is bought for
NOVELTY, NOVELTY_DAYS = 1.8, 21.0  # log-odds of a new arrival, and how fast that fades


@dataclass(frozen=True)
class Choice:
    """Draws shelves and items for arrays of shoppers, users [N] at times [N]."""

    assortment: Assortment
    shoppers: Shoppers
    hours: OpeningHours
    rng: np.random.Generator

    def shelf(self, users: Ints, times: Ints) -> Ints:
        """What to look for without any occasion: taste, season and how much in demand a shelf is."""
        taste = self.shoppers.taste(users, self.hours.share(times))
        wish = SHELF_TASTE * taste @ self.assortment.shelf_vectors.T + self.assortment.shelf_appeal
        return self._best(wish + season(times)[:, list(CATEGORY_OF)])

    def item(self, users: Ints, times: Ints, shelf: Ints, *, brand: Ints, besides: Ints) -> Ints:
        """An item on sale of each ``shelf`` [N], preferably of ``brand`` (-1: any), not ``besides``."""
        seen = self._in_sight(shelf)
        stock, share = self.assortment, self.hours.share(times)
        age = (times[:, None] - stock.available_from[seen]) / DAY
        wish = ITEM_TASTE * np.einsum("nd,nkd->nk", self.shoppers.taste(users, share), stock.vectors[seen])
        wish += stock.trend[seen] * share[:, None] - self.shoppers.thrift[users, None] * stock.dearness[seen]
        wish += SAME_BRAND * (stock.brand[seen] == brand[:, None])
        wish += NOVELTY * np.exp(-np.maximum(age, 0) / NOVELTY_DAYS)
        wish[~stock.on_sale(seen, times[:, None]) | (seen == besides[:, None])] = -np.inf
        found = np.take_along_axis(seen, self._best(wish)[:, None], 1)[:, 0]
        return np.where(np.isfinite(wish).any(axis=1), found, self._always[shelf])

    def liking(self, users: Ints, times: Ints, items: Ints) -> NDArray[np.float64]:
        """Taste · vector less the pain of the price, [N]: about standard normal."""
        taste = self.shoppers.taste(users, self.hours.share(times))
        fit: NDArray[np.float64] = np.einsum("nd,nd->n", taste, self.assortment.vectors[items])
        return fit - 0.5 * self.shoppers.thrift[users] * self.assortment.dearness[items]

    def preference(self, users: Ints, times: Ints, items: Ints) -> NDArray[np.float64]:
        """The liking of an item over its shelf's, [N]."""
        taste = self.shoppers.taste(users, self.hours.share(times))
        shelf = self.assortment.shelf_vectors[self.assortment.shelf[items]]
        own: NDArray[np.float64] = self.liking(users, times, items) - np.einsum("nd,nd->n", taste, shelf)
        return own

    def _best(self, wish: NDArray[np.float64]) -> Ints:
        """A draw from the softmax of each row (Gumbel-max)."""
        best: Ints = np.argmax(wish + self.rng.gumbel(size=wish.shape), axis=1)
        return best

    def _in_sight(self, shelf: Ints) -> Ints:
        """``IN_SIGHT`` items per shelf [N, K], drawn with repetition in proportion to their popularity."""
        edges, codes, mass = self._by_shelf
        low, high = edges[shelf][:, None], edges[shelf + 1][:, None]
        drawn = low + (high - low) * self.rng.random((len(shelf), IN_SIGHT))
        return codes[np.minimum(np.searchsorted(mass, drawn, side="right"), len(codes) - 1)]

    @cached_property
    def _by_shelf(self) -> tuple[NDArray[np.float64], Ints, NDArray[np.float64]]:
        """Shelf edges on the line of popularity [S + 1], items along it [I] and where each ends [I]."""
        codes = np.argsort(self.assortment.shelf, kind="stable")
        mass = np.cumsum(np.exp(self.assortment.appeal[codes]))
        ends = np.cumsum(np.bincount(self.assortment.shelf))
        return np.concatenate([[0.0], mass[ends - 1]]), codes, mass

    @cached_property
    def _always(self) -> Ints:
        """Per shelf the item that has been on sale the longest and stays, [S]."""
        order = np.lexsort((self.assortment.available_from, -self.assortment.available_until, self.assortment.shelf))
        return order[np.searchsorted(self.assortment.shelf[order], np.arange(len(self.assortment.shelf_appeal)))]
