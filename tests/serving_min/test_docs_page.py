"""The page about the API, in a real browser on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving_min.handmade import write_bundle
from tests.serving_min.process import running

SURFACES: dict[str, Any] = {
    "cart": {"retrievers": [{"source": "model", "of": "cart"}], "seen": "keep"},
    "search": {"retrievers": [{"source": "given"}], "needs": "items", "seen": "keep"},
    "onboarding": {"retrievers": [{"source": "model"}], "needs": "liked"},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bundle = write_bundle(tmp_path_factory.mktemp("docs") / "bundle", "vector", surfaces=SURFACES)
    with running(bundle) as server:
        yield server.address


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    page = chromium.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{address}/docs", wait_until="networkidle")
    yield page
    page.close()
    assert wrong == []


def ask(page: Any, route: str) -> str:
    """What is said of the answer to the example that the page proposes."""
    page.locator("#route").select_option(label=route)
    page.locator("#status").evaluate("status => status.textContent = ''")
    page.locator("#ask button").click()
    page.wait_for_selector("#status:not(:empty)")
    return str(page.locator("#status").inner_text())


def test_every_route_s_example_works(page: Any) -> None:
    routes = page.locator("#route option").all_inner_texts()
    assert {"POST /v1/cart", "GET /v1/similar/{item_id}", "POST /v1/events", "DELETE /v1/users/{user}"} <= {*routes}
    assert [route for route in routes if not ask(page, route).startswith("200")] == []


def test_examples_hold_what_a_surface_needs_of_the_bundle_s_own_items(page: Any) -> None:
    for route, needed in [("search", '"items"'), ("onboarding", '"liked"'), ("cart", '"cart"'), ("similar", '"item"')]:
        page.locator("#route").select_option(label=f"POST /v1/{route}")
        assert needed in page.locator("#body").input_value()
    ask(page, "GET /v1/similar/{item_id}")
    assert page.locator("#items tr").count() > 3
    assert page.locator("#curl").inner_text().startswith("curl -s 'http://")


def test_a_refusal_is_shown(page: Any) -> None:
    page.locator("#route").select_option(label="POST /v1/recommend")
    page.locator("#body").fill('{"k": 0}')
    page.locator("#ask button").click()
    page.wait_for_selector("#status:not(:empty)")
    assert page.locator("#status").inner_text().startswith("422")
    assert "$.k" in page.locator("#answer").inner_text()
    assert page.locator("#items tr").count() == 0
