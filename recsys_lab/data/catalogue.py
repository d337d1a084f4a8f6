"""The items that a model may know, row i describing item code i."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.errors import SchemaError


@dataclass(frozen=True, eq=False)
class Catalogue:
    """A table with one row per item code: ``item_id`` and whichever attributes the shop has.

    The standard columns (title, text, category, brand, price, …) may be absent; ask with
    ``strings`` and ``numbers``, which answer with blanks then. Raises SchemaError when ids are
    missing or not unique.
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        if columns.ITEM not in self.frame:
            raise SchemaError(f"catalogue: column {columns.ITEM!r} is missing; it has {list(self.frame)}")
        if not self.frame[columns.ITEM].is_unique:
            twice = self.frame[columns.ITEM][self.frame[columns.ITEM].duplicated()].iloc[0]
            raise SchemaError(f"catalogue: item_id {twice!r} stands there twice; keep one row per item")

    @classmethod
    def of_ids(cls, ids: list[str]) -> Catalogue:
        """A catalogue that knows nothing but the ids."""
        return cls(pd.DataFrame({columns.ITEM: pd.Series(ids, dtype="str")}))

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        return cls(pd.read_parquet(path))

    def save(self, path: Path) -> None:
        self.frame.to_parquet(path, index=False)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def ids(self) -> NDArray[np.object_]:
        """External ids by code, [I] of str."""
        return self.frame[columns.ITEM].to_numpy(dtype=object)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code by external id."""
        return {item: code for code, item in enumerate(self.ids)}

    def strings(self, column: str) -> NDArray[np.object_]:
        """A text attribute by code, [I] of str, "" where it is unknown."""
        if column not in self.frame:
            return np.full(len(self), "", dtype=object)
        values = self.frame[column]
        return values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A numeric attribute by code, [I], NaN where it is unknown."""
        if column not in self.frame:
            return np.full(len(self), np.nan)
        return self.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)

    def vectors(self, column: str) -> NDArray[np.float32]:
        """A column of lists of numbers by code, [I, D]; zeros where it is unknown, D = 0 where it is missing.

        Raises SchemaError when the lists are of different lengths.
        """
        given: Any = self.frame.get(column, [])
        rows = [code for code, value in enumerate(given) if isinstance(value, list | tuple | np.ndarray)]
        lengths = {len(given[code]) for code in rows}
        if len(lengths) > 1:
            raise SchemaError(f"catalogue: {column} holds lists of {sorted(lengths)} numbers; make them one length")
        found = np.zeros((len(self), lengths.pop() if lengths else 0), np.float32)
        for code in rows:
            found[code] = given[code]
        return found

    def categories(self, column: str = columns.CATEGORY) -> tuple[NDArray[np.int32], list[str]]:
        """A categorical attribute as codes [I] and its names; code 0 is "" (unknown)."""
        values = self.strings(column)
        names = ["", *sorted({str(value) for value in values if value})]
        position = {name: code for code, name in enumerate(names)}
        return np.array([position[value] for value in values], dtype=np.int32), names

    def take(self, codes: NDArray[np.int32]) -> Catalogue:
        """The given items, recoded to 0 … in the given order."""
        return Catalogue(self.frame.iloc[codes].reset_index(drop=True))

    def without(self, column: str) -> Catalogue:
        """The same items, one attribute less; nothing changes when it is not there."""
        return Catalogue(self.frame.drop(columns=column, errors="ignore"))
