"""The protocols of published tables: leave-one-out, and parts that somebody else assigned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.questions import Questions, build_fold
from recsys_lab.data.split import Splitter
from recsys_lab.errors import SplitError

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Splitter):
    """Each user's last event tests, the one before validates, the rest trains.

    The published protocol for sequence models. It leaks: users' cutoffs differ, so training holds
    events later than many targets. Users with fewer than three events only train. ``refit`` adds
    the validation events to the final training, which published tables do not.
    """

    name: ClassVar[str] = "leave_one_out"
    leaks: ClassVar[bool] = True

    cold_items: Literal["drop", "miss", "announce"] = "miss"
    refit: bool = False
    allow: tuple[str, ...] = ("training-before-targets", "order-of-ties", "whole-log-filters")

    def folds(self, dataset: Dataset) -> tuple[Fold | None, Fold]:
        log = dataset.log
        long_enough = np.diff(log.offsets) >= 3
        if not long_enough.any():
            raise SplitError("split=leave_one_out: no user has three events; use split=time")
        last = log.offsets[1:][long_enough] - 1
        may = self.may_be_target(log)
        before_test, before_valid = np.ones((2, len(log)), np.bool_)
        before_test[last] = before_valid[last] = before_valid[last - 1] = False
        cutoff = int(log.times.max()) + 1
        valid = build_fold(dataset, before_valid, _ask_about(log, last[may[last - 1]] - 1), self, cutoff=cutoff)
        trained = before_test if self.refit else before_valid
        return valid, build_fold(dataset, trained, _ask_about(log, last[may[last]]), self, cutoff=cutoff)


@dataclass(frozen=True, kw_only=True)
class Predefined(Splitter):
    """Events assigned to train, valid and test by a file, for splits that somebody published.

    ``path`` is a CSV or Parquet file with ``user_id, item_id, part`` and, where a user has an item
    twice, ``timestamp``. Events it does not name belong to training. A query's history is all the
    user did before the first of its targets. Whether it leaks is measured by the audit.
    """

    name: ClassVar[str] = "predefined"

    path: str | None = None
    cold_items: Literal["drop", "miss", "announce"] = "miss"
    refit: bool = False

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "path": hashlib.sha256(self._file().read_bytes()).hexdigest()}

    def folds(self, dataset: Dataset) -> tuple[Fold | None, Fold]:
        log = dataset.log
        parts = self._parts(dataset)
        may = self.may_be_target(log)
        test, valid = (np.flatnonzero((parts == part) & may) for part in ("test", "valid"))
        if len(test) == 0:
            raise SplitError(f"split.path: {self.path} names no test event of these data")
        train = parts == "train"
        trained = parts != "test" if self.refit else train
        test_fold = build_fold(dataset, trained, _ask_users(log, test), self, cutoff=_end(log, trained))
        if len(valid) == 0:
            return None, test_fold
        return build_fold(dataset, train, _ask_users(log, valid), self, cutoff=_end(log, train)), test_fold

    def _file(self) -> Path:
        if self.path is None or not Path(self.path).is_file():
            raise SplitError(f"split.path: {self.path!r} is no file; give a CSV or Parquet with user_id, item_id, part")
        return Path(self.path)

    def _parts(self, dataset: Dataset) -> NDArray[np.object_]:
        """The part of each event of the log, [N]."""
        path = self._file()
        given = _read(path)
        missing = {columns.USER, columns.ITEM, "part"} - set(given)
        if missing:
            raise SplitError(f"split.path: {path} lacks {sorted(missing)}; it has {list(given)}")
        strange = set(given["part"].unique()) - {"train", "valid", "test"}
        if strange:
            raise SplitError(f"split.path: parts {sorted(map(str, strange))} are none of train, valid, test")
        log = dataset.log
        events = pd.DataFrame(
            {
                columns.USER: dataset.user_ids[log.users].astype(str),
                columns.ITEM: dataset.catalogue.ids[log.items].astype(str),
                columns.TIME: log.times,
            }
        )
        keys = [name for name in events if name in given]
        if columns.TIME in given:
            given = given.assign(timestamp=_seconds(given[columns.TIME], path))
        given = given.astype({columns.USER: str, columns.ITEM: str}).drop_duplicates(keys, keep="last")
        parts = events.merge(given[[*keys, "part"]], on=keys, how="left")["part"]
        return parts.fillna("train").to_numpy(dtype=object)


def _read(path: Path) -> pd.DataFrame:
    """Ids as they are written: 007 is not 7, and NA is an id like others. Raises SplitError."""
    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={columns.USER: str, columns.ITEM: str}, keep_default_na=False)
    except ValueError as error:  # what pandas and Arrow say of a file in another format
        raise SplitError(f"split.path: {path} cannot be read: {error}") from error


def _seconds(times: pd.Series[Any], path: Path) -> pd.Series[Any]:
    """Times as numbers. Raises SplitError for one that is none."""
    seconds = pd.to_numeric(times.astype(str), errors="coerce")
    if seconds.isna().any():
        first = times[seconds.isna()].iloc[0]
        raise SplitError(f"split.path: {path} has the timestamp {str(first)!r}; write epoch seconds, as 1307095200")
    return seconds


def _ask_about(log: InteractionLog, rows: NDArray[np.int64]) -> Questions:
    """One query per row, from the rows of its user before it, whatever the clock says."""
    return Questions(log.users[rows], rows, log.times[rows], rows, np.arange(len(rows)))


def _ask_users(log: InteractionLog, rows: NDArray[np.int64]) -> Questions:
    """One query per user of ``rows``, from the rows before the first of them."""
    users, first, owners = np.unique(log.users[rows], return_index=True, return_inverse=True)
    return Questions(users, rows[first], log.times[rows[first]], rows, owners)


def _end(log: InteractionLog, rows: NDArray[np.bool_]) -> int:
    return int(log.times[rows].max(initial=0)) + 1
