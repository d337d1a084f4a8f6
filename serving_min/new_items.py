"""A vector for an item that came after the training: its catalogue entry through ``items.onnx``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from serving_min.content import ContentSpace, Entry, unit
from serving_min.errors import RequestError

NOTHING = -1


class ItemReader(Struct, frozen=True):
    """``item_features.json``: how an entry becomes the inputs of ``items.onnx``.

    ``categories`` and ``brands`` give labels by code, "" (unknown) first; a price between two of
    ``price_edges`` has a bucket, counted from 1. ``text_vector`` and ``image_vector`` are how many numbers the
    model was trained with, 0 = none.
    """

    content: ContentSpace
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    price_edges: tuple[float, ...] | None
    text_vector: int = 0
    image_vector: int = 0

    def read(self, entries: Sequence[Entry]) -> dict[str, NDArray[Any]]:
        """``columns`` int64 and ``values`` float32 [B, W], padded with -1 and 0; ``labels`` int64 [B, 3]; where the
        model takes any, ``vectors`` float32 [B, V]: text and image vector side by side, each of length 1 or zeros.

        Raises RequestError for a vector of another length, and for words without the text vector that goes with them.
        """
        rows = [self.content.row(entry) for entry in entries]
        width = max([1, *map(len, rows)])
        columns = np.full((len(rows), width), NOTHING, np.int64)
        values = np.zeros((len(rows), width), np.float32)
        for place, row in enumerate(rows):
            columns[place, : len(row)] = list(row)
            values[place, : len(row)] = list(row.values())
        labels = [[_code(self.categories, e.category), _code(self.brands, e.brand), self._bucket(e)] for e in entries]
        inputs: dict[str, NDArray[Any]] = {"columns": columns, "values": values}
        inputs["labels"] = np.array(labels, np.int64).reshape(-1, 3)
        if self.text_vector or self.image_vector:
            texts = [self._text_vector(entry) for entry in entries]
            images = [_of_length("image_vector", entry.image_vector, self.image_vector) for entry in entries]
            parts = ((texts, self.text_vector), (images, self.image_vector))
            units = [unit(np.array(rows, np.float32).reshape(len(entries), length)) for rows, length in parts]
            inputs["vectors"] = np.concatenate(units, axis=1)
        return inputs

    def _text_vector(self, entry: Entry) -> tuple[float, ...]:
        if self.text_vector and not entry.text_vector and f"{entry.title}{entry.text}".strip():
            raise RequestError(
                f"text_vector: missing for {entry.title or entry.text!r}; send the {self.text_vector} numbers that the "
                "sentence model of the training gives its title and text, or as many zeros"
            )
        return _of_length("text_vector", entry.text_vector, self.text_vector)

    def _bucket(self, entry: Entry) -> int:
        if entry.price is None or self.price_edges is None or not np.isfinite(entry.price):
            return 0
        return 1 + bisect_left(self.price_edges, entry.price)


def _of_length(name: str, vector: tuple[float, ...], length: int) -> tuple[float, ...]:
    """The vector, or as many zeros where there is none; () for a model that takes none."""
    if not vector or not length:
        return (0.0,) * length
    if len(vector) != length or not np.isfinite(vector).all():
        raise RequestError(f"{name}: {len(vector)} numbers; this model was trained with {length}, all of them finite")
    return vector


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
