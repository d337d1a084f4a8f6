"""A prepared data set: the log as arrays, the catalogue, and where they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.lineage import Lineage
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.steps import ITEM_AGGREGATES
from recsys_lab.errors import DataError, EmptyDataError

FORMAT = 1
KEYS = {"format", "name", "fingerprint", "order_only", "event_names", "attribute_names"}


@dataclass(frozen=True)
class Dataset:
    """U users, I items and N events, codes by first event and then id.

    ``catalogue`` has all items, those without an event last, with ``first_seen`` (its first event,
    epoch seconds, NaN if none) and ``available_from`` (NaN where the shop does not say). Both, and
    the codes, come from the whole log: a split decides what may be known when. What the log counts
    per item and user is in ``items.parquet`` and ``users.parquet`` and not here, since it tells the
    future. ``order_only`` data have positions for times.
    """

    name: str
    log: InteractionLog
    catalogue: Catalogue
    user_ids: NDArray[np.object_]  # [U] of str, by code
    fingerprint: str
    lineage: Lineage
    order_only: bool
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Read what ``prepare`` wrote. Raises DataError when the folder holds something else or is damaged, and
        EmptyDataError when all its users are forgotten."""
        from pyarrow import ArrowException

        described = _described(folder)
        names = tuple((name, tuple(values)) for name, values in described["attribute_names"])
        try:
            users = pd.read_parquet(folder / "users.parquet")
            items = pd.read_parquet(folder / "items.parquet")
            log = _read_log(
                folder / "log.parquet",
                attributes=_attribute_codes(users, names),
                n_items=len(items),
                event_names=tuple(described["event_names"]),
                attribute_names=names,
            )
        except (OSError, ArrowException) as error:
            raise DataError(f"{folder}: is damaged ({error}); remove it and prepare again") from error
        if len(log) == 0:
            raise EmptyDataError(f"{folder}: all users that had events are forgotten")
        return cls(
            name=described["name"],
            log=log,
            catalogue=Catalogue(items.drop(columns=list(ITEM_AGGREGATES))),
            user_ids=users[columns.USER].to_numpy(dtype=object),
            fingerprint=described["fingerprint"],
            lineage=Lineage.load(folder / "lineage.json"),
            order_only=described["order_only"],
            folder=folder,
        )


def describe_folder(
    folder: Path,
    *,
    name: str,
    fingerprint: str,
    order_only: bool,
    event_names: list[str],
    attribute_names: list[tuple[str, list[str]]],
) -> None:
    """Write ``dataset.json``: what ``load`` has to know before it reads the tables."""
    described = {
        "format": FORMAT,
        "name": name,
        "fingerprint": fingerprint,
        "order_only": order_only,
        "event_names": event_names,
        "attribute_names": attribute_names,
    }
    (folder / "dataset.json").write_text(json.dumps(described, indent=2))


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.is_file():
        raise DataError(f"{folder}: no dataset.json here; give the folder that data prepare wrote")
    try:
        described: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: is damaged; remove its folder and prepare again") from error
    if described.get("format") != FORMAT or described.keys() != KEYS:
        raise DataError(f"{path}: is of another version; remove its folder and prepare again")
    return described


def _read_log(path: Path, **described: Any) -> InteractionLog:
    from pyarrow import parquet

    table = parquet.read_table(path)

    def read(column: str, dtype: type) -> NDArray[Any]:
        values: NDArray[Any] = table.column(column).to_numpy()
        return values.astype(dtype, copy=False)

    return InteractionLog(
        users=read(columns.USER_CODE, np.int32),
        items=read(columns.ITEM_CODE, np.int32),
        times=read(columns.TIME, np.int64),
        events=read(columns.EVENT_CODE, np.int8),
        values=read(columns.VALUE, np.float32),
        weights=read(columns.WEIGHT, np.float32),
        sessions=read(columns.SESSION_CODE, np.int32),
        baskets=read(columns.BASKET_CODE, np.int32),
        **described,
    )


def _attribute_codes(users: pd.DataFrame, names: tuple[tuple[str, tuple[str, ...]], ...]) -> NDArray[np.int32]:
    """Codes [U, A] of the attributes in ``users``, 0 where unknown."""
    codes = np.zeros((len(users), len(names)), np.int32)
    for column, (name, values) in enumerate(names):
        codes[:, column] = pd.Categorical(users[name], categories=values[1:]).codes + 1
    return codes
