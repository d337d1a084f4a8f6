"""Whatever comes in, an answer goes out: no 5xx, no crash, nothing that the description does not say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.bundle import Bundle
from serving_min.drift import Reference, Spread
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.manifest import MemberKind, read_manifest
from serving_min.messages import Liked, Request
from serving_min.openapi import openapi
from serving_min.routes.admin import create_admin_app
from serving_min.settings import Settings
from serving_min.shop import Shop
from tests.serving_min.handmade import seal, write_bundle

SURFACES: dict[str, Any] = {
    "home": {
        "retrievers": [
            {"source": "model"},
            {"source": "trending", "weight": 0.5},
            {"source": "segment", "to": "newcomers"},
        ]
    },
    "together": {"retrievers": [{"source": "pairs", "of": "item"}], "needs": "item", "seen": "keep"},
    "cart": {"retrievers": [{"source": "pairs", "of": "cart"}], "seen": "keep"},
    "search": {"retrievers": [{"source": "given"}, {"source": "model"}], "needs": "items", "by": "scores"},
    "onboarding": {"retrievers": [{"source": "model"}], "needs": "liked"},
    "capped": {
        "retrievers": [{"source": "model"}],
        "rules": {"caps": {"category": 1}, "variety": {"by": "mmr"}, "exploration": {"share": 0.5, "days": 3}},
    },
}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SOME = settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with surfaces of every kind, companions, and what drift is measured against."""
    folder = tmp_path_factory.mktemp("fuzz") / "bundle"
    companions: dict[str, MemberKind] = {"pairs": "neighbours", "trending": "static"}
    tables = {(0, 1): [(4, 2.0), (0, 1.0)], (0, 2): [(2, 0.5)]}
    write_bundle(folder, "vector", companions=companions, surfaces=SURFACES, segments=tables)
    spread = Spread((0.5,), (0.5, 0.5))
    (folder / "drift.json").write_bytes(msgspec.json.encode(Reference(2, 3, spread, spread, distinct=2)))
    seal(folder, read_manifest(folder))
    return folder


@pytest.fixture(scope="module")
def shop(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    log = {"folder": str(tmp_path_factory.mktemp("log"))}
    return Shop(Engine(Bundle.load(folder)), Settings.read(cache={"seconds": 60}, log=log))


@pytest.fixture(scope="module")
def own(folder: Path) -> Shop:
    """One whose items change."""
    return Shop(Engine(Bundle.load(folder)))


@pytest.fixture(scope="module")
def operators(own: Shop) -> Iterator[TestClient]:
    with (
        TestClient(create_app(own)),
        TestClient(create_admin_app(own), raise_server_exceptions=False) as operators,
    ):
        yield operators


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_every_route_does_what_its_description_says(client: TestClient, shop: Shop, mode: GenerationMode) -> None:
    bundle = shop.engine.bundle
    described = schemathesis.openapi.from_dict(openapi(bundle.manifest, bundle.surfaces))
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) >= 15

    def fuzz(operation: APIOperation[Any, Any, Any, Any]) -> None:
        @settings(SOME, max_examples=8)
        @given(case=operation.as_strategy(mode))
        def run(case: Case) -> None:
            asked = case.as_transport_kwargs(base_url="http://testserver")
            sent = {"params": asked.get("params"), "json": asked.get("json"), "content": asked.get("data")}
            response = client.request(asked["method"], asked["url"], headers=asked["headers"], **sent)
            case.validate_response(response, checks=CHECKS)

        run()

    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.body:  # what has no body can hardly be asked wrongly
            fuzz(operation)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["A", "D", "view"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(Request.__struct_fields__), inner),
    max_leaves=12,
)


@SOME
@given(
    path=st.sampled_from(["/v1/recommend", "/v1/similar", "/v1/rank", "/v1/events", "/v1/nowhere"]),
    body=st.binary() | anything.map(lambda value: json.dumps(value).encode()),
    header=st.sampled_from(["application/json", "text/plain", "\x7f", ""]),
)
def test_any_body_at_all(client: TestClient, path: str, body: bytes, header: str) -> None:
    response = client.post(path, content=body, headers={"Content-Type": header})
    assert response.status_code in (200, 404, 422)
    assert isinstance(response.json(), dict)


numbers = st.none() | st.floats(width=32) | st.integers(-5, 5)
entries = st.fixed_dictionaries(
    {"id": st.sampled_from("ABXYZ") | st.text(max_size=4)},
    optional={
        **dict.fromkeys(("title", "text", "category", "brand", "market"), st.text(max_size=9)),
        **dict.fromkeys(("price", "min_age", "margin", "stock", "available_from"), numbers),
        **dict.fromkeys(("text_vector", "image_vector"), st.lists(st.floats(width=32), max_size=3)),
    },
)
some_ids = st.lists(st.sampled_from("ABCXYZ") | st.text(max_size=4), max_size=4)
said = st.fixed_dictionaries({}, optional={"items": st.lists(entries, max_size=3), "hide": some_ids, "show": some_ids})


@SOME
@given(
    route=st.sampled_from([("POST", "/admin/items"), ("PUT", "/admin/fleet"), ("POST", "/admin/items/refresh")]),
    body=said.map(lambda value: json.dumps(value).encode()) | anything.map(lambda value: json.dumps(value).encode()),
)
def test_whatever_operators_say_people_are_answered(
    operators: TestClient, own: Shop, route: tuple[str, str], body: bytes
) -> None:
    response = operators.request(*route, content=body)
    assert response.status_code in (200, 409, 422)
    asked = Request(history=["A", "X"], item="A", items=["A", "X"], cart=["B"], liked=Liked(["A"]))
    for surface in own.engine.bundle.surfaces:
        assert own.engine.recommend([asked], surface)[0].surface == surface


@SOME
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(["v1/similar/", "admin/fleet"]),
    admin=st.booleans(),
)
def test_any_path_at_all(client: TestClient, shop: Shop, method: str, path: str, admin: bool) -> None:
    asked = TestClient(create_admin_app(shop), raise_server_exceptions=False) if admin else client
    assert asked.request(method, f"/{quote(path)}").status_code < 500


@pytest.mark.parametrize(
    "name", ["drift.json", "surfaces.json", "segments.npz", "pairs/neighbours.npz", "trending/fallback.npz"]
)
def test_a_bundle_with_a_flipped_byte_is_refused_or_answers(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(folder, copy)
    manifest, content = read_manifest(copy), (copy / name).read_bytes()
    refused = 0
    for place in range(0, len(content), max(1, len(content) // 40)):
        for bit in (1, 6):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            (copy / name).write_bytes(flipped)
            seal(copy, manifest)  # whoever made the bundle made the mistake too
            try:
                engine = Engine(Bundle.load(copy))
            except BundleError:
                refused += 1
                continue
            for surface in engine.bundle.surfaces:
                german = {"country": "DE"}
                asked = Request(history=["A"], item="A", items=["A"], cart=["B"], liked=Liked(["A"]), user=german)
                assert engine.recommend([asked], surface)[0].surface == surface
                newcomer = Request(item="A", items=["A", "E"], liked=Liked(categories=["red"]), user=german)
                assert engine.recommend([newcomer], surface)[0].surface == surface
    assert refused > 10
