"""Where a sequence model's item vectors come from, and how a training step looks them up.

Shapes: I items, D width, F text features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.nn.features import ItemFeatures

ITEMS_AT_ONCE = 1 << 16


class Items(Protocol):
    """What a loss may ask for: the vectors of some items, or of all."""

    def __call__(self, codes: Tensor) -> Tensor: ...  # [...] → [..., D]

    def all(self) -> Tensor: ...  # [I, D]


class FixedItems:
    """Vectors that were computed once, for all places of a step that use them."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def __call__(self, codes: Tensor) -> Tensor:
        return functional.embedding(codes, self.vectors)

    def all(self) -> Tensor:
        return self.vectors


class UnitLength:
    """Other items' vectors, scaled to length 1."""

    def __init__(self, items: Items) -> None:
        self.items = items

    def __call__(self, codes: Tensor) -> Tensor:
        return functional.normalize(self.items(codes), dim=-1)

    def all(self) -> Tensor:
        return functional.normalize(self.items.all(), dim=-1)


class ItemTable(nn.Module):
    """A free vector per item and, with ``features``, what the catalogue says about it added."""

    def __init__(self, n_items: int, width: int, features: FeatureSum | None = None) -> None:
        super().__init__()
        self.ids = nn.Embedding(n_items, width)
        self.features = features

    def forward(self, codes: Tensor) -> Tensor:
        ids: Tensor = self.ids(codes)
        return ids if self.features is None else self.features(ids, codes)

    def all(self) -> Tensor:
        ids = self.ids.weight
        return ids if self.features is None else self.features(ids, torch.arange(len(ids), device=ids.device))


class FeatureSum(nn.Module):
    """Adds the vectors of an item's labels, and a linear map of its text, to its free vector.

    ``id_dropout`` withholds the free vector now and then, so that features alone learn to place an
    item: one that nobody has ``touched`` [I] has nothing else.
    """

    text: Tensor
    labels: Tensor
    touched: Tensor

    def __init__(self, known: ItemFeatures, touched: NDArray[np.bool_], width: int, id_dropout: float) -> None:
        super().__init__()
        self.id_dropout = id_dropout
        self.register_buffer("text", torch.from_numpy(known.text))  # [I, F]
        self.register_buffer("labels", torch.from_numpy(known.labels))  # [I, 3]
        self.register_buffer("touched", torch.from_numpy(touched))
        self.tables = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size in known.sizes)
        self.from_text = nn.Linear(known.text.shape[1], width, bias=False) if known.text.shape[1] else None

    def forward(self, ids: Tensor, codes: Tensor) -> Tensor:
        """``ids`` [..., D] of ``codes`` [...] → [..., D]."""
        kept = self.touched[codes]
        if self.training and self.id_dropout:
            kept = kept & (torch.rand(codes.shape, device=codes.device) >= self.id_dropout)
        x = ids * kept[..., None]
        for column, table in enumerate(self.tables):
            x = x + table(self.labels[codes, column])
        return x if self.from_text is None else x + self.from_text(self.text[codes])


def saved_features(arrays: Mapping[str, NDArray[Any]], prefix: str) -> ItemFeatures:
    """What the ``FeatureSum`` whose state is in ``arrays`` was made of."""
    labels = arrays[f"{prefix}labels"]
    sizes = tuple(len(arrays[f"{prefix}tables.{column}.weight"]) for column in range(labels.shape[1]))
    return ItemFeatures(arrays[f"{prefix}text"], labels, sizes)
