"""What there is to sell, before it has a vector or a name: shelves, lines of steps, brands, styles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.shop.vocabulary import CATEGORIES, CATEGORY_OF, SHELVES, STEPS, STYLES

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ProductLines:
    """I items, ordered by shelf, line and step. A line has one brand and one style in common."""

    shelf: Ints  # [I]
    line: Ints  # [I]
    step: Ints  # [I]
    brand: Ints  # [I]
    styles: Ints  # [I, 3]
    n_brands: int

    @property
    def first(self) -> NDArray[np.bool_]:
        """The first item of each shelf, [I]."""
        return np.append(True, self.shelf[1:] != self.shelf[:-1])

    @property
    def followed(self) -> NDArray[np.bool_]:
        """Whether the next item is the next step of the same line, [I]."""
        return np.append(self.line[1:] == self.line[:-1], False)


def plan(n_items: int, rng: np.random.Generator) -> ProductLines:
    """Two items at least on every shelf, the rest unevenly."""
    sizes = 2 + rng.multinomial(n_items - 2 * len(SHELVES), rng.dirichlet(np.full(len(SHELVES), 8.0)))
    shelf = np.repeat(np.arange(len(SHELVES)), sizes)
    place = np.arange(n_items) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    step = place % len(STEPS)
    line = np.cumsum(step == 0) - 1
    n_brands = max(12, n_items // 50)
    brand = _brand_of_line(shelf[step == 0], n_brands, rng)[line]
    in_common = rng.integers(len(STYLES), size=line[-1] + 1)[line]
    styles = np.column_stack([in_common, rng.integers(len(STYLES), size=(n_items, 2))])
    return ProductLines(shelf, line, step, brand, styles, n_brands)


def _brand_of_line(shelf: Ints, n_brands: int, rng: np.random.Generator) -> Ints:
    """A brand for each line, given the line's shelf. A brand is at home in three categories, so it links them."""
    home = np.argsort(rng.random((n_brands, len(CATEGORIES))), axis=1)[:, :3]
    allowed = (home[:, :, None] == np.array(CATEGORY_OF)[shelf]).any(axis=1)  # [brands, lines]
    allowed[:, ~allowed.any(axis=0)] = True
    brand: Ints = np.argmax(np.where(allowed, rng.random(allowed.shape), -1), axis=0)
    return brand
