"""Customers who viewed this also viewed: items looked at in the same sessions, for product pages.

The item-to-item table of Linden, Smith & York, "Amazon.com recommendations", IEEE Internet Computing 2003, with
sessions where theirs has customers: what one person looks at within minutes are alternatives.
"""

from __future__ import annotations

import numpy as np

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.cleaning import PURCHASE
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.cooccurrence import item_sets
from recsys_lab.models.itemknn import strongest
from recsys_lab.models.table import TableModel


class AlsoViewed(TableModel):
    """Each distinct item of the history speaks for the items seen in its sessions.

    Of the sessions, nᵢ hold i and nᵢⱼ both: the weight is nᵢⱼ / √(nᵢ nⱼ), the cosine of the items' session vectors.
    Pairs in fewer than ``support`` sessions are left out. Purchases are no looks, unless ``purchases`` says so: they
    bring what goes together, where looks bring what competes. Sessions are cut to their latest ``longest`` items.

    Raises ModelError when the log has nothing but purchases.
    """

    def __init__(self, *, purchases: bool = False, support: int = 2, neighbours: int = 100, longest: int = 100) -> None:
        if support < 1 or neighbours < 1:
            raise ConfigError(f"support: {support}, neighbours: {neighbours}; both must be 1 or more")
        if longest < 2:
            raise ConfigError(f"longest: {longest} leaves no pair in a session; use 2 or more")
        self.purchases = purchases
        self.support = support
        self.neighbours = neighbours
        self.longest = longest

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        looks = (
            train
            if self.purchases
            else train.where(~np.array([name == PURCHASE for name in train.event_names])[train.events])
        )
        if len(looks) == 0:
            raise ModelError(
                "also_viewed: the log has nothing but purchases; set purchases=true, or use bought_together"
            )
        sessions = item_sets(looks.sessions, looks, longest=self.longest)
        pairs = sessions.together()
        counts = sessions.counts()
        rows, columns = pairs.tocoo().coords
        cosines = pairs.data / np.sqrt(counts[rows] * counts[columns])
        pairs.data = np.where(pairs.data >= self.support, cosines, 0).astype(np.float32)
        self.weights = strongest(pairs, self.neighbours)
