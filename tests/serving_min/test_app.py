from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.engine import Engine
from serving_min.messages import Request
from serving_min.routes.admin import create_admin_app
from serving_min.shop import Shop
from serving_min.surfaces import TAKEN
from serving_min.wire import LARGEST_BODY
from tests.serving_min.handmade import NOW
from tests.serving_min.process import running


@pytest.fixture(scope="module", params=["vector", "neighbours", "static"])
def client(request: pytest.FixtureRequest, bundles: dict[str, Path]) -> Iterator[httpx.Client]:
    with running(bundles[request.param]) as server, httpx.Client(base_url=server.address) as client:
        yield client


def served(engine: Engine) -> set[str]:
    """The paths of all routes."""
    return {getattr(route, "path", "").replace(":id}", "}") for route in create_app(Shop(engine)).routes}


def test_recommend_answers_as_the_engine(client: httpx.Client, engine: Callable[[str], Engine]) -> None:
    body = b'{"history": ["A", {"item": "D", "event": "view"}], "k": 3, "user": {"country": "UK"}, "request_id": "one"}'
    response = client.post("/v1/recommend", content=body)
    kind = response.json()["model"].removeprefix("test-")
    answer = engine(kind).recommend([msgspec.json.decode(body, type=Request)])[0]
    assert (response.status_code, response.content) == (200, msgspec.json.encode(answer))
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"history": ["\\ud800"]}', "not JSON"),
        (b'{"history": ["\xff"]}', "not JSON"),
        ("[]", "Expected `object`, got `array`"),
        ('{"hist": []}', "unknown field `hist`"),
        ('{"filters": {"colour": ["red"]}}', "unknown field `colour` - at `$.filters`"),
        ('{"history": "A"}', "at `$.history`"),
        ('{"history": ["A", 7]}', "at `$.history[1]`"),
        ('{"history": [{"event": "view"}]}', "missing required field `item` - at `$.history[0]`"),
        ('{"history": [{"item": "A", "time": 1700000000000}]}', "at `$.history[0].time`"),
        ('{"k": 0}', "`int` >= 1 - at `$.k`"),
        ('{"k": 1001}', "`int` <= 1000 - at `$.k`"),
        ('{"k": "5"}', "at `$.k`"),
        ('{"exclude": {}}', "at `$.exclude`"),
        ('{"filters": {"price": {"min": 2, "max": 1}}}', "`min` 2 is above `max` 1 - at `$.filters.price`"),
        ('{"now": -1}', "at `$.now`"),
        (json.dumps({"history": ["A"] * 10_001}), "at `$.history`"),
        ('{"x": ' + "[" * 5_000 + "]" * 5_000 + "}", "unknown field `x`"),
    ],
)
def test_malformed_input_is_told_what_and_where(client: httpx.Client, body: str | bytes, says: str) -> None:
    response = client.post("/v1/recommend", content=body)
    assert response.status_code == 422
    assert says in response.json()["error"]


def test_limits_themselves_are_allowed(client: httpx.Client) -> None:
    assert client.post("/v1/recommend", json={"history": ["A"] * 10_000, "k": 1000}).status_code == 200


def test_body_of_more_than_a_mebibyte(client: httpx.Client) -> None:
    response = client.post("/v1/recommend", content=b" " * (LARGEST_BODY + 1))
    assert (response.status_code, response.json()) == (413, {"error": "the body is larger than 1048576 bytes"})
    assert client.post("/v1/recommend", content=b"{}".rjust(LARGEST_BODY)).status_code == 200


def test_similar(client: httpx.Client) -> None:
    response = client.get("/v1/similar/A", params={"k": 1})
    assert [item["id"] for item in response.json()["items"]] == ["B"]
    assert client.get("/v1/similar/A").status_code == 200
    for k in ("0", "1001", "x", ""):
        response = client.get("/v1/similar/A", params={"k": k})
        assert response.status_code == 422
        assert "query parameter `k`" in response.json()["error"]
    answer = client.get("/v1/similar/a%2Fb").json()
    assert (answer["fallback"], answer["unknown_items"]) == ("unknown item", ["a/b"])
    assert client.get("/v1/similar/a%0Ab").json()["unknown_items"] == ["a\nb"]


def test_surfaces_say_what_they_need(client: httpx.Client) -> None:
    response = client.post("/v1/nowhere", json={})
    assert response.status_code == 404
    assert response.json()["error"] == "no surface 'nowhere'; there are ['rank', 'recommend', 'similar']"
    response = client.post("/v1/similar", json={})
    assert (response.status_code, response.json()["error"]) == (
        422,
        "the surface 'similar' needs `item` - at `$.item`",
    )
    response = client.get("/v1/rank/A")
    assert (response.status_code, response.json()["error"]) == (
        422,
        "the surface 'rank' depends on the user: POST /v1/rank",
    )


def test_rank_orders_what_is_given(client: httpx.Client) -> None:
    answer = client.post("/v1/rank", json={"history": ["A"], "items": ["E", "Z", "C", "B", "E"]}).json()
    assert [item["id"] for item in answer["items"]] == ["B", "C", "E", "Z"]
    assert [item["reason"] for item in answer["items"]][-1] == "unknown"


def test_routes_and_methods_that_are_not_there(client: httpx.Client) -> None:
    response = client.get("/v2/recommend")
    assert (response.status_code, response.json()) == (404, {"error": "no route /v2/recommend; see /docs"})
    response = client.get("/v1/recommend")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json() == {"error": "/v1/recommend does not take GET; use POST"}


def test_no_surface_may_be_called_as_another_route(engine: Callable[[str], Engine]) -> None:
    names = {path.split("/")[2] for path in served(engine("static")) if path.startswith("/v1/")}
    assert names - {"{surface}"} == {*TAKEN}


@pytest.mark.parametrize("make", [create_app, create_admin_app])
def test_nobody_is_sent_elsewhere(engine: Callable[[str], Engine], make: Callable[[Shop], Starlette]) -> None:
    client = TestClient(make(Shop(engine("static"))), base_url="http://elsewhere.example", follow_redirects=False)
    for path in ("/healthz/", "/v1/similar/", "/admin/fleet/"):
        response = client.get(path)
        assert (response.status_code, response.json()["error"]) == (404, f"no route {path}; see /docs")


def test_health_and_model(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["status"] == "ready"
    assert client.get("/v1/model").json()["format"] == 2


def test_request_id_is_in_header_and_answer(client: httpx.Client) -> None:
    response = client.post("/v1/recommend", json={}, headers={"X-Request-Id": "abc-1"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "abc-1"
    response = client.post("/v1/recommend", json={"request_id": "own"}, headers={"X-Request-Id": "abc-1"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "own"
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = client.get("/nowhere", headers={"X-Request-Id": "a b"}).headers["x-request-id"]
    assert len(made) == 32


def test_openapi_describes_what_is_answered(client: httpx.Client, engine: Callable[[str], Engine]) -> None:
    api = client.get("/openapi.json").json()
    surfaces = {"/v1/recommend", "/v1/rank", "/v1/similar", "/v1/similar/{item_id}"}
    assert set(api["paths"]) - surfaces <= served(engine("static"))

    def check(instance: Any, name: str) -> None:
        jsonschema.validate(instance, {"$ref": f"#/components/schemas/{name}", "components": api["components"]})

    request = {"history": ["A", {"item": "B", "time": NOW}], "filters": {"price": {"min": 1}}, "exclude_seen": None}
    check(request, "Request")
    for bad in ({"k": 0}, {"hist": []}, {"history": [{"event": "view"}]}):
        with pytest.raises(jsonschema.ValidationError):
            check(bad, "Request")
    check(client.post("/v1/recommend", json=request).json(), "Answer")
    check(client.get("/v1/similar/A").json(), "Answer")
    check(client.get("/v1/model").json(), "Manifest")
    check(client.get("/nowhere").json(), "Problem")


def test_docs_need_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "/openapi.json" in page
    assert "//" not in page.replace("</", "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
ids = st.sampled_from("ABCDEF?") | st.text(max_size=3)
whole = st.integers(-5, 1 << 40)
fields = {
    "history": st.lists(
        ids
        | st.fixed_dictionaries({"item": ids}, optional={"event": st.sampled_from(["view", "x", ""]), "time": whole}),
        max_size=6,
    ),
    "k": st.integers(-1, 1100),
    "exclude": st.lists(ids, max_size=4),
    "exclude_seen": st.none() | st.booleans(),
    "filters": st.fixed_dictionaries(
        {},
        optional={
            "category": st.none() | st.lists(st.sampled_from(["red", "blue", ""]), max_size=2),
            "brand": st.lists(st.sampled_from(["x", "z"]), max_size=2),
            "price": st.fixed_dictionaries({}, optional={"min": st.floats(-1, 60), "max": st.floats(0, 1e308)}),
            "available": st.booleans(),
        },
    ),
    "user": st.dictionaries(st.sampled_from(["country", "?"]), st.sampled_from(["UK", ""])),
    "now": whole,
}
likely = st.fixed_dictionaries({}, optional=fields)
unlikely = st.fixed_dictionaries({}, optional={name: value | json_values for name, value in fields.items()})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=likely | unlikely | json_values | st.binary(max_size=30))
def test_no_body_breaks_the_server(client: httpx.Client, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post("/v1/recommend", content=content)
    assert response.status_code in (200, 422)
    if response.status_code == 422:
        assert response.json()["error"]
        return
    answer = response.json()
    listed = [item["id"] for item in answer["items"]]
    assert len(listed) == len(set(listed)) <= (body.get("k") or 10)
    assert not set(listed) & set(body.get("exclude", []))
