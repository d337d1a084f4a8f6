"""The tables that every bundle has: its items and the fallback's scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.models.base import Recommender
from serving_min.item_codes import make_slots
from serving_min.item_vectors import ItemVectors
from serving_min.items import COLUMNS, SLOTS_FILE

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = (columns.TITLE, columns.CATEGORY, columns.BRAND, columns.IMAGE, columns.MARKET)
NUMBERS = (columns.PRICE, columns.MIN_AGE, columns.MARGIN, columns.STOCK)


def write_items(catalogue: Catalogue, path: Path) -> None:
    """``items.arrow``, and ``item_codes.npy`` beside it: where to find an id."""
    import pyarrow as pa

    np.save(path.with_name(SLOTS_FILE), make_slots(catalogue.ids.tolist()))
    rows = items_table(catalogue)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


def items_table(catalogue: Catalogue) -> pa.Table:
    """Ids and, of what the server shows, filters by or weighs, the columns that the shop has; what is unknown about an
    item is null."""
    import pyarrow as pa

    table = {columns.ITEM: pa.array(catalogue.strings(columns.ITEM), pa.string())}
    for name in TEXTS:
        if name in catalogue.frame:
            texts = catalogue.strings(name)
            table[name] = pa.array(texts, pa.string(), mask=texts == "")
    for name in (*NUMBERS, columns.AVAILABLE_FROM):
        if name in catalogue.frame:
            numbers = catalogue.numbers(name)
            unknown = np.isnan(numbers)
            table[name] = pa.array(np.where(unknown, 0, numbers), mask=unknown).cast(COLUMNS[name])
    return pa.table(table)


def write_fallback(model: Recommender, path: Path) -> None:
    """``fallback.npz``: what the model's own base class fills lists from."""
    np.savez(path, scores=model.popularity.astype(np.float32), candidates=model.candidates)


def write_item_vectors(vectors: ItemVectors, codes: NDArray[np.int32], folder: Path) -> None:
    """``vectors.npy``, which is read where it lies, and ``vectors.npz``: whose they are and what 8 bits mean."""
    np.save(folder / "vectors.npy", vectors.stored)
    if vectors.steps is None or vectors.scales is None:
        np.savez(folder / "vectors.npz", codes=codes)
    else:
        np.savez(folder / "vectors.npz", codes=codes, steps=vectors.steps, scales=vectors.scales)
