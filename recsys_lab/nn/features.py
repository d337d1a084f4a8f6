"""What a network can know about items and moments besides ids: text as numbers, labels as codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.features import content_matrix

PRICE_BUCKETS = 10
HOURS, WEEKDAYS = 24, 7


@dataclass(frozen=True)
class ItemFeatures:
    """The catalogue's content by item code; a row of zeros where nothing is known.

    ``labels`` are codes of category, brand and price bucket, each below its entry of ``sizes``.
    """

    text: NDArray[np.float32]  # [I, F], F = 0 where the shop has no content
    labels: NDArray[np.int64]  # [I, 3], 0 = unknown
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, width: int, seed: int) -> ItemFeatures:
        """``width`` is the largest F: content vectors are reduced to their main directions."""
        category, categories = catalogue.categories(columns.CATEGORY)
        brand, brands = catalogue.categories(columns.BRAND)
        price = price_buckets(catalogue.numbers(columns.PRICE))
        return cls(
            text=main_directions(catalogue, width, seed),
            labels=np.stack([category, brand, price], axis=1).astype(np.int64),
            sizes=(len(categories), len(brands), PRICE_BUCKETS + 1),
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Items that anything is known about, [I]."""
        found: NDArray[np.bool_] = (self.labels > 0).any(axis=1) | (self.text != 0).any(axis=1)
        return found


def main_directions(catalogue: Catalogue, width: int, seed: int) -> NDArray[np.float32]:
    """The content matrix's ``width`` first singular directions, elements about 1 in size, [I, F]."""
    from sklearn.utils.extmath import randomized_svd

    content = content_matrix(catalogue)
    width = min(width, *content.shape)
    if width == 0:
        return np.zeros((len(catalogue), 0), np.float32)
    left, strengths, _ = randomized_svd(content, width, random_state=seed)
    directions: NDArray[np.float32] = (left * strengths * np.sqrt(width)).astype(np.float32)
    return directions


def price_buckets(prices: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 … PRICE_BUCKETS by quantile, 0 where the price is unknown, [I]."""
    known = np.isfinite(prices)
    if not known.any():
        return np.zeros(len(prices), np.int64)
    edges = np.quantile(prices[known], np.linspace(0, 1, PRICE_BUCKETS + 1)[1:-1])
    return np.where(known, 1 + np.searchsorted(edges, prices), 0)


def hour_and_weekday(now: Tensor) -> tuple[Tensor, Tensor]:
    """Hour (UTC) and weekday (Monday = 0) of epoch seconds, each shaped like ``now``."""
    hours = torch.div(now, 3600, rounding_mode="floor")
    days = torch.div(hours, HOURS, rounding_mode="floor")
    return hours % HOURS, (days + 3) % WEEKDAYS  # 1970-01-01 was a Thursday
