"""Popular items of the categories in the history: what shops show beside an item that is too new for anything else."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.base import recent_popularity
from recsys_lab.models.table import TableModel
from serving_min.queries import offsets_of


class PopularByCategory(TableModel):
    """Each distinct item of the history votes for the ``most`` popular items of its own category.

    A vote weighs the item's events, halved every ``half_life_days`` before the log's end (None: plain
    counts). An item without any event weighs as much as the mean item of its category, so that new items are
    ranked at all. ``column`` of the catalogue says what a category is: category, brand …; of "a|b" the
    whole. Raises ModelError when no item has one.
    """

    def __init__(self, *, column: str = columns.CATEGORY, half_life_days: float | None = 30.0, most: int = 200) -> None:
        if half_life_days is not None and not half_life_days > 0:
            raise ConfigError(f"half_life_days: {half_life_days} is no time span; use a positive number, or null")
        if most < 1:
            raise ConfigError(f"most: {most} leaves no item; use 1 or more")
        self.column = column
        self.half_life_days = half_life_days
        self.most = most

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        category, names = catalogue.categories(self.column)
        if len(names) < 2:
            raise ModelError(f"popular_by_category: no item has a {self.column!r}; map that column, or name another")
        popularity = recent_popularity(train, half_life_days=self.half_life_days)
        sizes = np.bincount(category, minlength=len(names))
        means = np.bincount(category, weights=popularity, minlength=len(names)) / np.maximum(sizes, 1)
        popularity = np.where(train.item_counts() > 0, popularity, means[category]).astype(np.float32)

        order = np.lexsort((-popularity, category))  # by category, then the most popular first
        starts = offsets_of(sizes)[:-1]
        kept = np.minimum(sizes, self.most)
        kept[0] = 0  # no category says nothing
        lengths = kept[category]
        offsets = offsets_of(lengths)
        places = np.arange(offsets[-1]) + np.repeat(starts[category] - offsets[:-1], lengths)
        voted = order[places].astype(np.int32)
        shape = (train.n_items, train.n_items)
        self.weights = sparse.csr_array((popularity[voted], voted, offsets.astype(np.int32)), shape=shape)
        self.weights.sort_indices()
