"""Who gets a list, and files that do not say it."""

from __future__ import annotations

from pathlib import Path

import msgspec
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


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_nobody_gets_two_mails(tmp_path: Path, kind: str) -> None:
    for name, ids in (("1", ["ann", "bob"]), ("2", ["cid", "dot", "ann"])):
        path = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({"user_id": ids}), path)
        else:
            path.write_bytes(msgspec.json.Encoder().encode_lines([{"user_id": user} for user in ids]))
    Users(tmp_path / f"1.{kind}").check()
    with pytest.raises(BatchError) as raised:
        Users(tmp_path).check()
    assert str(raised.value) == f"users: {path}, user 3: 'ann' stands there before; keep one row of each"
