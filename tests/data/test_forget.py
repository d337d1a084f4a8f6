from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.dataset import Dataset
from recsys_lab.data.forget import AUDIT, Erased, forget
from recsys_lab.data.prepare import prepare
from recsys_lab.data.sources.csv import Csv
from recsys_lab.data.sources.serving_log import ServingLog
from recsys_lab.errors import EmptyDataError, SourceError
from recsys_lab.export.users import prepared_users
from serving_min.pseudonyms import pseudonym
from serving_min.settings import Settings
from serving_min.sinks.eventlog import LogSettings
from serving_min.sinks.personal import lines_of
from serving_min.sinks.records import AnswerLine, EventLine, Shown
from serving_min.sinks.segments import Segments, finished
from serving_min.sinks.upload import Upload

EVENTS = """user_id,item_id,timestamp
ann,A,1
bob,A,2
ann,B,3
cat,C,4
bob,C,5
"""
NOW = 1_700_000_000


@pytest.fixture
def prepared(tmp_path: Path) -> Dataset:
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "users.csv").write_text("user_id,country\nann,Atlantis\nbob,DE\ncat,UK\n")
    source = Csv(tmp_path / "events.csv", users_path=tmp_path / "users.csv")
    dataset = prepare(source, root=tmp_path / "prepared")
    prepared_users(dataset)
    return dataset


def test_data_whose_users_are_all_forgotten_are_empty(prepared: Dataset) -> None:
    for user in ("ann", "bob", "cat"):
        forget(user, prepared.folder.parent, Settings(), clock=lambda: NOW)
    with pytest.raises(EmptyDataError, match="are forgotten"):
        Dataset.load(prepared.folder)


def test_a_user_leaves_and_the_others_stay_who_they_are(prepared: Dataset) -> None:
    root, folder = prepared.folder.parent, prepared.folder
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    erased = forget("ann", root, Settings(), clock=lambda: NOW)
    assert {Path(where).name: rows for where, rows in erased.rows.items()} == {
        "histories.parquet": 1,
        "log.parquet": 2,
        "users.parquet": 1,
    }
    after = Dataset.load(folder)
    ann = prepared.user_ids.tolist().index("ann")
    assert after.user_ids.tolist() == [f"forgotten-{ann}" if name == "ann" else name for name in prepared.user_ids]
    others = prepared.log.users != ann
    np.testing.assert_array_equal(after.log.users, prepared.log.users[others])
    np.testing.assert_array_equal(after.log.items, prepared.log.items[others])
    assert after.log.attributes[ann].tolist() == [0]
    assert pd.read_parquet(folder / "histories.parquet")["user_id"].tolist() == ["bob", "cat"]
    for path in folder.glob("*.parquet"):
        frame = pd.read_parquet(path)
        assert "ann" not in frame.to_csv(), path.name
        assert "Atlantis" not in frame.to_csv(), path.name
    assert (folder / "items.parquet").read_bytes() == before["items.parquet"]
    assert forget("ann", root, Settings(), clock=lambda: NOW) == Erased({})
    deeds = [json.loads(line) for line in (root / AUDIT).read_text().splitlines()]
    assert [deed["done"]["log"] for deed in deeds if "done" in deed] == [4, 0]
    assert deeds[0]["time"] == NOW
    assert "ann" not in (root / AUDIT).read_text()


def test_the_servers_log_and_what_was_made_of_it(tmp_path: Path) -> None:
    settings = Settings.read(salt="long enough", log={"folder": str(tmp_path / "log")}, doors={"audit": None})
    alias = pseudonym("ann", settings.salt)

    async def write() -> None:
        log = LogSettings(folder=settings.log.folder).open()
        log.start()
        for number, user in enumerate((alias, "bob")):
            log.write(EventLine(str(number), user, "A", "click", NOW, NOW, request_id=f"r{number}"))
            log.write(AnswerLine(f"r{number}", user, "home", "m", "1", NOW, 0, [Shown("A", 1, 0.5, 1.0, "model")]))
        await log.stop()

    asyncio.run(write())
    dataset = prepare(ServingLog(tmp_path / "log"), root=tmp_path / "prepared")
    removed = forget("ann", tmp_path / "prepared", settings).rows
    assert removed[str(tmp_path / "log")] == 2
    assert removed[str(dataset.folder / "impressions.parquet")] == 1
    assert pd.read_parquet(dataset.folder / "impressions.parquet")["user_id"].tolist() == ["bob"]
    assert len(Dataset.load(dataset.folder).log) == 1
    assert not [path for path in tmp_path.rglob("*.jsonl") if alias in path.read_text() and path.name != AUDIT]


def line(identity: str, user: str) -> tuple[str, bytes]:
    return user, msgspec.json.encode(EventLine(identity, user, "A", "click", NOW, NOW))


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_the_store_and_what_a_killed_server_left_are_looked_at_too(
    tmp_path: Path, format: Literal["jsonl", "parquet"]
) -> None:
    folder, url = tmp_path / "log", f"file://{tmp_path}/store"
    settings = Settings.read(log={"folder": str(folder), "url": url, "format": format})
    uploaded = Segments(folder, format=format)
    uploaded.append("events", [line("1", "ann"), line("2", "bob")])
    uploaded.close()
    assert Upload(folder, url).round() == 1
    killed = Segments(folder)
    killed.append("events", [line("3", "ann"), line("4", "bob")])
    os.close(killed._open["events"]._descriptor)  # and with it the lock
    running = Segments(tmp_path / "other")  # which would take the killed one's segment, were it to start here
    running.folder = folder
    running.append("events", [line("5", "ann")])
    assert forget("ann", tmp_path / "prepared", settings) == Erased({str(folder): 2}, open=1)
    running.close()
    assert forget("ann", tmp_path / "prepared", settings) == Erased({str(folder): 1})
    left = [*finished(folder), *finished(tmp_path / "store")]
    found = [lines_of(path.read_bytes(), path.suffix, user) for path in left for user in ("ann", "bob")]
    assert sorted(row["id"] for rows in found for row in rows) == ["2", "4"]
    deeds = [json.loads(line) for line in (tmp_path / "prepared" / AUDIT).read_text().splitlines()]
    assert [deed["done"]["open"] for deed in deeds[1::2]] == [1, 0]
    assert ["done" in deed for deed in deeds] == [False, True] * 2, "what was begun, and what was done"


def test_a_log_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"log: .*nowhere: no such folder"):
        forget("ann", tmp_path, Settings.read(log={"folder": str(tmp_path / "nowhere")}))
