"""Items come, change and go at real servers, without a restart and across one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving_min.releases import Registry
from tests.serving_min.assortment.tower import write_bundle_with_tower
from tests.serving_min.process import Running, running


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    Registry(folder).promote(write_bundle_with_tower(folder / "shop" / "1"))
    return folder


def tell(server: Running, **changes: Any) -> httpx.Response:
    found = re.search(r"for operators at (http://\S+)", server.ready)
    assert found
    return httpx.post(f"{found[1]}/admin/items", json=changes, timeout=30)


def recommended(server: Running, **request: Any) -> list[str]:
    body = {"history": ["A"], "k": 3, "exclude_seen": False, **request}
    return [item["id"] for item in httpx.post(f"{server.address}/v1/recommend", json=body).json()["items"]]


def test_a_new_item_is_recommended_at_once_and_after_a_restart(registry: Path) -> None:
    with running(registry, "--admin-port", "0") as server:
        assert recommended(server) == ["A", "B", "C"]
        told = tell(server, items=[{"id": "G", "category": "red", "price": 1.5}, {"id": "H"}], hide=["B"])
        assert told.json() == {"new": 2, "embedded": 2, "changed": 0, "hidden": 1, "limit": 10_000}
        assert recommended(server) == ["A", "G", "C"]
        assert recommended(server, filters={"price": {"max": 2}}, k=1) == ["G"]
        answer = httpx.get(f"{server.address}/v1/similar/G", params={"k": 2}).json()
        assert {item["id"] for item in answer["items"]} == {"A", "C"}
        assert tell(server, show=["B"]).json()["hidden"] == 0
        assert server.terminate() == 0
    with running(registry, "--admin-port", "0") as server:
        assert recommended(server) == ["A", "G", "B"]
        assert server.terminate() == 0


def test_what_is_refused(registry: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[items]\nmost = 1\n")
    with running(registry, "--admin-port", "0", "--settings", settings) as server:
        for body, says in (
            ({"items": [{"title": "no id"}]}, "missing required field `id` - at `$.items[0]`"),
            ({"items": [{"id": "G", "colour": "red"}]}, "unknown field `colour`"),
            ({"items": [{"id": "G"}, {"id": "H"}]}, "2 new or changed items, the limit is 1"),
        ):
            refused = tell(server, **body)
            assert refused.status_code == 422
            assert says in refused.json()["error"]
        assert not (registry / "items.jsonl").exists()


def test_a_tower_that_must_be_told_more_says_so(tmp_path: Path) -> None:
    bundle = write_bundle_with_tower(tmp_path / "b", text_vector=3)
    with running(bundle, "--admin-port", "0") as server:
        refused = tell(server, items=[{"id": "G", "title": "Grape"}])
        assert (refused.status_code, refused.json()["error"][:40]) == (422, "text_vector: missing for 'Grape'; send t")
        told = tell(server, items=[{"id": "G", "title": "Grape", "text_vector": [1, 0, 0], "category": "red"}])
        assert told.json()["embedded"] == 1


def test_all_workers_hear_of_it(registry: Path) -> None:
    options = ("--workers", "2", "--redis", "redis://127.0.0.1:1/0", "--admin-port", "0")
    with running(registry, *options) as server:
        told = tell(server, items=[{"id": "G", "category": "red"}])
        assert told.json() == {"workers": [{"new": 1, "embedded": 1, "changed": 0, "hidden": 0, "limit": 10_000}] * 2}
        assert {tuple(recommended(server)) for _ in range(12)} == {("A", "G", "B")}
        assert len((registry / "items.jsonl").read_text().splitlines()) == 1, "written down once"
        assert server.terminate() == 0
