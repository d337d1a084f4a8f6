"""The tables that every bundle has: its items and the fallback's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.models.base import Recommender
from serving_min.item_codes import make_slots
from serving_min.items import SLOTS_FILE

TEXTS = (columns.TITLE, columns.CATEGORY, columns.BRAND, columns.IMAGE)


def write_items(catalogue: Catalogue, path: Path) -> None:
    """``items.arrow``: ids and, of what the server shows or filters by, the columns that the shop has; what is
    unknown about an item is null. ``item_codes.npy`` beside it: where to find an id.
    """
    import pyarrow as pa

    ids = catalogue.strings(columns.ITEM)
    np.save(path.with_name(SLOTS_FILE), make_slots(ids.tolist()))
    table = {columns.ITEM: pa.array(ids, pa.string())}
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
