"""A user who wants to be forgotten leaves the prepared data and the server's log."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from recsys_lab.atomic import replacing
from recsys_lab.data import columns
from recsys_lab.errors import SourceError
from serving_min.audit import Audit, Deed, Forgotten
from serving_min.pseudonyms import pseudonym
from serving_min.settings import Settings
from serving_min.sinks.eventlog import LogSettings, Removed
from serving_min.sinks.personal import Personal
from serving_min.sinks.segments import Segment
from serving_min.sinks.upload import Upload

if TYPE_CHECKING:
    import pyarrow as pa

LOG, USERS = "log.parquet", "users.parquet"
AUDIT = "forgotten.jsonl"  # in the folder of prepared data, where the server's settings name no file


@dataclass(frozen=True)
class Erased:
    """``rows`` removed, by the file or folder that had them. ``open`` segments of the log, which a running server
    writes, may hold more."""

    rows: dict[str, int]
    open: int = 0


def forget(user: str, prepared: Path, settings: Settings, *, clock: Callable[[], float] = time.time) -> Erased:
    """What can be removed is.

    Under ``prepared`` a user's row in ``users.parquet`` stays, since users are numbered by it, but says nothing any
    more; all other rows go. Data that came from the server's log know the user under the pseudonym that the
    ``settings``' salt makes. The log is the folder's and the store's, with the segments that a killed server left. The
    files that a source reads are the shop's own, and stay as they are. What was done is noted in
    ``settings.doors.audit``. Raises SourceError, before anything is removed, where the log's folder is not there.
    """
    names = {user, pseudonym(user, settings.salt)}
    if settings.log.folder is not None and not Path(settings.log.folder).is_dir():
        raise SourceError(f"log: {settings.log.folder}: no such folder; start this where the server was started")
    prepared.mkdir(parents=True, exist_ok=True)
    audit = Audit(Path(settings.doors.audit or prepared / AUDIT), settings.salt)
    deed = Deed(int(clock()), f"recsys-lab {getpass.getuser()}", "forget", audit.hashed(user))
    audit.write(deed)
    rows: dict[str, int] = {}
    for folder in sorted(path.parent for path in prepared.glob(f"[!.]*/{USERS}")):
        rows |= _forget_in(folder, names)
    logged = _forget_logged(settings.log, names)
    rows |= {str(settings.log.folder): logged.lines} if logged.lines else {}
    done = Forgotten(state=0, log=sum(rows.values()), open=logged.open)
    audit.write(replace(deed, time=int(clock()), done=done))
    return Erased(rows, logged.open)


def _forget_logged(settings: LogSettings, names: set[str]) -> Removed:
    if settings.folder is None:
        return Removed()
    folder = Path(settings.folder)
    personal = Personal(folder, None if settings.url is None else Upload(folder, settings.url))
    for path in personal.open():
        if (left := Segment.left_behind(path)) is not None:
            left.finish(settings.format)
    return Removed(sum(personal.remove(name) for name in names), len(personal.open()))


def _forget_in(folder: Path, names: set[str]) -> dict[str, int]:
    from pyarrow import parquet

    removed = {}
    users = parquet.read_table(folder / USERS)
    codes = np.flatnonzero(np.isin(users[columns.USER].to_numpy(zero_copy_only=False), [*names]))
    for path in sorted(folder.glob("*.parquet")):
        table = users if path.name == USERS else parquet.read_table(path)
        if path.name == USERS:
            kept = _blank(table, codes)
        elif path.name == LOG:
            kept = _without(table, columns.USER_CODE, codes.tolist())
        elif columns.USER in table.column_names:
            kept = _without(table, columns.USER, [*names])
        else:
            continue
        rows = len(codes) if path.name == USERS else len(table) - len(kept)
        if rows:
            with replacing(path) as partial:
                parquet.write_table(kept, partial)
            removed[str(path)] = rows
    return removed


def _without(table: pa.Table, column: str, values: list[int] | list[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import compute

    kind = table.schema.field(column).type
    return table.filter(compute.invert(compute.is_in(table[column], pa.array(values, kind))))


def _blank(table: pa.Table, codes: NDArray[np.int64]) -> pa.Table:
    """Rows that say nothing: an id of their own, and nulls."""
    import pyarrow as pa
    from pyarrow import compute

    mine = np.zeros(len(table), np.bool_)
    mine[codes] = True
    blanks = pa.array([f"forgotten-{code}" for code in range(len(table))], pa.string())
    blanked = {
        name: compute.if_else(pa.array(mine), blanks if name == columns.USER else None, table[name])
        for name in table.column_names
    }
    return pa.table(blanked, schema=pa.schema([field.with_nullable(True) for field in table.schema]))
