from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.errors import StartError
from serving_min.events import Batch, Receipt, Reported
from serving_min.messages import Request
from serving_min.sinks.eventlog import LogSettings
from serving_min.sinks.segments import finished
from serving_min.state.memory import MemoryStore
from serving_min.state.recall import remember
from serving_min.state.settings import StateSettings
from serving_min.state.store import Touch
from serving_min.visitors import Visitors
from tests.serving_min.state.stores import arrival

NOW = 1_700_000_000


def test_events_reach_the_state_and_the_log_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = LogSettings(folder=str(tmp_path)).open()
        visitors = Visitors(StateSettings().open(), log, clock=lambda: NOW + 0.9)
        await visitors.start()
        batch = Batch(
            [
                Reported("1", "ann", "A", "click", NOW - 60, surface="home", request_id="r1", position=2),
                Reported("2", "ann", "X", "view"),
                Reported("2", "ann", "X", "view"),
                Reported("3", "ann", "B", "cart", NOW + 3_600),
                Reported("4", "ann", "B", "impression"),
            ]
        )
        assert await visitors.report(batch, "AB") == Receipt(accepted=4, duplicates=1, unknown_items=2)
        assert await visitors.report(batch, "AB") == Receipt(accepted=0, duplicates=5, unknown_items=2)
        expected = [Touch("A", "click", NOW - 60), Touch("X", "view", NOW), Touch("B", "cart", NOW)]
        assert await visitors.touches("ann") == expected, "a clock that is ahead is not believed"
        assert await visitors.forget("ann") == 3
        assert await visitors.touches("ann") == []
        await visitors.stop()

    asyncio.run(scenario())
    (segment,) = finished(tmp_path)
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    assert [(line["id"], line["event"], line["time"]) for line in lines] == [
        ("1", "click", NOW - 60),
        ("2", "view", NOW),
        ("3", "cart", NOW),
        ("4", "impression", NOW),
    ]
    assert lines[0]["surface"] == "home"
    assert (lines[0]["request_id"], lines[0]["position"], lines[0]["received"]) == ("r1", 2, NOW)


def test_what_a_process_kept_and_died_before_it_was_logged_is_logged_when_it_comes_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        shared = MemoryStore(clock=lambda: NOW)
        await shared.add([arrival("1", "A"), arrival("2", "")])
        visitors = Visitors(shared, LogSettings(folder=str(tmp_path)).open(), clock=lambda: NOW)
        await visitors.start()
        batch = Batch([Reported("1", "ann", "A", "view"), Reported("2", "ann", "B", "impression")])
        for _ in range(2):
            assert await visitors.report(batch, "AB") == Receipt(accepted=0, duplicates=2, unknown_items=0)
        await visitors.stop()

    asyncio.run(scenario())
    (segment,) = finished(tmp_path)
    assert [json.loads(line)["id"] for line in segment.read_text().splitlines()] == ["1", "2"]


def test_with_a_salt_no_id_is_written_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        visitors = Visitors(log=LogSettings(folder=str(tmp_path)).open(), salt="pepper")
        await visitors.start()
        await visitors.report(Batch([Reported("1", "ann@example.org", "A", "view")]), "A")
        assert [touch.item for touch in await visitors.touches("ann@example.org")] == ["A"]
        assert await visitors.store.read("ann@example.org") == []
        await visitors.stop()

    asyncio.run(scenario())
    (segment,) = finished(tmp_path)
    user = json.loads(segment.read_text())["user"]
    assert (len(user), user) == (32, Visitors(salt="pepper").alias("ann@example.org"))
    assert user != Visitors(salt="salt").alias("ann@example.org")


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    assert not LogSettings().open().wanted
    with pytest.raises(StartError, match="`url` needs `folder`"):
        LogSettings(url="s3://bucket").open()
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"log: .*file: .*; choose a folder to write to"):
        LogSettings(folder=str(tmp_path / "file")).open()
    with pytest.raises(StartError, match=r"kafka: .*no\.such\.setting"):
        LogSettings(kafka="host:9092", librdkafka={"no.such.setting": 1}).open()
    with pytest.raises(StartError, match="redis: 'nowhere' is no address"):
        StateSettings(redis="nowhere").open()


kinds = st.sampled_from(["view", "click", "cart", "purchase", "dismiss", "impression"])
reported = st.builds(
    Reported,
    id=st.sampled_from("12345"),
    user=st.sampled_from(["ann", "bob"]),
    item=st.sampled_from("ABX"),
    event=kinds,
    time=st.none() | st.integers(NOW - 100, NOW + 100),
)


@given(st.lists(st.lists(reported, max_size=5), max_size=5), st.sampled_from([("view", "purchase"), ("rating",)]))
def test_whatever_is_reported_each_id_counts_once(batches: list[list[Reported]], vocabulary: tuple[str, ...]) -> None:
    async def scenario() -> None:
        visitors = Visitors(clock=lambda: NOW)
        first: dict[str, Reported] = {}
        for batch in batches:
            receipt = await visitors.report(Batch(batch), "AB")
            fresh = {event.id for event in batch} - first.keys()
            assert (receipt.accepted, receipt.duplicates) == (len(fresh), len(batch) - len(fresh))
            first = {event.id: event for event in reversed(batch)} | first
        for user in ("ann", "bob"):
            touches = await visitors.touches(user)
            mine = [event for event in first.values() if event.user == user and event.event != "impression"]
            assert sorted(touch.item for touch in touches) == sorted(event.item for event in mine)
            assert [touch.time for touch in touches] == sorted(touch.time for touch in touches)
            remembered = remember(Request(), touches, kinds=vocabulary, now=NOW, keep=False)
            assert remembered.recalled == {event.item for event in remembered.request.history}
            assert {event.event for event in remembered.request.history} <= {*vocabulary, None}
            assert set(remembered.request.exclude) >= {
                item for item, share in remembered.dismissed.items() if share > 0.5
            }

    asyncio.run(scenario())
