"""Who gets a list, and files that do not say it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving_min.batch.users import Users
from serving_min.errors import BatchError


def test_columns_under_other_names(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"uid": ["ann"], "history": [["A"]]}), path)
    with pytest.raises(BatchError) as raised:
        len(Users(path))
    assert str(raised.value) == (
        f"users: {path} has no column 'user_id', but uid, history; "
        "the columns that are read are user_id, history, user, exclude"
    )
