"""What the catalogue says about each item, as one sparse vector per item."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from serving_min.content import ContentSpace, Entry, categories_of, words_of


def content_matrix(
    catalogue: Catalogue,
    *,
    max_features: int = 20_000,
    category_weight: float = 0.7,
    brand_weight: float = 0.5,
    price_weight: float = 0.3,
    price_buckets: int = 10,
) -> sparse.csr_array:
    """Unit rows [I, F] float32, so that inner products are cosines; a zero row for an item without content.

    Side by side stand the TF-IDF of title and text (the ``max_features`` most frequent words,
    no stop list: idf plays down what every title says, in any language), the categories (a
    category ``a|b`` is both), the brand, and the price's quantile bucket. A weight is the length
    of its part where the text's length is 1. Columns that the shop lacks add nothing.

    Everything is counted over this catalogue alone: hand over one that ends at the cutoff.
    """
    listed = entries(catalogue)
    space = content_space(
        listed,
        max_features=max_features,
        category_weight=category_weight,
        brand_weight=brand_weight,
        price_weight=price_weight,
        price_buckets=price_buckets,
    )
    return content_rows(space, listed)


def entries(catalogue: Catalogue) -> list[Entry]:
    """The catalogue's items as the server would be told of them, by code."""
    titles, texts = catalogue.strings(columns.TITLE), catalogue.strings(columns.TEXT)
    categories, brands = catalogue.strings(columns.CATEGORY), catalogue.strings(columns.BRAND)
    prices = (None if math.isnan(price) else price for price in catalogue.numbers(columns.PRICE).tolist())
    return list(map(Entry, titles, texts, categories, brands, prices))


def content_space(
    listed: Sequence[Entry],
    *,
    max_features: int = 20_000,
    category_weight: float = 0.7,
    brand_weight: float = 0.5,
    price_weight: float = 0.3,
    price_buckets: int = 10,
) -> ContentSpace:
    """The columns that these entries have, as ``content_matrix`` describes them."""
    words: Counter[str] = Counter()
    holders: Counter[str] = Counter()
    for entry in listed:
        found = words_of(entry)
        words.update(found)
        holders.update(set(found))
    frequent = sorted(words, key=lambda word: (-words[word], word))[:max_features]
    prices = [entry.price for entry in listed if entry.price is not None and math.isfinite(entry.price)]
    edges = np.unique(np.quantile(prices, np.linspace(0, 1, price_buckets + 1)[1:-1])).tolist() if prices else None
    return ContentSpace(
        words={word: 1 + math.log((1 + len(listed)) / (1 + holders[word])) for word in sorted(frequent)},
        categories=tuple(sorted({name for entry in listed for name in categories_of(entry)})),
        brands=tuple(sorted({entry.brand.strip() for entry in listed} - {""})),
        price_edges=None if edges is None else tuple(edges),
        category_weight=category_weight,
        brand_weight=brand_weight,
        price_weight=price_weight,
    )


def content_rows(space: ContentSpace, listed: Sequence[Entry]) -> sparse.csr_array:
    """One row per entry [I, F] float32."""
    rows = [space.row(entry) for entry in listed]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    places = np.array([column for row in rows for column in row], np.int32)
    values: NDArray[np.float32] = np.array([value for row in rows for value in row.values()], np.float32)
    matrix = sparse.csr_array((values, places, offsets), shape=(len(rows), space.size))
    matrix.sort_indices()
    return matrix
