"""The recently most popular items, the same list for everybody: the line to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays, Recommender, recent_popularity
from serving_min.queries import Queries


class Popular(Recommender):
    """Event counts that halve every ``half_life_days`` before the log's end; None = plain counts.

    ``window_days`` counts only the log's last days (28: the popularity of four weeks).
    ``event_weights`` counts each event by its weight, so that a purchase may outweigh a view.
    The ranking is also the model's own fallback, so its bundle needs no model file.
    """

    kind = "static"

    def __init__(
        self, *, half_life_days: float | None = 30.0, window_days: float | None = None, event_weights: bool = False
    ) -> None:
        for name, days in (("half_life_days", half_life_days), ("window_days", window_days)):
            if days is not None and not days > 0:
                raise ConfigError(f"{name}: {days} is not a time span; use a positive number of days, or null")
        self.half_life_days = half_life_days
        self.window_days = window_days
        self.event_weights = event_weights

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        self.popularity = recent_popularity(
            train,
            half_life_days=self.half_life_days,
            window_days=self.window_days,
            event_weights=self.event_weights,
        )

    def score(self, queries: Queries) -> NDArray[np.float32]:
        scores = np.tile(self.popularity, (len(queries), 1))
        scores[queries.lengths == 0] = -np.inf
        return scores

    def ranking(self, category: str | None = None) -> NDArray[np.int32]:
        """Item codes, most popular first; of one category only, where it is given."""
        order = np.argsort(-self.popularity, kind="stable").astype(np.int32)
        if category is None:
            return order
        inside: NDArray[np.bool_] = self.catalogue.strings(columns.CATEGORY) == category
        return order[inside[order]]

    def _arrays(self) -> Arrays:
        return {}

    def _restore(self, arrays: Arrays) -> None:
        """Nothing but ``popularity``, which the base restores."""
