"""The tables that every bundle has: its items and the fallback's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.models.base import Recommender

TEXTS = (columns.TITLE, columns.CATEGORY, columns.BRAND, columns.IMAGE)


def write_items(catalogue: Catalogue, path: Path) -> None:
    """``items.arrow``: ids and, of what the server shows or filters by, the columns that the shop has.

    What is unknown about an item is null.
    """
    import pyarrow as pa

    table = {columns.ITEM: pa.array(catalogue.strings(columns.ITEM), pa.string())}
    for name in TEXTS:
        if name in catalogue.frame:
            texts = catalogue.strings(name)
            table[name] = pa.array(texts, pa.string(), mask=texts == "")
    for name, kind in ((columns.PRICE, pa.float64()), (columns.AVAILABLE_FROM, pa.int64())):
        if name in catalogue.frame:
            numbers = catalogue.numbers(name)
            unknown = np.isnan(numbers)
            table[name] = pa.array(np.where(unknown, 0, numbers), mask=unknown).cast(kind)
    rows = pa.table(table)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


def write_fallback(model: Recommender, path: Path) -> None:
    """``fallback.npz``: what the model's own base class fills lists from."""
    np.savez(path, scores=model.popularity.astype(np.float32), candidates=model.candidates)
