from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import msgspec
import pandas as pd
import pytest

from recsys_lab.data.prepare import prepare
from recsys_lab.data.sources import snapshot
from recsys_lab.data.sources.serving_log import ServingLog, candidates, impressions
from recsys_lab.errors import SourceError
from serving_min.events import Kind
from serving_min.sinks.records import AnswerLine, Candidate, EventLine, Line, Shown
from serving_min.sinks.segments import Format, Segments, whole_lines
from serving_min.sinks.upload import Upload
from tests.data.sources.reading import Loaded

NOON = 1_700_049_600


def event(
    identity: str, user: str, item: str, kind: Kind = "view", *, after: int = 0, request: str | None = None
) -> Line:
    return EventLine(identity, user, item, kind, NOON + after, NOON + after + 1, request_id=request)


def answer(request: str, *items: str, after: int = 0) -> Line:
    shown = [Shown(item, place, 1 / place, 0.5 / place, "model") for place, item in enumerate(items, 1)]
    return AnswerLine(request, "ann", "home", "shop-ease", "7", NOON + after, 2, shown, [Candidate("Z", 0.1)])


def write(folder: Path, *lines: Line, format: Format = "jsonl", finish: bool = True) -> None:
    segments = Segments(folder, format=format, clock=lambda: NOON)
    for line in lines:
        segments.append(line.stream, [("", msgspec.json.encode(line))])
    if finish:
        segments.close()


@pytest.fixture(params=["jsonl", "parquet"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two finished segments of each stream, the second with an event that had come before."""
    folder = tmp_path / "log"
    write(
        folder,
        event("1", "ann", "A"),
        event("2", "ann", "B", "click", after=5, request="r1"),
        event("3", "bob", "A", "impression", request="r1"),
        answer("r1", "B", "A"),
        format=request.param,
    )
    write(
        folder,
        event("1", "ann", "A", after=9),
        event("4", "bob", "C", "purchase", after=3),
        event("5", "bob", "B", "dismiss"),
        answer("r0", "A", after=-60),
    )
    return folder


def test_events_each_once_and_as_they_came_first(log: Path) -> None:
    loaded = Loaded(ServingLog(log))
    assert sorted(loaded.query("SELECT user_id, item_id, timestamp, event FROM events")) == [
        ("ann", "A", NOON, "view"),
        ("ann", "B", NOON + 5, "click"),
        ("bob", "C", NOON + 3, "purchase"),
    ]
    assert loaded.dropped == {"events that came twice": 1, "impressions and dismissals": 2}


def test_candidates_have_scores(log: Path) -> None:
    assert candidates(log).to_dict("records") == [
        {"request_id": "r0", "timestamp": NOON - 60, "item_id": "Z", "score": 0.1},
        {"request_id": "r1", "timestamp": NOON, "item_id": "Z", "score": 0.1},
    ]


def test_impressions_have_propensities_and_clicks(log: Path) -> None:
    table = impressions(log)
    assert list(table) == [
        *("request_id", "user_id", "timestamp", "surface", "position", "item_id", "score", "propensity"),
        *("model", "version", "fallback", "clicked"),
    ]
    rows = table[["request_id", "position", "item_id", "propensity", "clicked"]].to_numpy().tolist()
    assert rows == [["r0", 1, "A", 0.5, False], ["r1", 1, "B", 0.5, True], ["r1", 2, "A", 0.25, False]]
    assert set(table["timestamp"]) == {NOON, NOON - 60}


def test_a_segment_that_is_being_written_counts_up_to_its_last_whole_line(tmp_path: Path) -> None:
    write(tmp_path, event("1", "ann", "A"), event("2", "ann", "B"), answer("r1", "A"), finish=False)
    (unfinished,) = tmp_path.glob("events/*/.*.open")
    with unfinished.open("ab") as file:
        file.write(b'{"id": "3", "user": "a')
    assert Loaded(ServingLog(tmp_path)).events("item_id") == [("A",), ("B",)]
    assert len(impressions(tmp_path)) == 1


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_segment_that_is_finished_between_looking_and_reading_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    server = Segments(tmp_path, format=format, clock=lambda: NOON)
    for line in (event("1", "ann", "A"), answer("r1", "A")):
        server.append(line.stream, [("", msgspec.json.encode(line))])

    def late(path: Path) -> bytes:
        server.close()
        return whole_lines(path)

    monkeypatch.setattr(snapshot, "whole_lines", late)
    source = ServingLog(tmp_path)
    assert {file.suffix for file in source.files()} == {f".{format}"}
    assert Loaded(source).events("item_id") == [("A",)]
    assert list(impressions(tmp_path)["request_id"]) == ["r1"]


def test_a_segment_under_both_its_names_is_read_once(tmp_path: Path) -> None:
    """So it is for a moment when it becomes Parquet."""
    write(tmp_path, answer("r1", "A"), finish=False)
    (unfinished,) = tmp_path.glob("answers/*/.*.open")
    unfinished.with_name(unfinished.name[1:].removesuffix(".open")).write_bytes(unfinished.read_bytes())
    assert list(impressions(tmp_path)["request_id"]) == ["r1"]


def test_what_is_written_meanwhile_is_for_the_next_source(tmp_path: Path) -> None:
    server = Segments(tmp_path, clock=lambda: NOON)
    server.append("events", [("", msgspec.json.encode(event("1", "ann", "A")))])
    source = ServingLog(tmp_path)
    fingerprint = source.fingerprint()
    server.append("events", [("", msgspec.json.encode(event("2", "ann", "B")))])
    server.close()
    assert Loaded(source).events("item_id") == [("A",)]
    assert source.fingerprint() == fingerprint
    assert Loaded(ServingLog(tmp_path)).events("item_id") == [("A",), ("B",)]
    (copy,) = source.files()
    del source
    assert not copy.exists()


def test_the_store_that_segments_are_uploaded_to_is_read(log: Path) -> None:
    url = f"memory://{uuid4().hex}/log"
    assert ServingLog(f"file://{log}").files() == ServingLog(log).files()
    fingerprint, shown = ServingLog(log).fingerprint(), impressions(log)
    Upload(log, url).round()
    source = ServingLog(url)
    assert sorted(Loaded(source).query("SELECT item_id FROM events")) == [("A",), ("B",), ("C",)]
    assert source.fingerprint() == fingerprint
    pd.testing.assert_frame_equal(impressions(url), shown)


def test_a_store_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.path: carrier://pigeon cannot be read: .*Protocol not known"):
        ServingLog("carrier://pigeon").files()
    with pytest.raises(SourceError, match=rf"data\.path: {tmp_path}/nowhere does not exist"):
        ServingLog(f"file://{tmp_path}/nowhere").files()
    with pytest.raises(SourceError, match=r"data\.path: no segment in memory://nothing/events"):
        ServingLog("memory://nothing").files()


def test_prepared_with_a_catalogue_and_its_impressions(log: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.parquet"
    pd.DataFrame({"item_id": ["A", "B", "C", "D"], "title": ["Apple", "Ball", "Cat", "Dog"]}).to_parquet(items)
    dataset = prepare(ServingLog(log, items), root=tmp_path / "prepared")
    assert (len(dataset.log), dataset.log.n_items) == (3, 4)
    assert dataset.log.event_names == ("click", "view", "purchase")
    assert len(pd.read_parquet(dataset.folder / "impressions.parquet")) == 3
    assert len(pd.read_parquet(dataset.folder / "candidates.parquet")) == 2


@pytest.mark.parametrize("stream", ["events", "answers"])
@pytest.mark.parametrize("finish", [True, False])
def test_a_damaged_line_is_an_error_that_names_the_segment(tmp_path: Path, stream: str, finish: bool) -> None:
    write(tmp_path, event("1", "ann", "A"), answer("r1", "A"), finish=finish)
    (segment,) = tmp_path.glob(f"{stream}/*/*")
    with segment.open("ab") as file:
        file.write(b"garbage\n")
    final = segment.name.removeprefix(".").removesuffix(".open")
    with pytest.raises(SourceError, match=rf"^{tmp_path}: cannot be read: .*{stream}/date=2023-11-15/{final}\", at"):
        impressions(tmp_path)
    if stream == "events":
        with pytest.raises(SourceError, match=final):
            Loaded(ServingLog(tmp_path))


def test_lines_of_a_later_version_are_read(tmp_path: Path) -> None:
    write(tmp_path, event("1", "ann", "A"))
    (segment,) = tmp_path.glob("events/*/*")
    with segment.open("ab") as file:
        file.write(b'{"id": "2", "user": "ann", "item": "B", "event": "view", "time": 1700049601, "later": [1]}\n')
    assert Loaded(ServingLog(tmp_path)).events("item_id") == [("A",), ("B",)]


def test_no_answers_are_no_impressions(tmp_path: Path) -> None:
    write(tmp_path, event("1", "ann", "A"))
    assert impressions(tmp_path).empty
    assert candidates(tmp_path).empty


def test_a_folder_without_segments(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no segment in .*/events; give the server's log\.folder or log\.url"):
        ServingLog(tmp_path).files()
    with pytest.raises(SourceError, match=r"data\.path: not set"):
        ServingLog().files()
