"""A user who wants to be forgotten leaves the prepared data and the server's log."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.atomic import replacing
from recsys_lab.data import columns
from serving_min.erasure import Deed, Forgotten, append, hashed
from serving_min.pseudonyms import pseudonym
from serving_min.settings import Settings
from serving_min.sinks.personal import Personal

if TYPE_CHECKING:
    import pyarrow as pa

LOG, USERS = "log.parquet", "users.parquet"
AUDIT = "forgotten.jsonl"  # in the folder of prepared data, where the server's settings name no file


def forget(user: str, prepared: Path, settings: Settings, *, clock: Callable[[], float] = time.time) -> dict[str, int]:
    """Rows removed, by the file or folder that had them.

    Under ``prepared`` a user's row in ``users.parquet`` stays, since users are numbered by it, but says nothing any
    more; all other rows go. Data that came from the server's log know the user under the pseudonym that the
    ``settings``' salt makes. The files that a source reads are the shop's own, and stay as they are. What was done is
    noted in ``settings.doors.audit``.
    """
    names = {user, pseudonym(user, settings.salt)}
    removed: dict[str, int] = {}
    for folder in sorted(path.parent for path in prepared.glob(f"[!.]*/{USERS}")):
        removed |= _forget_in(folder, names)
    if settings.log.folder is not None:
        logged = sum(Personal(Path(settings.log.folder)).remove(name) for name in names)
        removed |= {settings.log.folder: logged} if logged else {}
    done = Forgotten(state=0, log=sum(removed.values()), open=0)
    deed = Deed(int(clock()), f"recsys-lab {getpass.getuser()}", "forget", hashed(user, settings.salt), done)
    prepared.mkdir(parents=True, exist_ok=True)
    append(Path(settings.doors.audit or prepared / AUDIT), deed)
    return removed


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
