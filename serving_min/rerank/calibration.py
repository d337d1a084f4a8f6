"""Lists with the user's own mix of categories. Steck (2018), Calibrated recommendations, RecSys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank.found import Mask

Values = NDArray[np.float64]


def divergence(wanted: Values, shown: Values, smoothing: float) -> Values:
    """KL(p ‖ q̃) in nats of the mix ``wanted`` p [..., A] and those ``shown`` q [..., A], by row: 0 is calibrated.

    q̃ = (1 - smoothing) q + smoothing p keeps it finite (equations 6 and 7). p is positive.
    """
    mixed = (1 - smoothing) * shown + smoothing * wanted
    kl: Values = (wanted * np.log(wanted / mixed)).sum(axis=-1)
    return kl


class ToMix:
    """A picker (``serving_min.rerank.variety``): what a candidate adds is how near it brings the list to the mix
    ``wanted`` [A], which is positive (equation 8).

    ``shares`` [n] are of the scores, ``categories`` [G, A] of the groups of candidates that have the same ones;
    ``groups`` [n] says which is whose.
    """

    def __init__(
        self,
        shares: Values,
        categories: Values,
        groups: NDArray[np.int64],
        wanted: Values,
        mix: float,
        smoothing: float,
    ) -> None:
        self.relevance = mix * shares
        self.categories = categories
        self.groups = groups
        self.wanted = wanted
        self.mix = mix
        self.smoothing = smoothing
        self.total = np.zeros(len(wanted))
        self.size = 0

    def best(self, open: Mask) -> int:
        shown = (self.total + self.categories) / (self.size + 1)
        lost = (1 - self.mix) * divergence(self.wanted, shown, self.smoothing)
        gains = self.relevance - lost[self.groups]
        return int(np.where(open, gains[: len(open)], -np.inf).argmax())

    def take(self, place: int) -> None:
        self.total = self.total + self.categories[self.groups[place]]
        self.size += 1
