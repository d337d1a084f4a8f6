"""The script in a real browser, on a page of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from serving_min.events import Batch
from tests.serving_min.process import running

TRACKER = files("serving_min").joinpath("tracker.js").read_bytes()
PAGE = """<!doctype html><title>shop</title><link rel="icon" href="data:,">
<a data-rec-item="A" data-rec-surface="home" data-rec-request="r1" data-rec-position="1" href="#a"><b>Apple</b></a>
<div style="height: 4000px"></div>
<a data-rec-item="B" data-rec-surface="home" data-rec-request="r1" data-rec-position="2" href="#b">Ball</a>
<p id="elsewhere">nothing</p>
<script src="/tracker.js" data-user="ann" data-item="P" {attributes} defer></script>"""


class Shop:
    """Serves the page and the script, and keeps what is sent."""

    def __init__(self, attributes: str) -> None:
        self.sent: list[tuple[str, bytes]] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = TRACKER if self.path == "/tracker.js" else PAGE.format(attributes=attributes).encode()
                self.answer(body, "text/javascript" if self.path == "/tracker.js" else "text/html")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.sent.append((self.headers["Content-Type"], body))
                self.answer(b"{}", "application/json")

            def answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.sent for event in json.loads(body)["events"]]

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.events()) < count and time.monotonic() < deadline:
            time.sleep(0.05)


Open = Callable[..., tuple[Shop, Any]]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """A shop, and its page in the browser; ``before`` runs in it first."""
    opened: list[tuple[Shop, Any]] = []

    def open_page(attributes: str = "", before: str = "") -> tuple[Shop, Any]:
        shop, page = Shop(attributes), chromium.new_page(viewport={"width": 800, "height": 600})
        opened.append((shop, page))
        page.add_init_script(before)
        page.goto(shop.address)
        return shop, page

    yield open_page
    for shop, page in opened:
        page.close()
        shop.server.shutdown()
        shop.server.server_close()


def test_smaller_than_two_kilobytes() -> None:
    assert len(TRACKER) < 2_000


def test_views_impressions_and_clicks_are_sent_as_the_server_takes_them(open_page: Open) -> None:
    shop, page = open_page()
    page.evaluate("recsys.consent(true)")
    page.click("b")
    page.click("#elsewhere")  # scrolls down to B
    page.evaluate("recsys.note('cart', 'C')")
    shop.wait_for(5)
    assert {kind for kind, _ in shop.sent} == {"text/plain;charset=UTF-8"}
    events = [event for _, body in shop.sent for event in msgspec.json.decode(body, type=Batch).events]
    assert {(event.event, event.item, event.position) for event in events} == {
        ("view", "P", None),
        ("impression", "A", 1),
        ("click", "A", 1),
        ("impression", "B", 2),
        ("cart", "C", None),
    }
    assert len({event.id for event in events}) == len(events) == 5
    assert {event.user for event in events} == {"ann"}
    assert {(event.surface, event.request_id) for event in events if event.position} == {("home", "r1")}
    assert all(event.time is not None and abs(event.time - time.time()) < 60 for event in events)


def test_a_click_in_the_shop_changes_what_another_host_recommends(open_page: Open, bundles: dict[str, Path]) -> None:
    with running(bundles["neighbours"]) as server:
        _, page = open_page(f'data-consent="given" data-endpoint="{server.address}/v1/events"')
        page.click("b")
        page.goto("about:blank")
        deadline, best = time.monotonic() + 10, ""
        while best != "B" and time.monotonic() < deadline:
            answer = httpx.post(f"{server.address}/v1/recommend", json={"user_id": "ann", "k": 2}).json()
            best = answer["items"][0]["id"] if answer["fallback"] is None else ""
        assert [item["id"] for item in answer["items"]] == ["B", "C"]


def test_what_waits_is_sent_when_the_page_is_left(open_page: Open) -> None:
    shop, page = open_page('data-consent="given"')
    page.evaluate("recsys.note('purchase', 'C')")
    page.goto("about:blank")
    shop.wait_for(2)
    assert {"view", "purchase"} <= {event["event"] for event in shop.events()}


def test_many_events_go_in_batches(open_page: Open) -> None:
    shop, page = open_page()
    page.evaluate("recsys.consent(true); for (let i = 0; i < 119; i++) recsys.note('view', 'I' + i)")
    page.goto("about:blank")
    shop.wait_for(120)
    assert len(shop.events()) >= 120
    assert all(len(json.loads(body)["events"]) <= 50 for _, body in shop.sent)


@pytest.mark.parametrize(
    ("attributes", "before", "then"),
    [
        ("", "", ""),
        ("", "", "recsys.consent(true); recsys.note('cart', 'C'); recsys.consent(false);"),
        ('data-consent="given"', "Object.defineProperty(navigator, 'doNotTrack', {get: () => '1'})", ""),
        ('data-consent="given"', "Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})", ""),
    ],
    ids=["not asked", "withdrawn", "do not track", "global privacy control"],
)
def test_nothing_is_sent_without_consent(open_page: Open, attributes: str, before: str, then: str) -> None:
    shop, page = open_page(attributes, before)
    page.evaluate(f"{then} recsys.note('view', 'A')")
    page.click("b")
    page.goto(f"{shop.address}/next")
    page.goto("about:blank")
    page.wait_for_timeout(300)
    assert shop.sent == []
