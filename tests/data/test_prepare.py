"""Preparation as a whole: found again, whole or not at all, and refused with a reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys_lab.data.cleaning import Cleaning
from recsys_lab.data.lineage import Lineage, LineageStep
from recsys_lab.data.prepare import data_fingerprint, prepare
from recsys_lab.data.sources.csv import Csv
from recsys_lab.data.sources.online_retail import OnlineRetail
from recsys_lab.data.sources.parquet import Parquet
from recsys_lab.data.sources.recbole import RecBole
from recsys_lab.data.step import Step
from recsys_lab.errors import ConfigError, DataError, EmptyDataError, SchemaError
from tests.data.literal import Rows, prepared, table

EVENTS = [("u", "A", 1), ("u", "B", 2), ("v", "A", 3)]
ROOT = Path(__file__).resolve().parents[2]


def test_the_same_data_and_settings_are_prepared_once(tmp_path: Path) -> None:
    first = prepare(Rows(EVENTS), root=tmp_path)
    said: list[str] = []
    second = prepare(Rows(EVENTS), root=tmp_path, progress=said.append)
    assert said == []
    assert (second.folder, second.fingerprint, second.lineage) == (first.folder, first.fingerprint, first.lineage)
    assert table(second) == table(first)
    assert first.folder == tmp_path / f"literal-{first.fingerprint[:12]}"


def test_other_settings_or_other_data_are_another_data_set(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,timestamp\nu,A,1\nu,B,2\n")
    folders = {
        prepare(Csv(log), root=tmp_path).folder,
        prepare(Csv(log), Cleaning(session_gap=9), root=tmp_path).folder,
    }
    log.write_text("user_id,item_id,timestamp\nu,A,1\nu,B,3\n")
    folders.add(prepare(Csv(log), root=tmp_path).folder)
    assert len(folders) == 3
    moved = log.rename(tmp_path / "elsewhere.csv")
    assert prepare(Csv(moved), root=tmp_path).folder in folders


@pytest.mark.parametrize(("reader", "again"), [(Csv, True), (Parquet, True), (RecBole, True), (OnlineRetail, False)])
def test_what_is_read_otherwise_than_at_first_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: type[Any], again: bool
) -> None:
    log = tmp_path / "log.inter"
    log.touch()
    now = data_fingerprint(reader(log), Cleaning())
    monkeypatch.setattr(reader, "reading", 1)
    assert (data_fingerprint(reader(log), Cleaning()) != now) == again


def test_progress_names_the_steps_and_the_lineage_counts_them(tmp_path: Path) -> None:
    said: list[str] = []
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    dataset = prepare(Rows([*EVENTS, ("u", "", 4)]), root=tmp_path, progress=said.append, clock=lambda: now)
    assert said == ["read the files", *(step.name for step in dataset.lineage.steps), "write the tables"]
    assert dataset.lineage.created == "2026-01-02T03:04:05+00:00"
    assert dataset.lineage.settings["session_gap"] == 1800
    ids = next(step for step in dataset.lineage.steps if step.name == "ids")
    assert (ids.rows_in, ids.rows_out, ids.dropped, ids.why) == (4, 3, 1, "the user or item id is empty")


def test_a_finished_folder_holds_the_tables_and_nothing_else(tmp_path: Path) -> None:
    dataset = prepare(Rows(EVENTS), root=tmp_path)
    names = {"dataset.json", "items.parquet", "lineage.json", "log.parquet", "users.parquet"}
    assert {path.name for path in dataset.folder.iterdir()} == names
    assert list(tmp_path.iterdir()) == [dataset.folder]


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(step: str) -> None:
        if step == "items":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(Rows(EVENTS), root=tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_no_prepared_data(tmp_path: Path) -> None:
    root = tmp_path / "prepared"
    root.write_text("a file")
    with pytest.raises(FileExistsError, match="prepared"):
        prepared(root, [("u", "A", 1)])


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_lab.data.prepare.sql_literal", lambda _: "'/dev/full'")
    with pytest.raises(DataError, match=r"log\.parquet: cannot be written: .*No space left"):
        prepare(Rows(EVENTS), root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_never_read_and_removed_by_the_next(tmp_path: Path) -> None:
    log, root = tmp_path / "log.csv", tmp_path / "prepared"
    log.write_text("user_id,item_id,timestamp\nu,A,1\nu,B,2\n")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from recsys_lab.data.prepare import prepare\n"
        "from recsys_lab.data.sources.csv import Csv\n"
        "def kill(step):\n"
        "    if step == 'write the tables':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare(Csv(sys.argv[1]), root=Path(sys.argv[2]), progress=kill)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script, str(log), str(root)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name[:9] for path in root.iterdir()] == [".partial-"]
    dataset = prepare(Csv(log), root=root)
    assert len(dataset.log) == 2
    assert list(root.iterdir()) == [dataset.folder]


@pytest.mark.parametrize(
    ("events", "cleaning", "step"),
    [
        ([("", "A", 1)], Cleaning(), "ids"),
        ([("u", "A", None)], Cleaning(), "times"),
        (EVENTS, Cleaning(min_value=3), "values"),
        (EVENTS, Cleaning(min_user_events=9), "k-core"),
    ],
)
def test_an_empty_result_names_the_step_where_the_rows_went(
    tmp_path: Path, events: list, cleaning: Cleaning, step: str
) -> None:
    message = f"literal: no event is left after the step '{step}': all of the {len(events)} rows"
    with pytest.raises(EmptyDataError, match=message):
        prepare(Rows(events), cleaning, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("events", [("view", "purchse"), ("purchse",)])
def test_an_event_type_to_keep_that_no_event_has_is_refused(tmp_path: Path, events: tuple[str, ...]) -> None:
    rows = [("u", "A", 1, "view"), ("u", "B", 2, "purchase")]
    there = r"there are \['purchase', 'view'\]"
    with pytest.raises(ConfigError, match=rf"data.cleaning.events: no event \['purchse'\] here; {there}"):
        prepare(Rows(rows), Cleaning(events=events), root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_rows_is_empty(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match="literal: the files hold no event"):
        prepare(Rows([]), root=tmp_path)


@pytest.mark.parametrize(("entities", "key"), [("items", "item_id"), ("users", "user_id")])
def test_an_id_that_stands_there_twice_is_named(tmp_path: Path, entities: str, key: str) -> None:
    frame = pd.DataFrame({key: ["B", "A", "B", "C", "C", None, None]})
    message = f"literal: {key} 'B' stands 2 times in raw_{entities}, and so do 1 other ids"
    with pytest.raises(SchemaError, match=message):
        prepared(tmp_path, EVENTS, **{entities: frame})


def test_a_source_that_makes_no_user_column_is_refused(tmp_path: Path) -> None:
    class Broken(Rows):
        def load(self, connection) -> None:
            connection.execute("CREATE TABLE raw_events AS SELECT 1 AS row_id, 'A' AS item_id, 1 AS timestamp")

    with pytest.raises(SchemaError, match="raw_events has no column 'user_id'; it has row_id, item_id, timestamp"):
        prepare(Broken([]), root=tmp_path)


def test_too_many_event_types_are_a_wrong_column(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="the log has 128 event types"):
        prepared(tmp_path, [("u", "A", number, f"kind-{number:03}") for number in range(128)])


def test_a_repeated_step_says_when_it_stopped_early(tmp_path: Path) -> None:
    shrink = Step(
        "shrink", "SELECT * FROM events WHERE row_id > (SELECT min(row_id) FROM events)", "first", repeated=True
    )
    dataset = prepared(tmp_path, [("u", "A", time) for time in range(150)], own_steps=[shrink])
    assert dataset.lineage.steps[0] == LineageStep("shrink", "first; stopped after 100 rounds", 150, 50)


def test_lineage_survives_the_disk(tmp_path: Path) -> None:
    lineage = Lineage("csv", {"a.csv": 3}, {"gap": 5, "events": ["view"]}, (LineageStep("ids", "empty", 5, 3),), "now")
    lineage.save(tmp_path / "lineage.json")
    assert Lineage.load(tmp_path / "lineage.json") == lineage
    assert json.loads((tmp_path / "lineage.json").read_text()) == json.loads(json.dumps(lineage.to_dict()))
    (tmp_path / "lineage.json").write_text('{"source": "csv"}')
    with pytest.raises(DataError, match="is no lineage of this version"):
        Lineage.load(tmp_path / "lineage.json")
