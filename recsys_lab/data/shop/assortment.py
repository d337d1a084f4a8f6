"""The items: what people feel about them, what they cost, and when they are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.labels import write_labels
from recsys_lab.data.shop.opening_hours import DAY, START
from recsys_lab.data.shop.product_lines import ProductLines, plan
from recsys_lab.data.shop.vocabulary import CATEGORIES, CATEGORY_OF, SHELVES, STYLES

DIMENSIONS = 16
ITEM_ID = "i{:05d}"
NEW_SHARE, LEAVING_SHARE = 0.18, 0.06
TIER_SPREAD, STEP_UP, PRICE_SPREAD = 0.35, 0.22, 0.25  # of log-prices: brands, steps of a line, the rest
FOREVER = np.iinfo(np.int64).max
# Standard deviation of what each part adds to taste · vector, for a taste of unit variance.
WEIGHTS = {"category": 0.8, "shelf": 0.6, "brand": 0.5, "line": 0.35, "styles": 0.7, "own": 0.35}


@dataclass(frozen=True)
class Assortment:
    """I items on S shelves. Item codes are in random order, so that an id says nothing."""

    frame: pd.DataFrame  # raw_items
    shelf: NDArray[np.int64]  # [I]
    successor: NDArray[np.int64]  # [I] the next step of the item's line, -1 = none
    brand: NDArray[np.int64]  # [I]
    vectors: NDArray[np.float64]  # [I, D]
    appeal: NDArray[np.float64]  # [I] log-popularity on its shelf
    trend: NDArray[np.float64]  # [I] what the period adds to it
    dearness: NDArray[np.float64]  # [I] log-price against the shelf's, in standard deviations
    available_from: NDArray[np.int64]  # [I] epoch seconds
    available_until: NDArray[np.int64]  # [I]
    shelf_vectors: NDArray[np.float64]  # [S, D]
    shelf_appeal: NDArray[np.float64]  # [S]

    def __len__(self) -> int:
        return len(self.shelf)

    def on_sale(self, items: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each item can be had at its time; the two broadcast."""
        return (self.available_from[items] <= times) & (times < self.available_until[items])


def stock(n_items: int, days: int, rng: np.random.Generator) -> Assortment:
    """Fill the shelves of a shop that is watched for ``days`` days."""
    lines = plan(n_items, rng)
    shelf_vectors, vectors = _vectors(lines, rng)
    tier = TIER_SPREAD * rng.standard_normal(lines.n_brands)
    above = tier[lines.brand] + STEP_UP * (lines.step - 1.5) + PRICE_SPREAD * rng.standard_normal(n_items)
    typical = np.array([shelf.price for shelf in SHELVES])[lines.shelf]
    rank = rng.permutation(n_items) / n_items * np.bincount(lines.shelf)[lines.shelf]  # 0 = the shelf's bestseller
    arrival, until = _dates(lines, days, rng)

    order = rng.permutation(n_items)
    code_of = np.argsort(order)
    frame = write_labels(lines, rng)
    frame.insert(0, columns.ITEM, [ITEM_ID.format(code) for code in code_of])
    frame[columns.PRICE] = np.round(typical * np.exp(above)) + 0.99
    frame[columns.AVAILABLE_FROM] = arrival
    return Assortment(
        frame=frame.iloc[order].reset_index(drop=True),
        shelf=lines.shelf[order],
        successor=np.where(lines.followed, np.roll(code_of, -1), -1)[order],
        brand=lines.brand[order],
        vectors=vectors[order],
        appeal=(-0.8 * np.log(rank + 2) + 0.3 * rng.standard_normal(n_items))[order],
        trend=(0.7 * rng.standard_normal(n_items))[order],
        dearness=(above / above.std())[order],
        available_from=arrival[order],
        available_until=until[order],
        shelf_vectors=shelf_vectors,
        shelf_appeal=0.35 * rng.standard_normal(len(SHELVES)),
    )


def _vectors(lines: ProductLines, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latent vectors of shelves [S, D] and of items [I, D], each the sum of its parts."""

    def draw(part: str, size: int) -> NDArray[np.float64]:
        vectors: NDArray[np.float64] = rng.standard_normal((size, DIMENSIONS)) * (WEIGHTS[part] / DIMENSIONS**0.5)
        return vectors

    shelves = draw("category", len(CATEGORIES))[list(CATEGORY_OF)] + draw("shelf", len(SHELVES))
    vectors = shelves[lines.shelf] + draw("brand", lines.n_brands)[lines.brand]
    vectors += draw("line", lines.line[-1] + 1)[lines.line] + draw("own", len(lines.shelf))
    vectors += draw("styles", len(STYLES))[lines.styles].sum(axis=1) / np.sqrt(3)
    return shelves, vectors


def _dates(lines: ProductLines, days: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When each item comes and goes, [I] epoch seconds. The first item of each shelf is always there."""
    n_items = len(lines.shelf)
    fate = np.where(lines.first, 1.0, rng.random(n_items))
    new, leaving = fate < NEW_SHARE, (fate >= NEW_SHARE) & (fate < NEW_SHARE + LEAVING_SHARE)
    before = START - rng.integers(1, 720, n_items) * DAY
    during = START + (rng.uniform(0.05, 0.98, n_items) * days * DAY).astype(np.int64)
    gone = START + (rng.uniform(0.4, 1, n_items) * days * DAY).astype(np.int64)
    return np.where(new, during, before), np.where(leaving, gone, FOREVER)
