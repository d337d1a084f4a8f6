from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.dataset import Dataset
from recsys_lab.data.forget import AUDIT, forget
from recsys_lab.data.prepare import prepare
from recsys_lab.data.sources.csv import Csv
from recsys_lab.data.sources.serving_log import ServingLog
from recsys_lab.export.users import prepared_users
from serving_min.pseudonyms import pseudonym
from serving_min.settings import Settings
from serving_min.sinks.eventlog import LogSettings
from serving_min.sinks.records import AnswerLine, EventLine, Shown

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


def test_a_user_leaves_and_the_others_stay_who_they_are(prepared: Dataset) -> None:
    root, folder = prepared.folder.parent, prepared.folder
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    removed = forget("ann", root, Settings(), clock=lambda: NOW)
    assert {Path(where).name: rows for where, rows in removed.items()} == {
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
    assert forget("ann", root, Settings(), clock=lambda: NOW) == {}
    deeds = [json.loads(line) for line in (root / AUDIT).read_text().splitlines()]
    assert [deed["done"]["log"] for deed in deeds] == [4, 0]
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
    removed = forget("ann", tmp_path / "prepared", settings)
    assert removed[str(tmp_path / "log")] == 2
    assert removed[str(dataset.folder / "impressions.parquet")] == 1
    assert pd.read_parquet(dataset.folder / "impressions.parquet")["user_id"].tolist() == ["bob"]
    assert len(Dataset.load(dataset.folder).log) == 1
    assert not [path for path in tmp_path.rglob("*.jsonl") if alias in path.read_text() and path.name != AUDIT]
