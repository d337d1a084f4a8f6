"""The prepared users as a batch job reads them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from recsys_lab.atomic import replacing
from recsys_lab.data.dataset import Dataset
from recsys_lab.errors import ConfigError
from serving_min.items import Items
from serving_min.manifest import read_manifest
from serving_min.reading import reading

LOG = logging.getLogger(__name__)
LATEST = 200  # events of each user
ROWS_PER_GROUP = 50_000


def prepared_users(dataset: Dataset) -> Path:
    """The file of all users of a prepared data set, beside its tables; written once."""
    path = dataset.folder / "histories.parquet"
    if not path.exists():
        with replacing(path) as partial:
            write_users(dataset, partial)
    return path


def must_fit(dataset: Dataset, folder: Path) -> None:
    """Whether these are users of the bundle's shop. Raises ConfigError when it knows none of their items; warns when it
    was made from other data, as it was where there are newer ones, BundleError when its items cannot be read."""
    made_from = read_manifest(folder).fingerprints.data
    if dataset.fingerprint == made_from:
        return
    with reading(folder / "items.arrow") as path:
        known = Items.read(path).codes
    if not any(item in known for item in dataset.catalogue.ids):
        raise ConfigError(
            f"data: {dataset.name} has none of the items of {folder}; name the data that it was made from, as in "
            "data=csv data.path=log.csv, or the users: --users FILE"
        )
    if made_from:
        LOG.warning(
            "the users are those of %s %s, and the bundle was made from %s: well if they are newer, else name its data",
            *(dataset.name, dataset.fingerprint[:12], made_from[:12]),
        )


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
