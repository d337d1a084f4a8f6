"""The server is killed: what it knew of its users and what it wrote down is there when the next one starts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx

from recsys_lab.data.sources.serving_log import impressions
from serving_min.sinks.segments import finished
from tests.serving_min.process import running
from tests.serving_min.state.stores import RedisServer


def test_state_and_log_outlive_the_process(bundles: dict[str, Path], redis_server: RedisServer, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    options = ("--log", str(folder), "--redis", redis_server.url)
    events = [{"id": str(number), "user": "ann", "item": "D", "event": "view"} for number in range(20)]
    with running(bundles["neighbours"], *options) as server, httpx.Client(base_url=server.address) as client:
        for event in events:
            assert client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        answer = client.post("/v1/recommend", json={"user_id": "ann", "k": 2}).json()
        assert [item["id"] for item in answer["items"]] == ["E", "A"]
        deadline = time.monotonic() + 10
        while client.get("/readyz").json()["log"]["written"] < 21 and time.monotonic() < deadline:
            time.sleep(0.01)
        server.process.kill()
        server.process.wait()
    assert list(finished(folder)) == []
    (unfinished,) = folder.glob("events/*/.*.open")
    with unfinished.open("ab") as file:
        file.write(b'{"id":"torn","us')
    with running(bundles["neighbours"], *options) as server, httpx.Client(base_url=server.address) as client:
        again = client.post("/v1/recommend", json={"user_id": "ann", "k": 2}).json()
        assert again["items"] == answer["items"]
        assert client.post("/v1/events", json={"events": events}).json()["duplicates"] == 20
        assert server.terminate() == 0
    lines = [json.loads(line) for path in finished(folder) for line in path.read_text().splitlines()]
    twice = [event["id"] for event in (*events, *events)]
    assert [line["id"] for line in lines if "id" in line] == twice, "nobody can tell what the first process wrote"
    assert list(impressions(folder)["item_id"]) == ["E", "A", "E", "A"]
