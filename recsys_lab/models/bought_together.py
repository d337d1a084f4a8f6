"""Frequently bought together: rules i → j from baskets, for product pages and carts.

Agrawal, Imieliński & Swami, "Mining association rules between sets of items in large databases", SIGMOD 1993 (support
and confidence); Brin, Motwani, Ullman & Tsur, "Dynamic itemset counting", SIGMOD 1997 (lift, there called interest).
"""

from __future__ import annotations

import numpy as np

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.cooccurrence import baskets_of, item_sets
from recsys_lab.models.itemknn import strongest
from recsys_lab.models.table import TableModel


class BoughtTogether(TableModel):
    """Each distinct item of the history speaks for what baskets held beside it.

    Of n baskets, nᵢ hold i and nᵢⱼ both i and j. Confidence, nᵢⱼ / nᵢ, favours what everybody buys; lift,
    n nᵢⱼ / (nᵢ nⱼ), favours what hardly anybody buys; the weight lies between them, nᵢⱼ / nᵢ × (n / nⱼ) ** (1 −
    ``confidence``), so 1 is confidence and 0 is lift. Below 1 and above 0 it is directional: a phone calls for its
    case more than the case for the phone. Left out are pairs in fewer than ``support`` baskets, which are chance,
    and pairs of no lift (≤ 1), which are no pairs.

    Baskets are the log's, cut to their latest ``longest`` items; where a log has none, its sessions serve.
    """

    def __init__(self, *, support: int = 3, confidence: float = 0.5, neighbours: int = 100, longest: int = 100) -> None:
        if support < 1 or neighbours < 1:
            raise ConfigError(f"support: {support}, neighbours: {neighbours}; both must be 1 or more")
        if not 0 <= confidence <= 1:
            raise ConfigError(f"confidence: {confidence} is outside 0 (lift) … 1 (confidence)")
        if longest < 2:
            raise ConfigError(f"longest: {longest} leaves no pair in a basket; use 2 or more")
        self.support = support
        self.confidence = confidence
        self.neighbours = neighbours
        self.longest = longest

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        baskets = item_sets(baskets_of(train), train, longest=self.longest)
        pairs = baskets.together()
        chance = baskets.counts() / len(baskets)  # that a basket holds the item
        rows, columns = pairs.tocoo().coords
        likely = pairs.data / baskets.counts()[rows]
        sound = (pairs.data >= self.support) & (likely > chance[columns])
        weights = np.where(sound, likely / chance[columns] ** (1 - self.confidence), 0)
        pairs.data = weights.astype(np.float32)
        self.weights = strongest(pairs, self.neighbours)
