"""What a network can know about items and moments besides ids: text as numbers, labels as codes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.features import content_rows, content_space, entries
from recsys_lab.data.text_vectors import catalogue_texts
from serving_min.content import unit
from serving_min.new_items import ItemReader

PRICE_BUCKETS = 10
HOURS, WEEKDAYS = 24, 7


@dataclass(frozen=True)
class ItemFeatures:
    """The catalogue's content by item code; a row of zeros where nothing is known.

    ``labels`` are codes of category, brand and price bucket, each below its entry of ``sizes``.
    ``directions`` take the content of any item, C columns, to its ``text``. ``vectors`` are what a sentence and
    an image model make of it, side by side, each of length 1 or zeros.
    """

    text: NDArray[np.float32]  # [I, F], F = 0 where the shop has no content
    labels: NDArray[np.int64]  # [I, 3], 0 = unknown
    sizes: tuple[int, ...]
    directions: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # [C, F]
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # [I, V]

    @classmethod
    def of(cls, catalogue: Catalogue, width: int, seed: int, text_model: str | None = None) -> ItemFeatures:
        """``width`` is the largest F: content vectors are reduced to their main directions. ``text_model`` is the
        folder of a sentence model, None = the catalogue's column ``text_vector``."""
        category, categories = catalogue.categories(columns.CATEGORY)
        brand, brands = catalogue.categories(columns.BRAND)
        price = price_buckets(catalogue.numbers(columns.PRICE))
        listed = entries(catalogue)
        content = content_rows(content_space(listed), listed)
        directions = main_directions(content, width, seed)
        texts = catalogue_texts(catalogue, text_model)
        return cls(
            text=(content @ directions).astype(np.float32),
            labels=np.stack([category, brand, price], axis=1).astype(np.int64),
            sizes=(len(categories), len(brands), PRICE_BUCKETS + 1),
            directions=directions,
            vectors=np.concatenate([texts, unit(catalogue.vectors(columns.IMAGE_VECTOR))], axis=1),
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Items that anything is known about, [I]."""
        parts = (self.labels, self.text, self.vectors)
        known: NDArray[np.bool_] = np.logical_or.reduce([(part != 0).any(axis=1) for part in parts])
        return known


def item_reader(catalogue: Catalogue, n_vectors: int) -> ItemReader:
    """How the entry of a new item is read, if it is to mean what ``ItemFeatures.of`` this catalogue means, which gave
    its items ``n_vectors`` numbers of sentence and image models."""
    images = catalogue.vectors(columns.IMAGE_VECTOR).shape[1]
    prices = price_edges(catalogue.numbers(columns.PRICE))
    return ItemReader(
        content=content_space(entries(catalogue)),
        categories=tuple(catalogue.categories(columns.CATEGORY)[1]),
        brands=tuple(catalogue.categories(columns.BRAND)[1]),
        price_edges=None if prices is None else tuple(prices.tolist()),
        text_vector=n_vectors - images,
        image_vector=images,
    )


def main_directions(content: sparse.csr_array, width: int, seed: int) -> NDArray[np.float32]:
    """The first ``width`` right singular vectors of ``content`` [I, C], scaled so that its products with
    them are about 1 in size, [C, F]."""
    from sklearn.utils.extmath import randomized_svd

    width = min(width, *content.shape)
    if width == 0:
        return np.zeros((content.shape[1], 0), np.float32)
    _, _, right = randomized_svd(content, width, random_state=seed)
    directions: NDArray[np.float32] = (right.T * np.sqrt(width)).astype(np.float32)
    return directions


def price_buckets(prices: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 … PRICE_BUCKETS by quantile, 0 where the price is unknown, [I]."""
    edges = price_edges(prices)
    if edges is None:
        return np.zeros(len(prices), np.int64)
    return np.where(np.isfinite(prices), 1 + np.searchsorted(edges, prices), 0)


def price_edges(prices: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The quantiles between the buckets; None where no price is known."""
    known = prices[np.isfinite(prices)]
    return np.quantile(known, np.linspace(0, 1, PRICE_BUCKETS + 1)[1:-1]) if len(known) else None


def hour_and_weekday(now: Tensor) -> tuple[Tensor, Tensor]:
    """Hour (UTC) and weekday (Monday = 0) of epoch seconds, each shaped like ``now``."""
    hours = torch.div(now, 3600, rounding_mode="floor")
    days = torch.div(hours, HOURS, rounding_mode="floor")
    return hours % HOURS, (days + 3) % WEEKDAYS  # 1970-01-01 was a Thursday
