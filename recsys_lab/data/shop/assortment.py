"""The items: a latent vector each, and titles, brands and prices that give parts of it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.opening_hours import DAY, START
from recsys_lab.data.shop.vocabulary import (
    CATEGORIES,
    CATEGORY_OF,
    OPENINGS,
    REASONS,
    SHELVES,
    STEPS,
    STYLES,
    SYLLABLES,
)

DIMENSIONS = 16
ITEM_ID = "i{:05d}"
NEW_SHARE, LEAVING_SHARE = 0.18, 0.06
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
    """Fill the shelves. The first item of each shelf is always on sale."""
    shelf = _shelf_of(n_items, rng)
    first = np.append(True, shelf[1:] != shelf[:-1])
    place = np.arange(n_items) - np.flatnonzero(first)[np.cumsum(first) - 1]
    step = place % len(STEPS)
    line = np.cumsum(step == 0) - 1
    n_lines, n_brands = line[-1] + 1, max(12, n_items // 50)

    brand = _brand_of_line(shelf[step == 0], n_brands, rng)[line]
    styles = np.column_stack(
        [rng.integers(len(STYLES), size=n_lines)[line], rng.integers(len(STYLES), size=(n_items, 2))]
    )
    parts = {
        part: rng.standard_normal((size, DIMENSIONS)) * WEIGHTS[part] / np.sqrt(DIMENSIONS)
        for part, size in [
            ("category", len(CATEGORIES)),
            ("shelf", len(SHELVES)),
            ("brand", n_brands),
            ("line", n_lines),
            ("own", n_items),
        ]
    }
    style_vectors = rng.standard_normal((len(STYLES), DIMENSIONS)) * WEIGHTS["styles"] / np.sqrt(3 * DIMENSIONS)
    shelf_vectors = parts["category"][list(CATEGORY_OF)] + parts["shelf"]
    vectors = shelf_vectors[shelf] + parts["brand"][brand] + parts["line"][line] + parts["own"]
    vectors += style_vectors[styles].sum(axis=1)

    tier = 0.35 * rng.standard_normal(n_brands)
    above = tier[brand] + 0.22 * (step - 1.5) + 0.25 * rng.standard_normal(n_items)
    price = np.round(np.array([row.price for row in SHELVES])[shelf] * np.exp(above)) + 0.99
    rank = rng.permuted(np.arange(n_items)) / n_items * np.bincount(shelf)[shelf]  # 0 = the shelf's bestseller
    arrival = START - rng.integers(1, 720, n_items) * DAY
    fate = np.where(first, 1.0, rng.random(n_items))
    new = fate < NEW_SHARE
    arrival[new] = START + (rng.uniform(0.05, 0.98, new.sum()) * days * DAY).astype(np.int64)
    leaving = (fate >= NEW_SHARE) & (fate < NEW_SHARE + LEAVING_SHARE)
    until = np.where(leaving, START + (rng.uniform(0.4, 1, n_items) * days * DAY).astype(np.int64), FOREVER)

    order = rng.permutation(n_items)
    code_of = np.argsort(order)
    follows = np.append((line[1:] == line[:-1]), False)
    successor = np.where(follows, code_of[np.minimum(np.arange(n_items) + 1, n_items - 1)], -1)
    frame = pd.DataFrame(
        {
            columns.ITEM: [ITEM_ID.format(code) for code in code_of],
            **_texts(shelf, brand, line, step, styles, rng),
            columns.PRICE: price,
            columns.AVAILABLE_FROM: arrival,
        }
    )
    return Assortment(
        frame=frame.iloc[order].reset_index(drop=True),
        shelf=shelf[order],
        successor=successor[order],
        brand=brand[order],
        vectors=vectors[order],
        appeal=(-0.9 * np.log(rank + 2) + 0.3 * rng.standard_normal(n_items))[order],
        trend=(0.7 * rng.standard_normal(n_items))[order],
        dearness=(above / np.sqrt(0.35**2 + 0.22**2 * 1.25 + 0.25**2))[order],
        available_from=arrival[order],
        available_until=until[order],
        shelf_vectors=shelf_vectors,
        shelf_appeal=0.5 * rng.standard_normal(len(SHELVES)),
    )


def _shelf_of(n_items: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Shelf of each item, ascending: two at least everywhere, the rest unevenly."""
    sizes = 2 + rng.multinomial(n_items - 2 * len(SHELVES), rng.dirichlet(np.full(len(SHELVES), 8.0)))
    return np.repeat(np.arange(len(SHELVES)), sizes)


def _brand_of_line(shelf: NDArray[np.int64], n_brands: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A brand for each line. A brand is at home in three categories, so it links them."""
    home = np.argsort(rng.random((n_brands, len(CATEGORIES))), axis=1)[:, :3]
    allowed = (home[:, :, None] == np.array(CATEGORY_OF)[shelf]).any(axis=1)  # [brands, lines]
    allowed[:, ~allowed.any(axis=0)] = True
    brand: NDArray[np.int64] = np.argmax(np.where(allowed, rng.random(allowed.shape), -1), axis=0)
    return brand


def _texts(shelf: Any, brand: Any, line: Any, step: Any, styles: Any, rng: np.random.Generator) -> dict[str, list[str]]:
    """Titles and descriptions name the shelf, the brand, the line, the step and the three styles."""
    brands, lines = _names(brand.max() + 1, rng), _names(line[-1] + 1, rng)
    openings, reasons = rng.integers(len(OPENINGS), size=len(shelf)), rng.integers(len(REASONS), size=len(shelf))
    texts: dict[str, list[str]] = {
        name: [] for name in (columns.TITLE, columns.TEXT, columns.CATEGORY, "subcategory", columns.BRAND)
    }
    for row, (of, maker, series) in enumerate(zip(shelf, brand, line, strict=True)):
        words = [STYLES[style] for style in styles[row]]
        noun = SHELVES[of].noun
        texts[columns.TITLE].append(f"{brands[maker]} {lines[series]} {words[1]} {noun} {STEPS[step[row]]}")
        texts[columns.TEXT].append(
            f"{OPENINGS[openings[row]]} {words[0]}, {words[1]} and {words[2]} {noun} from {brands[maker]}, "
            f"the {STEPS[step[row]]} of the {lines[series]} line: {REASONS[reasons[row]]}."
        )
        texts[columns.CATEGORY].append(SHELVES[of].category)
        texts["subcategory"].append(SHELVES[of].name)
        texts[columns.BRAND].append(brands[maker])
    return texts


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """``count`` different made-up names, of as many syllables as that takes."""
    base, length = len(SYLLABLES), 2
    while base**length < 4 * count:
        length += 1
    codes = rng.choice(base**length, size=count, replace=False)
    return ["".join(SYLLABLES[code // base**place % base] for place in range(length)).capitalize() for code in codes]
