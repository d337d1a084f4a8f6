"""A named SQL step: how preparation says what it did, and why rows left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """One ``SELECT`` over the tables so far; its result becomes ``table``, replacing one of that name.

    Portable SQL only, so that the same steps run on another engine: integer epoch seconds, no
    engine-specific function, and an ORDER BY in a window always ends with ``row_id``.
    ``why`` completes the sentence "rows are dropped because …"; ``scope`` says whether dropping them
    takes a look at the whole log (a k-core does), which a time split's audit must know. A
    ``repeated`` step, over ``events`` alone, runs again until no row leaves.
    """

    name: str
    sql: str
    why: str = ""
    table: str = "events"
    scope: Literal["row", "past", "whole_log"] = "row"
    repeated: bool = False
