"""Buy it again: what this person bought before, and what goes with it, while people still buy it.

Personal frequency with decay is the strongest signal of next-basket recommendation (Hu, He, Gao & Zhang, "Modeling
personalized item frequency information for next-basket recommendation", SIGIR 2020, §3), there with decay within and
across groups of baskets; here age in days says both. That items differ in how soon they are bought again is
Bhagat, Muralidharan, Lobzhanidze & Vishwanath, "Buy it again", KDD 2018.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import recent_popularity
from recsys_lab.models.cooccurrence import baskets_of, item_sets
from recsys_lab.models.itemknn import strongest
from recsys_lab.models.table import TableModel
from serving_min.recency import SECONDS_PER_DAY, Recency

WEEK = 7 * SECONDS_PER_DAY


class Repeat(TableModel):
    """Score of item j = demandⱼ × Σ over the history's events e of recency(e) × alike(iₑ, j).

    recency(e) = (1 + age / ``days``) ** -``exponent``. alike(i, i) = 1, and alike(i, j) = ``companions`` × cosine² of
    the items' baskets for the ``neighbours`` strongest companions, pairs of fewer than two baskets left out.

    demandⱼ = trendⱼ ** ``trend`` × rebuyⱼ ** ``rebuy``. trendⱼ counts events that halve every ``trend_days``, so that
    what left the shop sinks. rebuyⱼ compares the repeats of j in the last ``weeks`` with what everybody's recency
    scores at the weeks' beginnings let expect: (repeats + ``prior``) / (expected + ``prior`` / r), where r is that
    ratio over all items. A lamp is bought once, candles are bought again.

    Meant for splits with ``exclude_seen=false``; with seen items left out, the companions remain.
    """

    def __init__(
        self,
        *,
        days: float = 30.0,
        exponent: float = 0.5,
        trend: float = 0.3,
        trend_days: float = 7.0,
        rebuy: float = 0.35,
        weeks: int = 8,
        prior: float = 2.0,
        companions: float = 0.2,
        neighbours: int = 50,
        longest: int = 100,
    ) -> None:
        for name, value in (("days", days), ("trend_days", trend_days), ("prior", prior)):
            if not value > 0:
                raise ConfigError(f"{name}: {value} must be a positive number")
        for name, value in (("exponent", exponent), ("trend", trend), ("rebuy", rebuy), ("companions", companions)):
            if not value >= 0:
                raise ConfigError(f"{name}: {value} would reward what should count less; use 0 or more")
        if weeks < 1 or neighbours < 1:
            raise ConfigError(f"weeks: {weeks}, neighbours: {neighbours}; both must be 1 or more")
        if longest < 2:
            raise ConfigError(f"longest: {longest} leaves no pair in a basket; use 2 or more")
        self.days = days
        self.exponent = exponent
        self.trend = trend
        self.trend_days = trend_days
        self.rebuy = rebuy
        self.weeks = weeks
        self.prior = prior
        self.companions = companions
        self.neighbours = neighbours
        self.longest = longest

    @property
    def recency(self) -> Recency:
        return Recency(self.days, self.exponent)

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        trend = recent_popularity(train, half_life_days=self.trend_days)
        demand = trend.astype(np.float64) ** self.trend * self._rebuy(train) ** self.rebuy
        alike = sparse.eye_array(train.n_items, dtype=np.float32) + self.companions * self._companions(train)
        self.weights = (alike * demand[None, :]).tocsr().astype(np.float32)

    def _companions(self, train: InteractionLog) -> sparse.csr_array:
        """cosine² of the items' baskets, [I, I]."""
        baskets = item_sets(baskets_of(train), train, longest=self.longest)
        pairs, counts = baskets.together(), baskets.counts()
        rows, columns = pairs.tocoo().coords
        alike = pairs.data**2 / (counts[rows] * counts[columns])
        pairs.data = np.where(pairs.data > 1, alike, 0).astype(np.float32)
        return strongest(pairs, self.neighbours)

    def _rebuy(self, train: InteractionLog) -> NDArray[np.float64]:
        """How often each item is bought again, against what is to be expected of its buyers, [I]."""
        end = int(train.times.max()) + 1
        pairs = train.users.astype(np.int64) * train.n_items + train.items
        again = np.ones(len(train), np.bool_)
        again[np.unique(pairs, return_index=True)[1]] = False  # the log is in order of time: the pair's first event
        repeats = np.bincount(train.items[again & (train.times >= end - self.weeks * WEEK)], minlength=train.n_items)
        expected = np.zeros(train.n_items)
        for week in range(1, self.weeks + 1):
            start = end - week * WEEK
            before = train.times < start
            said = self.recency.of_ages(start - train.times[before])
            expected += np.bincount(train.items[before], said, train.n_items)
        typical = repeats.sum() / expected.sum() if repeats.any() and expected.any() else 1.0
        return (repeats + self.prior) / (expected + self.prior / typical)
