"""How much an event of the history still says, by its age. Numpy only; the lab calls the same code."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from serving_min.queries import Queries

SECONDS_PER_DAY = 86_400


class Recency(Struct, frozen=True, forbid_unknown_fields=True):
    """An event weighs (1 + age / ``days``) ** -``exponent``, and the events of an item add up.

    The power law forgets fast at first and slowly later, as repeat purchases do: an exponential that fits last
    week's has lost last year's. An event after ``now`` weighs 1.
    """

    days: Annotated[float, Meta(gt=0)]
    exponent: Annotated[float, Meta(ge=0)]

    def weights(self, queries: Queries) -> NDArray[np.float32]:
        """One weight for each event, [N], at most 1."""
        return self.of_ages(queries.now[queries.rows] - queries.times)

    def of_ages(self, seconds: NDArray[np.int64]) -> NDArray[np.float32]:
        """The weights of events of the given ages."""
        ages = np.maximum(seconds, 0) / SECONDS_PER_DAY
        weights: NDArray[np.float64] = (1 + ages / self.days) ** -self.exponent
        return weights.astype(np.float32)
