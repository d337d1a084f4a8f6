"""The item table of a bundle: ids, what the shop shows, and what requests filter by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving_min.errors import BundleError, RequestError
from serving_min.masks import Masks
from serving_min.messages import Filters

ALWAYS = -(1 << 63)  # available since ever
COLUMNS = {
    "item_id": pa.string(),
    "title": pa.string(),
    "category": pa.string(),
    "brand": pa.string(),
    "price": pa.float64(),
    "available_from": pa.int64(),  # a timestamp would be read in its own unit
    "market": pa.string(),
    "min_age": pa.float64(),
    "margin": pa.float64(),
    "stock": pa.float64(),
}
FILTERED = {"category": "category", "brand": "brand", "price": "price", "market": "market", "age": "min_age"}


@dataclass(frozen=True)
class Labels:
    """A text column as codes [I] into ``names``; -1 where the shop says nothing."""

    codes: NDArray[np.int32]
    names: list[str]

    def of(self, code: int) -> str | None:
        label = self.codes[code]
        return None if label < 0 else self.names[label]

    def among(self, wanted: list[str]) -> NDArray[np.bool_]:
        """Which items carry one of the wanted labels, [I]."""
        chosen = np.zeros(len(self.names) + 1, np.bool_)  # the last place is for code -1
        chosen[[self._position[name] for name in wanted if name in self._position]] = True
        return chosen[self.codes]

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names)}


@dataclass(frozen=True)
class Items:
    """I items by code. Columns that the shop does not have are None."""

    ids: list[str]
    codes: dict[str, int]
    titles: list[str | None] | None
    category: Labels | None
    brand: Labels | None
    price: NDArray[np.float64] | None  # NaN = unknown
    available_from: NDArray[np.int64] | None
    market: Labels | None = None  # where it is sold, "DE|FR"; -1 = everywhere
    min_age: NDArray[np.float64] | None = None  # years that a buyer must have; NaN = any age
    margin: NDArray[np.float64] | None = None  # what one sale earns; NaN = unknown
    stock: NDArray[np.float64] | None = None  # pieces; NaN = unknown

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, path: Path) -> Items:
        """Raises BundleError when ids are missing or double, or a column is of another type."""
        with pa.OSFile(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)  # Arrow trusts the offsets of a file, and would read beyond its end
        return cls.of(table, path)

    @classmethod
    def of(cls, table: pa.Table, path: Path) -> Items:
        """The rows of a table that came from ``path``. Raises what ``read`` does."""
        for name in COLUMNS.keys() & set(table.column_names):
            kind = table.schema.field(name).type
            if kind != COLUMNS[name]:
                raise BundleError(f"{path}: {name} is {kind}, not {COLUMNS[name]}")
        if "item_id" not in table.column_names:
            raise BundleError(f"{path}: no column item_id; it has {table.column_names}")
        ids = _texts(table, "item_id") or []
        if None in ids:
            raise BundleError(f"{path}: item_id of row {ids.index(None)} is null")
        codes = {str(item): code for code, item in enumerate(ids)}
        if len(codes) != len(ids):
            raise BundleError(f"{path}: {len(ids) - len(codes)} item ids stand there twice")
        return cls(
            ids=list(codes),
            codes=codes,
            titles=_texts(table, "title"),
            category=_labels(table, "category"),
            brand=_labels(table, "brand"),
            price=_numbers(table, "price", nan),
            available_from=_numbers(table, "available_from", ALWAYS),
            market=_labels(table, "market"),
            min_age=_numbers(table, "min_age", nan),
            margin=_numbers(table, "margin", nan),
            stock=_numbers(table, "stock", nan),
        )

    def description(self, code: int) -> dict[str, Any]:
        """What is known of an item, as the fields of ``Recommendation``."""
        known = {
            "title": self.titles and self.titles[code],
            "category": self.category and self.category.of(code),
            "brand": self.brand and self.brand.of(code),
            "price": None if self.price is None or not isfinite(self.price[code]) else float(self.price[code]),
        }
        return {name: value for name, value in known.items() if value is not None}

    def check(self, filters: Filters) -> None:
        """Raises RequestError for a filter on something that the shop's items do not have."""
        for name, column in FILTERED.items():
            for asked in (name, f"not_{name}"):
                if getattr(filters, asked, None) is not None and getattr(self, column) is None:
                    raise RequestError(f"this bundle's items have no {column} to filter by - at `$.filters.{asked}`")

    def allowed(self, filters: Filters, now: int) -> NDArray[np.bool_] | None:
        """Which items pass, [I], not to be written to; None when nothing was asked for."""
        return self._masks.allowed(filters, now)

    @cached_property
    def _masks(self) -> Masks:
        return Masks(self)


# Lists and not pyarrow's own to_numpy or fill_null: those import pandas where it is installed.


def _texts(table: pa.Table, name: str) -> list[str | None] | None:
    if name not in table.column_names:
        return None
    texts: list[str | None] = table[name].to_pylist()
    return texts


def _labels(table: pa.Table, name: str) -> Labels | None:
    texts = _texts(table, name)
    if texts is None:
        return None
    names = sorted({text for text in texts if text is not None})
    position = {name: code for code, name in enumerate(names)}
    return Labels(np.array([-1 if text is None else position[text] for text in texts], np.int32), names)


def _numbers(table: pa.Table, name: str, missing: float) -> NDArray[Any] | None:
    if name not in table.column_names:
        return None
    numbers = table[name].to_pylist()
    return np.array([missing if number is None else number for number in numbers], type(missing))
