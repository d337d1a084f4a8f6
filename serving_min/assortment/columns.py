"""The item table of a bundle with more rows, and with some rows changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.assortment.changes import ItemEntry
from serving_min.item_codes import ItemCodes
from serving_min.items import ALWAYS, Items, Labels
from serving_min.texts import Texts


class MoreTexts(Texts):
    """``first`` with some rows ``changed`` and ``more`` rows after it; "" is null."""

    def __init__(self, first: Texts, changed: Mapping[int, str], more: Sequence[str]) -> None:
        self.first, self.changed, self.more = first, changed, more

    def __len__(self) -> int:
        return len(self.first) + len(self.more)

    def __getitem__(self, row: int) -> str | None:
        if row in self.changed or row >= len(self.first):
            return self.at(row) or None
        return self.first[row]

    def at(self, row: int) -> str:
        if row in self.changed:
            return self.changed[row]
        return self.first.at(row) if row < len(self.first) else self.more[row - len(self.first)]

    def is_at(self, row: int, text: bytes) -> bool:
        return self.at(row).encode() == text


class MoreCodes(ItemCodes):
    """``first`` with ``more`` ids, whose codes follow."""

    def __init__(self, first: ItemCodes, ids: Texts, more: Sequence[str]) -> None:
        self.first, self.ids, self.recent = first, ids, first.recent
        self.more = {item: len(first) + number for number, item in enumerate(more)}

    def _find(self, item: str) -> int:
        code = self.more.get(item)  # not among the recent ones: other tables have other codes
        return self.first._find(item) if code is None else code

    def __iter__(self) -> Iterator[str]:
        yield from self.first
        yield from self.more


def with_rows(items: Items, changed: Mapping[int, ItemEntry], more: Sequence[ItemEntry]) -> Items:
    """The table with the rows of ``changed`` (by code) replaced and ``more`` appended. Columns that the shop did not
    have stay unknown."""
    ids = MoreTexts(items.ids, {}, [entry.id for entry in more])

    def texts(column: Texts | None, name: str) -> Texts | None:
        new = {code: getattr(entry, name) for code, entry in changed.items()}
        return None if column is None else MoreTexts(column, new, [getattr(entry, name) for entry in more])

    def labels(column: Labels | None, name: str) -> Labels | None:
        if column is None:
            return None
        position = dict(column.position)
        codes = np.concatenate([column.codes, np.full(len(more), -1, np.int32)])
        for code, entry in [*changed.items(), *enumerate(more, len(column.codes))]:
            label = getattr(entry, name)
            codes[code] = position.setdefault(label, len(position)) if label else -1
        return Labels(codes, list(position))

    def numbers(column: NDArray[Any] | None, name: str, missing: float) -> NDArray[Any] | None:
        if column is None:
            return None
        longer = np.concatenate([column, np.full(len(more), missing, column.dtype)])
        for code, entry in [*changed.items(), *enumerate(more, len(column))]:
            value = getattr(entry, name)
            longer[code] = missing if value is None else value
        return longer

    return replace(
        items,
        ids=ids,
        codes=MoreCodes(items.codes, ids, ids.more),
        titles=texts(items.titles, "title"),
        category=labels(items.category, "category"),
        brand=labels(items.brand, "brand"),
        price=numbers(items.price, "price", nan),
        available_from=numbers(items.available_from, "available_from", ALWAYS),
        market=labels(items.market, "market"),
        min_age=numbers(items.min_age, "min_age", nan),
        margin=numbers(items.margin, "margin", nan),
        stock=numbers(items.stock, "stock", nan),
    )
