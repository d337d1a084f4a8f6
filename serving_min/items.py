"""The item table of a bundle: ids, what the shop shows, and what requests filter by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving_min.content import categories_in
from serving_min.errors import BundleError, RequestError
from serving_min.item_codes import ItemCodes, check_slots, make_slots
from serving_min.mapped import forget_pages, map_file
from serving_min.masks import Masks
from serving_min.messages import Filters, Recommendation
from serving_min.texts import Texts, UnmappedTexts, one_piece, valid

SLOTS_FILE = "item_codes.npy"  # beside items.arrow
NO_FILTERS = Filters()
FEW_LABELS = 8
MOST_DESCRIBED = 100_000  # items whose description is kept at hand
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
        return self.labelled([code for name in wanted for code in self.with_part.get(name, ())])

    def labelled(self, wanted: list[int]) -> NDArray[np.bool_]:
        """The same for their codes."""
        if len(wanted) <= FEW_LABELS:  # to compare is quicker than to look up
            among = np.zeros(len(self.codes), np.bool_)
            for code in wanted:
                among |= self.codes == code
            return among
        chosen = np.zeros(len(self.names) + 1, np.bool_)  # the last place is for code -1
        chosen[wanted] = True
        return chosen[self.codes]

    @cached_property
    def with_part(self) -> dict[str, list[int]]:
        """The codes of labels by what they name: "a|b" is a and b, and "a|b"."""
        codes: dict[str, list[int]] = {}
        for code, name in enumerate(self.names):
            for part in {name, *categories_in(name)}:
                codes.setdefault(part, []).append(code)
        return codes

    @cached_property
    def position(self) -> dict[str, int]:
        """Code by name."""
        return {name: code for code, name in enumerate(self.names)}


@dataclass(frozen=True)
class Items:
    """I items by code. Columns that the shop does not have are None. Those of a file stay there, mapped."""

    ids: Texts
    codes: ItemCodes
    titles: Texts | None
    category: Labels | None
    brand: Labels | None
    price: NDArray[np.float64] | None  # NaN = unknown
    available_from: NDArray[np.int64] | None
    market: Labels | None = None  # where it is sold, "DE|FR"; -1 = everywhere
    min_age: NDArray[np.float64] | None = None  # years that a buyer must have; NaN = any age
    margin: NDArray[np.float64] | None = None  # what one sale earns; NaN = unknown
    stock: NDArray[np.float64] | None = None  # pieces; NaN = unknown
    shown: NDArray[np.bool_] | None = None  # what may be in any list; None = all

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, path: Path) -> Items:
        """Raises BundleError when ids are missing or double, or a column is of another type."""
        mapped = map_file(path)
        buffer = pa.py_buffer(mapped)
        table = pa.ipc.open_file(pa.BufferReader(buffer)).read_all()
        table.validate(full=True)  # Arrow trusts the offsets of a file, and would read beyond its end
        _check_types(table, path)
        slots = np.asarray(np.load(path.with_name(SLOTS_FILE), mmap_mode="r", allow_pickle=False))
        items = cls.of(table, path, slots)
        if "title" in table.column_names:
            items = replace(items, titles=UnmappedTexts.or_mapped(one_piece(table["title"]), path, buffer))
        forget_pages(mapped)
        return items

    @classmethod
    def of(cls, table: pa.Table, path: Path, slots: NDArray[np.int32] | None = None) -> Items:
        """The rows of a table that came from ``path``. Raises what ``read`` does."""
        _check_types(table, path)
        ids = Texts(one_piece(table["item_id"]))
        if (blank := ids.first_null) is not None:
            raise BundleError(f"{path}: item_id of row {blank} is null")
        if slots is None:
            slots = make_slots([ids.at(code) for code in range(len(ids))])
        if wrong := check_slots(slots, ids):
            raise BundleError(f"{path.with_name(SLOTS_FILE)}: {wrong}")
        return cls(
            ids=ids,
            codes=ItemCodes(ids, slots),
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

    def description(self, code: int) -> Recommendation:
        """What the shop shows of an item, without a score or a reason."""
        known = self._described.get(code)
        if known is None:
            if len(self._described) >= MOST_DESCRIBED:
                self._described.clear()
            known = self._described[code] = self._describe(code)
        return known

    def _describe(self, code: int) -> Recommendation:
        known = {
            "title": self.titles and self.titles[code],
            "category": self.category and self.category.of(code),
            "brand": self.brand and self.brand.of(code),
            "price": None if self.price is None or not isfinite(self.price[code]) else float(self.price[code]),
        }
        fields: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        return Recommendation(self.ids.at(code), 0.0, "", **fields)

    @cached_property
    def _described(self) -> dict[int, Recommendation]:
        return {}

    def check(self, filters: Filters) -> None:
        """Raises RequestError for a filter on something that the shop's items do not have."""
        if filters == NO_FILTERS:
            return
        for name, column in FILTERED.items():
            for asked in (name, f"not_{name}"):
                if getattr(filters, asked, None) is not None and getattr(self, column) is None:
                    raise RequestError(f"this bundle's items have no {column} to filter by - at `$.filters.{asked}`")

    def allowed(self, filters: Filters, now: int) -> NDArray[np.bool_] | None:
        """Which items pass, [I], not to be written to; None when nothing was asked for."""
        if filters == NO_FILTERS:
            return self.shown
        return self._masks.allowed(filters, now)

    @cached_property
    def _masks(self) -> Masks:
        return Masks(self)


def _check_types(table: pa.Table, path: Path) -> None:
    for name in COLUMNS.keys() & set(table.column_names):
        kind = table.schema.field(name).type
        if kind != COLUMNS[name]:
            raise BundleError(f"{path}: {name} is {kind}, not {COLUMNS[name]}")
    if "item_id" not in table.column_names:
        raise BundleError(f"{path}: no column item_id; it has {table.column_names}")


# Buffers and not pyarrow's own to_numpy or fill_null: those import pandas where it is installed.


def _texts(table: pa.Table, name: str) -> Texts | None:
    return Texts(one_piece(table[name])) if name in table.column_names else None


def _labels(table: pa.Table, name: str) -> Labels | None:
    if name not in table.column_names:
        return None
    column = one_piece(table[name]).dictionary_encode()
    return Labels(_filled(column.indices, -1), column.dictionary.to_pylist())


def _numbers(table: pa.Table, name: str, missing: float) -> NDArray[Any] | None:
    return _filled(one_piece(table[name]), missing) if name in table.column_names else None


def _filled(column: pa.Array, missing: float) -> NDArray[Any]:
    """The numbers where they lie, or a copy of them with ``missing`` in place of nulls."""
    numbers = np.frombuffer(column.buffers()[1] or b"", str(column.type), len(column))
    return np.where(valid(column), numbers, numbers.dtype.type(missing)) if column.null_count else numbers
