"""The prepared users as a batch job reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys_lab.atomic import replacing
from recsys_lab.data.dataset import Dataset

LATEST = 200  # events of each user
ROWS_PER_GROUP = 50_000


def prepared_users(dataset: Dataset) -> Path:
    """The file of all users of a prepared data set, beside its tables; written once."""
    path = dataset.folder / "histories.parquet"
    if not path.exists():
        with replacing(path) as partial:
            write_users(dataset, partial)
    return path


def write_users(dataset: Dataset, path: Path, *, latest: int = LATEST) -> None:
    """A Parquet file with ``user_id``, ``history`` (item, event, time; oldest first) and ``user``, their attributes.

    Only users with events, in the order of their codes, with their ``latest`` events.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    log = dataset.log
    histories = log.histories(0).last(latest)
    active = np.flatnonzero(histories.lengths)
    histories = histories.take(active)
    events = pa.StructArray.from_arrays(
        [
            pa.array(dataset.catalogue.ids[histories.items], pa.string()),
            pa.array(np.array(log.event_names, dtype=object)[histories.events], pa.string()),
            pa.array(histories.times, pa.int64()),
        ],
        ["item", "event", "time"],
    )
    attributes = [
        [(name, values[code]) for (name, values), code in zip(log.attribute_names, codes, strict=True) if code]
        for codes in log.attributes[active].tolist()
    ]
    table = pa.table(
        {
            "user_id": pa.array(dataset.user_ids[active], pa.string()),
            "history": pa.LargeListArray.from_arrays(histories.offsets, events),
            "user": pa.array(attributes, pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP)
