from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from serving_min.sinks.eventlog import LogSettings, Removed
from serving_min.sinks.personal import Personal
from serving_min.sinks.records import AnswerLine, EventLine, Shown
from serving_min.sinks.segments import Segments, finished

SHOWN = [Shown("A", 1, 0.5, 1.0, "model")]


def event(identity: str, user: str) -> EventLine:
    return EventLine(identity, user, "A", "view", 1, 2)


def answer(identity: str, user: str) -> AnswerLine:
    return AnswerLine(identity, user, "home", "m", "1", 1, 0, SHOWN)


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_user_is_found_and_removed_everywhere(
    tmp_path: Path, format: Literal["jsonl", "parquet"], stored: bool
) -> None:
    url = f"file://{tmp_path}/store" if stored else None

    async def scenario() -> None:
        log = LogSettings(folder=str(tmp_path / "log"), url=url, format=format).open()
        log.start()
        for line in (event("1", "ann"), event("2", "bob"), event("3", 'ann"b'), answer("r1", "ann"), event("4", "ann")):
            log.write(line)
        assert await log.find("nobody") == {"answers": [], "events": []}  # and so the segments are finished
        if log.upload is not None:
            log.upload.round()  # unless the thread was sooner
            assert len(log.upload.uploaded()) == 2
        log.write(event("5", "ann"))
        log.write(event("6", "anna"))
        found = await log.find("ann")
        assert [line["id"] for line in found["events"]] in (["1", "4", "5"], ["5", "1", "4"])
        assert [line["request_id"] for line in found["answers"]] == ["r1"]
        assert await log.remove("ann") == Removed(lines=4, open=0)
        assert await log.remove("ann") == Removed()
        assert await log.find("ann") == {"events": []}
        assert [line["id"] for line in (await log.find('ann"b'))["events"]] == ["3"]
        log.write(event("7", "ann"))
        await log.stop()

    asyncio.run(scenario())
    left = [*finished(tmp_path / "log"), *finished(tmp_path / "store")]
    assert not [path for path in left if path.parent.parent.name == "answers"], "a segment without a line goes"
    if format == "jsonl":
        ids = [json.loads(line)["id"] for path in left for line in path.read_text().splitlines()]
        assert sorted(ids) == ["2", "3", "6", "7"]


def test_two_who_leave_at_once_both_leave(tmp_path: Path) -> None:
    users = [f"user {number}" for number in range(8)]

    async def scenario() -> None:
        log = LogSettings(folder=str(tmp_path)).open()
        log.start()
        for number in range(400):
            log.write(event(str(number), users[number % 8]))
        removed = await asyncio.gather(*(log.remove(user) for user in users[:7]))
        assert [one.lines for one in removed] == [50] * 7
        await log.stop()

    asyncio.run(scenario())
    (left,) = finished(tmp_path)
    assert {json.loads(line)["user"] for line in left.read_text().splitlines()} == {"user 7"}


def test_other_processes_segments_are_read_and_reported(tmp_path: Path) -> None:
    async def scenario() -> None:
        here, there = (LogSettings(folder=str(tmp_path)).open() for _ in range(2))
        for number, log in enumerate((here, there)):
            log.start()
            log.write(event(str(number), "ann"))
        await asyncio.sleep(0.3)
        assert [line["id"] for line in (await here.find("ann"))["events"]] == ["0", "1"]
        assert await here.remove("ann") == Removed(lines=1, open=1)
        await there.stop()
        assert await here.remove("ann") == Removed(lines=1, open=0)
        await here.stop()

    asyncio.run(scenario())
    assert [*finished(tmp_path)] == []


def test_of_a_segment_that_is_being_written_whole_lines_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(tmp_path)
    segments.append("events", [("ann", msgspec.json.encode(event("1", "ann")))])
    personal = Personal(tmp_path)
    (path,) = personal.open()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-9])
    assert [line["id"] for line in personal.find("ann")["events"]] == ["1"]
    path.write_bytes(whole)
    listed = personal._segments

    def finished_meanwhile() -> Any:
        segments.close()
        return listed()

    monkeypatch.setattr(personal, "_segments", finished_meanwhile)
    assert [line["id"] for line in personal.find("ann")["events"]] == ["1"]
    assert personal.open() == set()


def test_a_damaged_line_that_names_the_user_is_shown_and_goes(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    lines = [msgspec.json.encode(event("1", "ann")), b'{"id":"2","user":"ann","it', b'{"id":"3","user":"bob","it']
    segments.append("events", [("", line) for line in lines])
    segments.close()
    personal = Personal(tmp_path)
    whole, damaged = personal.find("ann")["events"]
    assert (whole["id"], damaged) == ("1", {"damaged": '{"id":"2","user":"ann","it'})
    assert personal.remove("ann") == 2
    assert personal.find("ann") == {"events": []}
    assert len(personal.find("bob")["events"]) == 1
