"""A vector for an item that came after the training: its catalogue entry through ``items.onnx``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from serving_min.content import ContentSpace, Entry

NOTHING = -1


class ItemReader(Struct, frozen=True):
    """``item_features.json``: how an entry becomes the inputs of ``items.onnx``.

    ``categories`` and ``brands`` give labels by code, "" (unknown) first; a price between two of
    ``price_edges`` has a bucket, counted from 1.
    """

    content: ContentSpace
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    price_edges: tuple[float, ...] | None

    def read(self, entries: Sequence[Entry]) -> dict[str, NDArray[Any]]:
        """``columns`` int64 and ``values`` float32 [B, W], padded with -1 and 0; ``labels`` int64 [B, 3]."""
        rows = [self.content.row(entry) for entry in entries]
        width = max([1, *map(len, rows)])
        columns = np.full((len(rows), width), NOTHING, np.int64)
        values = np.zeros((len(rows), width), np.float32)
        for place, row in enumerate(rows):
            columns[place, : len(row)] = list(row)
            values[place, : len(row)] = list(row.values())
        labels = [[_code(self.categories, e.category), _code(self.brands, e.brand), self._bucket(e)] for e in entries]
        return {"columns": columns, "values": values, "labels": np.array(labels, np.int64).reshape(-1, 3)}

    def _bucket(self, entry: Entry) -> int:
        if entry.price is None or self.price_edges is None or not np.isfinite(entry.price):
            return 0
        return 1 + bisect_left(self.price_edges, entry.price)


def _code(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else 0


@dataclass(frozen=True)
class NewItems:
    """Vectors that compare with those of the bundle's items and with its queries."""

    reader: ItemReader
    encoder: Any  # onnxruntime.InferenceSession

    def vectors(self, entries: Sequence[Entry]) -> NDArray[np.float32]:
        """[B, D]; an entry that says nothing known gets what all such items have."""
        vectors: NDArray[np.float32] = self.encoder.run(["item"], self.reader.read(entries))[0]
        return vectors
