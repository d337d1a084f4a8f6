from __future__ import annotations

import gzip
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.engine import Engine
from serving_min.errors import StartError
from serving_min.laps import Batch
from serving_min.messages import Answer
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.tracing import Otlp
from serving_min.wire import asking

ANSWER = Answer([], "r1", "home", "m", "1", "empty history", [], [])


def test_an_answer_is_a_span_with_its_stages_under_the_callers_own() -> None:
    exporter = InMemorySpanExporter()
    otlp = Otlp("http://collector:4318", exporter=exporter)
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    token = asking.set({"headers": [(b"traceparent", f"00-{trace}-{parent}-01".encode())]})
    now = time.monotonic()
    otlp.answered(ANSWER, "r1", 5, Batch(now - 3, [("encode", now - 2), ("json", now - 1)]))
    asking.reset(token)
    otlp.answered(ANSWER, "r2", 5, Batch(now - 3))
    otlp.stop()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["queue", "encode", "json", "/v1/home", "queue", "/v1/home"]
    queue, encode, json, answer = spans[:4]
    seconds = {span.name: ((span.end_time or 0) - (span.start_time or 0)) / 1e9 for span in spans[:3]}
    assert seconds == {
        "queue": pytest.approx(2, abs=0.5),  # the answer is given a moment after ``now``
        "encode": pytest.approx(1, abs=1e-5),
        "json": pytest.approx(1, abs=1e-5),
    }
    assert abs((answer.start_time or 0) / 1e9 - (time.time() - 5)) < 1
    assert answer.context is not None
    assert answer.parent is not None
    assert (f"{answer.context.trace_id:032x}", f"{answer.parent.span_id:016x}") == (trace, parent)
    for inside in (queue, encode, json):
        assert inside.parent is not None
        assert inside.parent.span_id == answer.context.span_id
    assert dict(answer.attributes or {}) == {
        "request.id": "r1",
        "recsys.surface": "home",
        "recsys.model": "m 1",
        "recsys.fallback": "empty history",
    }
    assert spans[-1].parent is None


def test_spans_reach_a_collector() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever).start()
        otlp = Otlp(f"http://127.0.0.1:{server.server_port}/")
        otlp.answered(ANSWER, "r1", 0, Batch())
        otlp.stop()
        server.shutdown()
    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"/v1/home" in gzip.decompress(body) if body[:2] == b"\x1f\x8b" else b"/v1/home" in body


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(StartError, match="pip install opentelemetry-sdk"):
        Otlp("http://collector:4318")


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:4318", "ftp://collector", "http://", ""])
def test_what_is_no_address_ends_the_start(url: str) -> None:
    with pytest.raises(StartError, match=r"otlp: '.*' is no address of a collector; give one as http://HOST:4318"):
        Otlp(url)


def test_an_answer_from_the_cache_is_a_span_without_stages(engine: Callable[[str], Engine]) -> None:
    exporter = InMemorySpanExporter()
    shop = Shop(engine("vector"), Settings.read(cache={"seconds": 60}))
    shop.observation.otlp = Otlp("http://collector:4318", exporter=exporter)
    with TestClient(create_app(shop)) as client:
        for name in ("r1", "r2"):
            client.post("/v1/recommend", json={"history": ["A"], "request_id": name}).raise_for_status()
    spans = exporter.get_finished_spans()
    answers = {str((span.attributes or {})["request.id"]): span for span in spans if span.name == "/v1/recommend"}
    assert answers.keys() == {"r1", "r2"}
    inside = {span.parent.span_id for span in spans if span.parent is not None}
    assert [answers[name].context.span_id in inside for name in ("r1", "r2")] == [True, False]
