"""The short way to a surface: the same answers as the routes behind it, and refusals that cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.engine import Engine
from serving_min.fleet.fleet import Fleet
from serving_min.shop import Shop


@pytest.fixture
def client(engine: Callable[[str], Engine]) -> Iterator[TestClient]:
    with TestClient(create_app(Shop(engine("neighbours"))), raise_server_exceptions=False) as client:
        yield client


def test_an_answer_has_the_id_that_its_header_has(client: TestClient) -> None:
    response = client.post("/v1/recommend", json={"history": ["A"], "request_id": "mine"})
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"
    made = client.post("/v1/recommend", json={"history": ["A"]})
    assert made.json()["request_id"] == made.headers["x-request-id"]
    assert made.json()["items"] == response.json()["items"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/recommend", b"{", 422),
        ("/v1/recommend", b'{"k": 0}', 422),
        ("/v1/similar", b"{}", 422),
        ("/v1/recommend", b" " * (1 << 20) + b"{}", 413),
        ("/v1/window", b"{}", 404),
    ],
)
def test_problems_are_told_as_everywhere(client: TestClient, path: str, body: bytes, status: int) -> None:
    response = client.post(path, content=body)
    assert (response.status_code, [*response.json()]) == (status, ["error"])


def test_while_too_many_wait_a_request_is_refused_unread(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    busy: Any = property(lambda _: True)
    monkeypatch.setattr(Fleet, "busy", busy)
    for body in (b'{"history": ["A"]}', b"{", b" " * (1 << 21)):
        refused = client.post("/v1/recommend", content=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "try again in a second" in refused.json()["error"]
    monkeypatch.undo()
    assert client.post("/v1/recommend", json={"history": ["A"]}).status_code == 200
