"""A training log and its catalogue as RecBole sees them: tables of codes, row and code 0 for nobody and unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError

USER, ITEM, TIME = "user_id", "item_id", "timestamp"
USUAL = (columns.CATEGORY, columns.BRAND, columns.TEXT)
WORDS = (columns.TITLE, columns.TEXT)
LONGEST_TEXT = 20  # words of it that count


@dataclass(frozen=True)
class Column:
    """``values`` has one entry per row: a code, a number, or for ``token_seq`` an array of codes.

    ``kind`` is RecBole's name for that; ``size`` is the number of codes (1 for numbers), 0 among them.
    """

    values: Any
    kind: Literal["token", "token_seq", "float"]
    size: int


Table = dict[str, Column]


def events_table(log: InteractionLog) -> Table:
    """Who touched what, in the log's order: the time is the place in the user's history.

    RecBole holds times as float32, which would tell no two events of the same two minutes apart.
    """
    places = np.arange(len(log)) - log.offsets[log.users]
    return {
        USER: Column(log.users.astype(np.int64) + 1, "token", log.n_users + 1),
        ITEM: Column(log.items.astype(np.int64) + 1, "token", log.n_items + 1),
        TIME: Column(places.astype(np.float64), "float", 1),
    }


def users_table(log: InteractionLog) -> Table:
    """The users' attributes, whose code 0 is unknown already."""
    table = {USER: Column(np.arange(log.n_users + 1), "token", log.n_users + 1)}
    for column in range(log.attributes.shape[1]):
        codes = np.append(0, log.attributes[:, column]).astype(np.int64)
        table[f"user_attribute_{column}"] = Column(codes, "token", int(codes.max()) + 1)
    return table


def items_table(catalogue: Catalogue, fields: Sequence[str] | None) -> Table:
    """The catalogue's ``fields``: titles and texts as words, numbers as numbers, the rest as one code each.

    None takes category, brand and text where they are there. A missing number is the mean.
    Raises ConfigError for a field that the catalogue lacks.
    """
    there = [name for name in catalogue.frame if name != columns.ITEM]
    missing = [name for name in fields or () if name not in there]
    if missing:
        raise ConfigError(f"item_fields: the catalogue has no {missing[0]!r}; it has {there}")
    table = {ITEM: Column(np.arange(len(catalogue) + 1), "token", len(catalogue) + 1)}
    for name in [name for name in USUAL if name in there] if fields is None else fields:
        table[name] = _described(catalogue, name)
    return table


def _described(catalogue: Catalogue, name: str) -> Column:
    if name in WORDS:
        return _words(catalogue, name)
    if pd.api.types.is_numeric_dtype(catalogue.frame[name]):
        numbers = catalogue.numbers(name)
        mean = float(np.nanmean(numbers)) if np.isfinite(numbers).any() else 0.0
        return Column(np.append(mean, np.where(np.isnan(numbers), mean, numbers)), "float", 1)
    codes, names = catalogue.categories(name)
    return Column(np.append(0, codes).astype(np.int64), "token", len(names))


def _words(catalogue: Catalogue, name: str) -> Column:
    texts = [str(text).lower().split()[:LONGEST_TEXT] for text in catalogue.strings(name)]
    codes = {word: code for code, word in enumerate(sorted({word for text in texts for word in text}), 1)}
    # at least one code per row, for an empty sequence has no shape that RecBole could stack
    rows = [np.array([codes[word] for word in text] or [0], np.int64) for text in ([], *texts)]
    return Column(rows, "token_seq", len(codes) + 1)
