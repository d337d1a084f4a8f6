from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving_min.engine import Engine
from serving_min.errors import StartError
from serving_min.exposition import Exposition, Snapshot
from serving_min.laps import Batch, Stage, lap, timed
from serving_min.messages import Answer, Fallback
from serving_min.meters import Counter, Gauge, Histogram, Meters, Tally
from serving_min.observation import Observation
from serving_min.settings import Settings
from serving_min.shop import Shop


def answer(surface: str, fallback: Fallback | None = None, unknown: int = 0) -> Answer:
    return Answer([], "r", surface, "m", "1", fallback, ["x"] * unknown, [])


def samples(page: bytes) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_what_prometheus_reads() -> None:
    meters = Meters()
    meters.watch(Gauge("recsys_queue", "Waiting.", lambda: {(): 3}))
    meters.answered(answer("home"), 0.004, items=3)
    meters.answered(answer("home", "empty history"), 0.1, items=0)
    meters.answered(answer("home", unknown=2), 7.0, items=5)
    page, kind = Exposition(meters).page("")
    assert kind.startswith("text/plain")
    read = samples(page)
    assert read["recsys_request_seconds_bucket{le=0.002,surface=home}"] == 0
    assert read["recsys_request_seconds_bucket{le=0.005,surface=home}"] == 1
    assert read["recsys_request_seconds_bucket{le=0.1,surface=home}"] == 2, "a bound is part of its bucket"
    assert read["recsys_request_seconds_bucket{le=2.0,surface=home}"] == 2
    assert read["recsys_request_seconds_bucket{le=+Inf,surface=home}"] == 3
    assert read["recsys_request_seconds_count{surface=home}"] == 3
    assert read["recsys_request_seconds_sum{surface=home}"] == pytest.approx(7.104)
    assert read["recsys_fallbacks_total{surface=home,why=empty history}"] == 1
    assert (read["recsys_history_items_total{}"], read["recsys_unknown_items_total{}"]) == (8, 2)
    assert read["recsys_queue{}"] == 3
    assert "openmetrics" in Exposition(meters).page("application/openmetrics-text; version=1.0.0")[1]


def test_what_is_rare_is_shown_before_it_happens() -> None:
    read = samples(Exposition(Meters()).page("")[0])
    assert (read["recsys_events_total{outcome=accepted}"], read["recsys_events_total{outcome=duplicate}"]) == (0, 0)
    assert (read["recsys_refusals_total{status=500}"], read["recsys_refusals_total{status=503}"]) == (0, 0)
    assert {name for name in read if "cache" in name} == {
        f"recsys_cache_total{{outcome={outcome}}}" for outcome in ("hit", "joined", "miss", "never kept")
    }


def test_processes_that_share_a_folder_answer_for_each_other(tmp_path: Path) -> None:
    def server(waiting: int, version: int) -> Meters:
        meters = Meters()
        meters.watch(
            Gauge("waiting", "", lambda: {(): waiting}),
            Gauge("v", "", lambda: {(): version}, together=max),
            Gauge("reachable", "", lambda: {(): float(version == 7)}, together=min),
            Tally("lost", "", lambda: {(): waiting}),
        )
        return meters

    async def scenario() -> None:
        here, there = server(1, 7), server(2, 5)
        one, other = Exposition(here, tmp_path, seconds=0.01), Exposition(there, tmp_path)
        other._own = "1.json"  # the process that it would be
        here.answered(answer("home"), 0.004, items=1)
        there.answered(answer("home"), 0.004, items=1)
        await other.start()
        await asyncio.sleep(0)
        there.answered(answer("cart"), 0.004, items=1)
        await other.stop()
        read = samples(one.page("")[0])
        assert read["recsys_request_seconds_count{surface=home}"] == 2
        assert read["recsys_request_seconds_count{surface=cart}"] == 1, "the last word counts"
        assert (read["waiting{}"], read["v{}"], read["reachable{}"], read["lost_total{}"]) == (3, 7, 0, 3)
        left = json.loads((tmp_path / "1.json").read_text())
        (tmp_path / "1.json").write_text(json.dumps({**left, "time": time.time() - 60}))
        read = samples(one.page("")[0])
        assert read["recsys_request_seconds_count{surface=home}"] == 2, "counters never fall"
        assert (read["waiting{}"], read["reachable{}"]) == (1, 1), "nobody waits in a process that ended"
        assert read["lost_total{}"] == 3, "what is lost stays lost"
        (tmp_path / "2.json").write_text("{")
        assert samples(one.page("")[0]) == read, "a file that cannot be read hides nobody else's"

    asyncio.run(scenario())


def test_what_all_processes_look_at_is_not_added_up(engine: Callable[[str], Engine], tmp_path: Path) -> None:
    one, other = (Shop(engine("static"), Settings(meters=str(tmp_path))).observation.exposition for _ in range(2))
    other._own = "1.json"
    other._write(tmp_path)
    read = samples(one.page("")[0])
    assert read["recsys_state_reachable{}"] == 1
    assert read["recsys_model{model=test-static,role=live,version=1}"] == 1


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_none_ends_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch(0o700)
    with pytest.raises(StartError, match=rf"meters: .*{name}: no folder that can be written to"):
        Observation.of(Settings(meters=str(tmp_path / name)))


def test_a_folder_that_went_away_is_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        exposition = Exposition(Meters(), tmp_path / "gone", seconds=0.01)
        await exposition.start()
        await asyncio.sleep(0.05)
        assert exposition.page("")[0]
        (tmp_path / "gone").mkdir()
        await exposition.stop()
        assert [path.suffix for path in (tmp_path / "gone").iterdir()] == [".json"]

    asyncio.run(scenario())
    assert "No such file or directory" in caplog.text


def test_snapshots_have_one_value_for_each_bucket() -> None:
    meters = Meters()
    meters.own = [Counter("c", ""), Histogram("h", "", bounds=(1.0, 2.0))]
    counter, histogram = meters.own
    assert isinstance(counter, Counter)
    assert isinstance(histogram, Histogram)
    counter.add(by=2)
    for value in (0.5, 1.5, 9.0, 9.0):
        histogram.observe(value)
    snapshot = Exposition(meters).snapshot()
    assert isinstance(snapshot, Snapshot)
    assert snapshot.counted == {"c": [((), [2])], "h": [((), [1, 1, 2, 20.0])]}


def test_laps_are_stages() -> None:
    lap("encode")  # nobody times it
    batch = timed()
    lap("encode")
    lap("retrieve")
    assert [stage for stage, _ in batch.laps] == ["encode", "retrieve"]
    assert timed().laps == []
    assert len(batch.laps) == 2
    laps: list[tuple[Stage, float]] = [("encode", 3.0), ("retrieve", 3.5), ("encode", 4.5), ("json", 4.5)]
    assert Batch(1.0, laps).by_stage() == {"encode": 3.0, "retrieve": 0.5, "json": 0.0}
