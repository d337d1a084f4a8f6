"""Counting, keeping, guarding and forgetting, through the application as it is put together."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.audit import Forgotten
from serving_min.bundle import Bundle
from serving_min.doors import DoorSettings
from serving_min.drift import Reference, Spread
from serving_min.engine import Engine
from serving_min.erasure import Erasure
from serving_min.errors import BundleError, StartError
from serving_min.fleet.settings import FleetSettings
from serving_min.keys import hashed
from serving_min.manifest import read_manifest
from serving_min.routes.admin import create_admin_app
from serving_min.routes.supervised import BACK
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.visitors import Visitors
from serving_min.workers.forwarding import Forwarder
from tests.serving_min.handmade import NOW, seal

Serve = Callable[..., Any]


@pytest.fixture
def serve(bundles: dict[str, Path]) -> Serve:
    """A client of the vector bundle's server with these settings."""

    @contextmanager
    def serve(folder: Path | None = None, **options: Any) -> Iterator[TestClient]:
        engine = Engine(Bundle.load(folder or bundles["vector"]), clock=lambda: NOW)
        with TestClient(create_app(Shop(engine, Settings.read(**options))), raise_server_exceptions=False) as client:
            yield client

    return serve


def metrics(client: TestClient, **headers: str) -> dict[str, float]:
    page = client.get("/metrics", headers=headers)
    assert page.status_code == 200
    found = {}
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            found[" ".join([sample.name, *(f"{name}={value}" for name, value in sample.labels.items())])] = sample.value
    return found


def test_what_happened_can_be_scraped(serve: Serve) -> None:
    with serve() as client:
        client.post("/v1/recommend", json={"history": ["A", "nothing"]})
        client.post("/v1/recommend", json={})
        client.get("/v1/similar/A")
        client.get("/nowhere")
        client.post("/v1/recommend", json={"k": 0})
        batch = {"events": [{"id": "1", "user": "ann", "item": "A", "event": "view"}]}
        client.post("/v1/events", json=batch)
        client.post("/v1/events", json=batch)
        read = metrics(client)
    assert read["recsys_request_seconds_count surface=recommend"] == 2
    assert read["recsys_request_seconds_count surface=similar"] == 1
    for stage in ("understand", "encode", "retrieve", "rerank", "json"):
        assert read[f"recsys_stage_seconds_count stage={stage} surface=recommend"] >= 1
    assert read["recsys_fallbacks_total surface=recommend why=empty history"] == 1
    assert (read["recsys_history_items_total"], read["recsys_unknown_items_total"]) == (3, 1)
    assert (read["recsys_refusals_total status=404"], read["recsys_refusals_total status=422"]) == (1, 1)
    assert (read["recsys_events_total outcome=accepted"], read["recsys_events_total outcome=duplicate"]) == (1, 1)
    assert read["recsys_cache_total outcome=miss"] == 3
    assert (read["recsys_queue"], read["recsys_state_reachable"]) == (0, 1)
    assert read["recsys_model model=test-vector role=live version=1"] == 1


def test_kept_answers_differ_in_their_id_alone(serve: Serve) -> None:
    body = {"history": ["A"], "k": 2}
    with serve(cache={"seconds": 60}) as client:
        first, second = (client.post("/v1/recommend", json={**body, "request_id": name}) for name in ('"a"', "b"))
        assert (first.json()["request_id"], second.json()["request_id"]) == ('"a"', "b")
        assert {**first.json(), "request_id": ""} == {**second.json(), "request_id": ""}
        client.post("/v1/recommend", json={**body, "k": 3})
        client.post("/v1/similar", json={**body, "item": "A"})
        assert metrics(client)["recsys_cache_total outcome=miss"] == 3
        assert metrics(client)["recsys_cache_total outcome=hit"] == 1


def test_an_event_makes_another_request_of_it(serve: Serve, tmp_path: Path) -> None:
    with serve(cache={"seconds": 60}, log={"folder": str(tmp_path)}) as client:
        lists = []
        for user, event in (("ann", None), ("bob", None), ("ann", "D"), ("ann", None)):
            if event is not None:
                said = {"id": user + event, "user": user, "item": event, "event": "view"}
                client.post("/v1/events", json={"events": [said]})
            answer = client.post("/v1/recommend", json={"user_id": user, "k": 2}).json()
            lists.append([item["id"] for item in answer["items"]])
        assert lists == [["B", "D"], ["B", "D"], ["E", "A"], ["E", "A"]]
        read = metrics(client)
        assert (read["recsys_cache_total outcome=hit"], read["recsys_cache_total outcome=miss"]) == (2, 2)
    (segment,) = tmp_path.glob("answers/date=*/*.jsonl")
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    assert [line["user"] for line in lines] == ["ann", "bob", "ann", "ann"]
    assert len({line["request_id"] for line in lines}) == 4
    assert lines[0]["shown"] == lines[1]["shown"]


def test_others_may_keep_what_depends_on_no_user(serve: Serve) -> None:
    with serve(cache={"public": 30}) as client:
        first = client.get("/v1/similar/A")
        assert first.headers["Cache-Control"] == "public, max-age=30"
        tag = first.headers["ETag"]
        again = client.get("/v1/similar/A", headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        for held in ("*", " * ", tag.removeprefix("W/"), f'"other",{tag.removeprefix("W/")}'):
            assert client.get("/v1/similar/A", headers={"If-None-Match": held}).status_code == 304
        assert client.get("/v1/similar/B", headers={"If-None-Match": tag}).status_code == 200
        assert client.get("/v1/similar/A", params={"k": 1}).headers["ETag"] != tag
        assert "ETag" not in client.post("/v1/similar", json={"item": "A"}).headers


def test_nobody_keeps_what_came_too_late(bundles: dict[str, Path]) -> None:
    engine = Engine(Bundle.load(bundles["vector"]), clock=lambda: NOW, timer=lambda: inf)
    with TestClient(create_app(Shop(engine))) as client:
        for held in ({}, {"If-None-Match": "*"}):
            answer = client.get("/v1/similar/A", headers=held)
            assert (answer.status_code, answer.json()["fallback"]) == (200, "the deadline has passed")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "ETag" not in answer.headers


def test_a_user_can_see_what_is_kept_and_be_forgotten(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    entries = [("boss", "b", "admin"), ("shop", "s", "read"), ("web", "w", "events")]
    keys.write_text(
        "".join(f'[[keys]]\nname="{name}"\nsha256="{hashed(key)}"\nroles=["{role}"]\n' for name, key, role in entries)
    )
    audit = tmp_path / "audit.jsonl"
    boss, shop, web = ({"Authorization": f"Bearer {key}"} for key in "bsw")
    options = {"doors": {"keys": str(keys), "audit": str(audit)}, "log": {"folder": str(tmp_path / "log")}}
    with serve(**options, salt="long enough", cache={"seconds": 60}) as client:
        for user in ("ann\n/b", "bob"):
            event = {"id": user, "user": user, "item": "A", "event": "view"}
            assert client.post("/v1/events", json={"events": [event]}, headers=web).json()["accepted"] == 1
            assert client.post("/v1/recommend", json={"user_id": user}, headers=shop).status_code == 200
        assert client.get("/v1/users/ann%0A%2Fb/export").status_code == 401
        assert client.delete("/v1/users/ann%0A%2Fb", headers=web).status_code == 403
        answer = client.get("/v1/users/ann%0A%2Fb/export", headers=boss)
        kept = answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
        assert (kept["user"], kept["state"]) == ("ann\n/b", [["A", "view", NOW]])
        assert [line["item"] for line in kept["log"]["events"]] == ["A"]
        assert [line["surface"] for line in kept["log"]["answers"]] == ["recommend"]
        assert client.delete("/v1/users/ann%0A%2Fb", headers=boss).json() == {"state": 1, "log": 2, "open": 0}
        assert client.delete("/v1/users/", headers=boss).status_code == 404, "nobody is no user"
        kept = client.get("/v1/users/ann%0A%2Fb/export", headers=boss).json()
        assert (kept["state"], kept["log"]) == ([], {"answers": [], "events": []})
        assert len(client.get("/v1/users/bob/export", headers=boss).json()["log"]["events"]) == 1
        assert metrics(client, **shop)["recsys_refusals_total status=403"] == 1
    deeds = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(deed["by"], deed["deed"]) for deed in deeds] == [
        ("boss", "export"),
        ("boss", "forget"),
        ("boss", "forget"),
        ("boss", "export"),
        ("boss", "export"),
    ]
    assert [deed.get("done") for deed in deeds[1:3]] == [None, {"state": 1, "log": 2, "open": 0}]
    assert deeds[0]["user"] == deeds[1]["user"] == deeds[2]["user"] != deeds[4]["user"]
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"ann" not in everything


def test_while_the_state_store_is_away_nobody_is_half_forgotten(serve: Serve, tmp_path: Path) -> None:
    with serve(state={"redis": "redis://127.0.0.1:1/0"}, log={"folder": str(tmp_path)}) as client:
        event = {"id": "1", "user": "ann", "item": "A", "event": "view"}
        assert client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        refused = client.delete("/v1/users/ann")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        kept = client.get("/v1/users/ann/export").json()
        assert (len(kept["state"]), len(kept["log"]["events"])) == (1, 1)


def test_without_a_record_nobody_is_shown_or_forgotten(serve: Serve, tmp_path: Path) -> None:
    audit = tmp_path / "audit" / "audit.jsonl"
    options = {"doors": {"audit": str(audit)}, "log": {"folder": str(tmp_path / "log")}}
    with (
        pytest.raises(StartError, match=r"doors: audit: .*audit.jsonl: No such file or directory; choose"),
        serve(**options),
    ):
        pass
    assert not audit.parent.exists()
    audit.parent.mkdir()
    with serve(**options) as client:
        event = {"id": "1", "user": "ann", "item": "A", "event": "view"}
        client.post("/v1/events", json={"events": [event]}).raise_for_status()
        shutil.rmtree(audit.parent)
        for refused in (client.delete("/v1/users/ann"), client.get("/v1/users/ann/export")):
            assert refused.status_code == 503
            assert refused.json()["error"].startswith("the audit cannot be written")
        audit.parent.mkdir()
        assert client.delete("/v1/users/ann").json() == {"state": 1, "log": 1, "open": 0}
    assert len(audit.read_text().splitlines()) == 2, "what was begun, and what was done"


def test_what_was_derived_from_a_user_goes_too_and_the_process_says_so(caplog: pytest.LogCaptureFixture) -> None:
    forgotten: list[str] = []
    erasure = Erasure(Visitors(), clock=lambda: NOW, forgotten=lambda: forgotten.append("cache"))
    assert asyncio.run(erasure.forget("ann", "boss")) == Forgotten(0, 0, 0)
    assert forgotten == ["cache"]
    (record,) = caplog.records
    assert record.getMessage().endswith("by boss"), "where no file is named, the audit is in the log"
    assert "ann" not in record.getMessage()


def test_operators_have_keys_too(bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    entry = 'keys = [{{name="{0}", sha256="{1}", roles=["{0}"]}}]'.format
    for role, status in (("read", 403), ("admin", 200)):
        monkeypatch.setenv("SERVING_KEYS", entry(role, hashed("k")))
        client = TestClient(create_admin_app(Shop(Engine(Bundle.load(bundles["static"])))))
        assert client.get("/admin/fleet").status_code == 401
        assert client.get("/admin/fleet", headers={"Authorization": "Bearer k"}).status_code == status


def test_the_access_log_names_routes_and_no_users(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "serving_min.access")
    with serve(logging={"access": 1.0}) as client:
        client.post("/v1/recommend", json={"user_id": "ann"})
        client.get("/v1/similar/A")
        client.get("/v1/users/ann/export")
        client.post("/v1/ann")
    said = [record.getMessage().split() for record in caplog.records if record.name == "serving_min.access"]
    assert [line[1:3] for line in said] == [
        ["/v1/{surface}", "200"],
        ["/v1/{surface}/{item_id:id}", "200"],
        ["/v1/users/{user:id}/export", "200"],
        ["/v1/{surface}", "422"],
    ]


def test_pages_of_other_origins_may_ask_where_they_are_listed(serve: Serve) -> None:
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    with serve() as client:
        assert "access-control-allow-origin" not in client.get("/v1/similar/A", headers=asks).headers
    with serve(doors={"origins": ["https://shop.example"]}) as client:
        assert client.options("/v1/recommend", headers=asks).headers["access-control-allow-origin"] == asks["Origin"]
        response = client.get("/v1/similar/A", headers=asks)
        assert response.headers["access-control-allow-origin"] == asks["Origin"]
        other = client.get("/v1/similar/A", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    with pytest.raises(StartError, match="origins"):
        Settings.read(doors={"origins": ["*"]})


FOREIGN = {"Origin": "https://evil.example"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (FOREIGN, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "https://testserver"}, 200),
        ({"Origin": "https://behind-a-proxy", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}, 200),
    ],
    ids=str,
)
def test_what_a_page_of_another_origin_sends_is_not_done(serve: Serve, headers: dict[str, str], status: int) -> None:
    with serve(doors={"origins": ["https://shop.example"]}) as client:
        sent = client.post("/v1/recommend", json={}, headers=headers)
        assert sent.status_code == status
        if status == 403:
            assert "`doors.origins` names those that may" in sent.json()["error"]
        assert client.delete("/v1/users/ann", headers=headers).status_code == status
        batch = {"events": [{"id": "1", "user": "ann", "item": "A", "event": "view"}]}
        assert client.post("/v1/events", json=batch, headers=headers).status_code == 200
        for path in ("/tracker.js", "/v1/similar/A"):
            assert client.get(path, headers=headers).status_code == 200


def test_pages_of_other_origins_are_no_operators(engine: Callable[[str], Engine]) -> None:
    alone = create_admin_app(Shop(engine("static")))
    for app in (alone, Forwarder([], Path(), FleetSettings()).app(DoorSettings())):
        headers = {**FOREIGN, "Content-Type": "text/plain"}
        assert TestClient(app).post("/admin/items", content='{"hide": ["A"]}', headers=headers).status_code == 403


def test_the_supervisor_alone_sends_a_worker_back(bundles: dict[str, Path]) -> None:
    old, new = bundles["vector"], bundles["static"]
    shop, back = Shop(Engine(Bundle.load(old)), path=new), {"bundle": str(old)}
    with TestClient(create_app(shop)):  # it starts and stops the shop
        worker = TestClient(create_admin_app(shop, guarded=False))
        assert worker.post("/admin/reload").json()["name"] == "test-static"
        for app in (create_admin_app(shop), Forwarder([], Path(), FleetSettings()).app(DoorSettings())):
            assert TestClient(app).put(BACK, json=back).status_code == 404
        assert worker.put(BACK, json={"bundle": str(old / "nowhere")}).status_code == 409
        assert shop.engine.bundle.manifest.name == "test-static"
        assert worker.put(BACK, json=back).json() == back
        assert shop.engine.bundle.manifest.name == "test-vector"


def test_drift_is_shown_once_the_window_is_full(serve: Serve, bundles: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["vector"], folder)
    reference = Reference(2, 3, Spread((0.5,), (0.5, 0.5)), Spread((3.5,), (0.5, 0.5)), distinct=2)
    (folder / "drift.json").write_bytes(msgspec.json.encode(reference))
    seal(folder, read_manifest(folder))
    with serve(folder) as client:
        for _ in range(3):
            assert "recsys_drift_coverage version=1" not in metrics(client)
            client.post("/v1/recommend", json={"history": []})
            client.post("/v1/recommend", json={"history": ["A"], "k": 2})
        read = metrics(client)
    assert read["recsys_drift_coverage version=1"] == 1
    assert read["recsys_drift_scores version=1"] > 1, "all scores are above the edge"
    (folder / "drift.json").write_bytes(b'{"k": 2}')
    seal(folder, read_manifest(folder))
    with pytest.raises(BundleError, match=r"drift.json: .*missing required field"):
        Bundle.load(folder)
