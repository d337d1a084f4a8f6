"""The users: tastes that drift, attributes that hint at them, habits of coming and paying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.assortment import DIMENSIONS
from recsys_lab.data.shop.opening_hours import OpeningHours

ATTRIBUTES: Final = {
    "country": ("DE", "FR", "GB", "NL", "SE"),
    "device": ("mobile", "desktop", "tablet"),
    "age_band": ("18-24", "25-34", "35-49", "50-64", "65+"),
}
USER_ID = "u{:06d}"
SEGMENTS = 6
SEGMENT_SHARE = 0.5  # of the variance of taste: what the segment explains
ACTIVITY_SIGMA, ACTIVITY_CAP = 1.0, 12.0


@dataclass(frozen=True)
class Shoppers:
    """U users. Taste moves on a straight line from ``taste_start`` to ``taste_end`` over the period."""

    frame: pd.DataFrame  # raw_users
    segment: NDArray[np.int64]  # [U]
    mobile: NDArray[np.bool_]  # [U]
    taste_start: NDArray[np.float64]  # [U, D]
    taste_end: NDArray[np.float64]  # [U, D]
    activity: NDArray[np.float64]  # [U] how often they come, relative to the median user
    first_visit: NDArray[np.int64]  # [U] epoch seconds
    thrift: NDArray[np.float64]  # [U] log-odds lost per standard deviation of price
    leaving: NDArray[np.float64]  # [U] probability to end the session after a view

    def __len__(self) -> int:
        return len(self.segment)

    def taste(self, users: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tastes [N, D] when ``share`` [N] of the period has passed."""
        start = self.taste_start[users]
        return start + (self.taste_end[users] - start) * share[:, None]


def welcome(n_users: int, hours: OpeningHours, rng: np.random.Generator) -> Shoppers:
    """Draw the users, in random order."""
    segment = rng.choice(SEGMENTS, size=n_users, p=rng.dirichlet(np.full(SEGMENTS, 10.0)))
    attributes = {}
    for name, values in ATTRIBUTES.items():
        mix = rng.dirichlet(np.full(len(values), 0.5), size=SEGMENTS)  # [segments, values]
        codes = (rng.random((n_users, 1)) > np.cumsum(mix, axis=1)[segment, :-1]).sum(axis=1)
        attributes[name] = np.array(values, dtype=object)[codes]

    centres = rng.standard_normal((SEGMENTS, DIMENSIONS))
    own = rng.standard_normal((n_users, DIMENSIONS))
    start = np.sqrt(SEGMENT_SHARE) * centres[segment] + np.sqrt(1 - SEGMENT_SHARE) * own
    kept = rng.beta(3, 2, size=(n_users, 1))  # correlation of the last taste with the first
    end = kept * start + np.sqrt(1 - kept**2) * rng.standard_normal((n_users, DIMENSIONS))
    activity = np.minimum(np.exp(ACTIVITY_SIGMA * rng.standard_normal(n_users)), ACTIVITY_CAP)
    first_visit = hours.clock_time(rng.beta(0.7, 1.5, n_users) * hours.busy_time(np.array([hours.end])))
    return Shoppers(
        frame=pd.DataFrame({columns.USER: [USER_ID.format(code) for code in range(n_users)], **attributes}),
        segment=segment,
        mobile=attributes["device"] != "desktop",
        taste_start=start,
        taste_end=end,
        activity=activity,
        first_visit=np.minimum(first_visit, hours.end - 1),
        thrift=np.maximum(rng.normal(0.5, 0.5, n_users), 0),
        leaving=rng.uniform(0.15, 0.32, n_users),
    )
