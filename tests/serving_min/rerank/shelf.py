"""Items and candidates for the tests of rules, small enough to reckon with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from serving_min.bounds import Bounds
from serving_min.items import Items
from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Found

NOBODY = np.zeros(0, np.int32)
DAY = 86_400
NOW = 20_000 * DAY


def items(n: int, **columns: Any) -> Items:
    """Items "0" to "n - 1" with the given columns."""
    table = pa.table({"item_id": [str(code) for code in range(n)], **columns})
    return Items.of(table, Path("items.arrow"))


def facts(n: int, *, vectors: Any = None, popularity: Any = None, **columns: Any) -> Facts:
    rows = None if vectors is None else np.array(vectors, np.float32)
    events = np.zeros(n, np.float32) if popularity is None else np.array(popularity, np.float32)
    return Facts(items(n, **columns), events, None if rows is None else lambda codes: rows[codes])


def found(codes: Sequence[int], scores: Sequence[float] | None = None, *, filled: int = 0) -> Found:
    """The last ``filled`` of them come from the fallback. Without scores they fall from 1 in even steps."""
    size = len(codes)
    if scores is None:
        scores = [1 - place / max(1, size) for place in range(size)]
    late = np.arange(size) >= size - filled
    reasons = ["popular" if by_fallback else "model" for by_fallback in late.tolist()]
    return Found(np.array(codes, np.int32), np.array(scores, np.float32), late, reasons)


def anything(k: int) -> Bounds:
    return Bounds(k, NOBODY)
