"""An item's vector from its id and what the catalogue says of it; from the catalogue alone for one that is new.

Shapes: B batch, D width, I items, F text features, V numbers of sentence and image models, M = F + V.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.nn.dropout import Dropout
from recsys_lab.nn.features import ItemFeatures
from recsys_lab.nn.query import ItemModule

UNKNOWN = 0  # the row of the id table for items without a training event


class ItemTower(nn.Module):
    """Item codes → vectors from the id, the text, category, brand and price bucket, and from given vectors.

    Every now and then the id is withheld (``id_dropout``), so that features alone learn to place
    an item; an item without training events never has one. Beside what is learned, a served vector
    may hold the content itself and, for an item without an id, ``new_item_bonus``.
    """

    text: Tensor
    vectors: Tensor
    labels: Tensor
    id_rows: Tensor
    directions: Tensor

    def __init__(
        self,
        features: ItemFeatures,
        id_rows: NDArray[np.int64],
        *,
        width: int,
        dropout: float,
        id_dropout: float,
        content_match: float,
        new_item_bonus: float,
    ) -> None:
        super().__init__()
        self.id_dropout = id_dropout
        self.content_match = content_match
        self.new_item_bonus = new_item_bonus
        self.register_buffer("text", torch.from_numpy(features.text))  # [I, F]
        self.register_buffer("vectors", torch.from_numpy(features.vectors))  # [I, V] of sentence and image models
        self.register_buffer("labels", torch.from_numpy(features.labels))  # [I, 3]
        self.register_buffer("id_rows", torch.from_numpy(id_rows))  # [I]
        self.register_buffer("directions", torch.from_numpy(features.directions))  # [C, F]
        self.ids = nn.Embedding(int(id_rows.max(initial=0)) + 1, width)
        self.tables = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size in features.sizes)
        self.from_text = nn.Linear(features.text.shape[1], width) if features.text.shape[1] else None
        self.from_vectors = nn.Linear(features.vectors.shape[1], width) if features.vectors.shape[1] else None
        self.mix = mixer(width, width, dropout)
        for table in (self.ids, *self.tables, *filter(None, [self.from_vectors])):
            nn.init.normal_(table.weight, std=0.1)

    def inputs(self, codes: Tensor) -> Tensor:
        """What is known of the items, before the tower's layers: codes [...] → [..., D]."""
        rows = self.id_rows[codes]
        if self.training and self.id_dropout:
            withheld = torch.rand(rows.shape, device=rows.device) < self.id_dropout
            rows = rows.masked_fill(withheld, UNKNOWN)
        return self._sum(self.ids(rows), self.text[codes], self.labels[codes], self.vectors[codes])

    def forward(self, codes: Tensor) -> Tensor:
        return self._mixed(self.inputs(codes))

    def served(self, codes: Tensor) -> Tensor:
        """Vectors as a query's: codes [B] → [B, D + M + 1], less what has no weight."""
        return self._beside(self(codes), self.content(codes), (self.id_rows[codes] == UNKNOWN).float()[:, None])

    def of_content(self, columns: Tensor, values: Tensor, labels: Tensor, vectors: Tensor | None) -> Tensor:
        """Served vectors of items without an id: content as ``columns`` and ``values`` [B, W], ``labels`` [B, 3],
        ``vectors`` [B, V]."""
        weights = values * (columns >= 0)
        text = (weights[:, None] @ self.directions[columns.clamp(min=0)]).squeeze(1)
        learned = self._mixed(self._sum(self.ids.weight[UNKNOWN], text, labels, vectors))
        return self._beside(learned, unit_content(text, vectors), torch.ones_like(learned[:, :1]))

    def content(self, codes: Tensor) -> Tensor:
        """What the catalogue says in words and pictures: codes [B] → unit vectors or zeros [B, M]."""
        return unit_content(self.text[codes], self.vectors[codes])

    def _beside(self, learned: Tensor, content: Tensor, new: Tensor) -> Tensor:
        parts = [learned]
        if self.content_match:
            parts.append(content * self.content_match)
        if self.new_item_bonus:
            parts.append(new * self.new_item_bonus)
        return torch.cat(parts, dim=-1)

    def _sum(self, known: Tensor, text: Tensor, labels: Tensor, vectors: Tensor | None) -> Tensor:
        for column, table in enumerate(self.tables):
            known = known + table(labels[..., column])
        if self.from_text is not None:
            known = known + self.from_text(text)
        if self.from_vectors is not None and vectors is not None:
            known = known + self.from_vectors(vectors)
        return known

    def _mixed(self, known: Tensor) -> Tensor:
        return functional.normalize(known + self.mix(known), dim=-1)


def unit_content(text: Tensor, vectors: Tensor | None) -> Tensor:
    parts = [functional.normalize(text, dim=-1)] + ([] if vectors is None else [vectors])
    return functional.normalize(torch.cat(parts, dim=-1), dim=-1)


class NewItem(ItemModule):
    """The item tower for items that nobody has touched, as it is exported."""

    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.tower = tower
        self.vectors = tower.vectors

    def forward(self, columns: Tensor, values: Tensor, labels: Tensor, vectors: Tensor | None = None) -> Tensor:
        return self.tower.of_content(columns, values, labels, vectors)


def mixer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """One hidden layer, to be added to what it is given."""
    return nn.Sequential(nn.Linear(inputs, 2 * outputs), nn.GELU(), Dropout(dropout), nn.Linear(2 * outputs, outputs))
