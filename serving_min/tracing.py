"""Traces over OTLP: a span for each answer, under the caller's own where it names one, and one inside for each stage of
those that were made for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers

from serving_min.errors import StartError
from serving_min.laps import Batch
from serving_min.messages import Answer
from serving_min.wire import asking


class Otlp:
    """Sends spans to the collector at ``url``, http://HOST:4318, in the background. OpenTelemetry's own variables
    (OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME …) choose what is sampled and what the service is called.

    No span says who asked: it has the request's id, surface, model and fallback.
    """

    def __init__(self, url: str, *, exporter: Any = None, clock: Callable[[], float] = time.time) -> None:
        if not re.match(r"https?://[^/\s]", url):
            raise StartError(f"otlp: {url!r} is no address of a collector; give one as http://HOST:4318")
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            if exporter is None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

                exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces")
        except ImportError as error:
            packages = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
            raise StartError(f"otlp: a package is missing; pip install {packages}") from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": "serving_min"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("serving_min")
        self._within = trace.set_span_in_context
        self._parent = TraceContextTextMapPropagator().extract
        self._server = trace.SpanKind.SERVER
        self._epoch = clock() - time.monotonic()

    def answered(self, answer: Answer, request_id: str, seconds: float, batch: Batch | None) -> None:
        """Given just now, so many seconds after the request came; made in ``batch``, or for another request."""
        ended = time.monotonic()
        began = ended - seconds
        scope = asking.get()
        given = "" if scope is None else Headers(scope=scope).get("traceparent", "")
        about = {
            "request.id": request_id,
            "recsys.surface": answer.surface,
            "recsys.model": f"{answer.model} {answer.model_version}",
            "recsys.fallback": answer.fallback or "",
        }
        span = self._tracer.start_span(
            f"/v1/{answer.surface}",
            self._parent({"traceparent": given}) if given else None,
            kind=self._server,
            attributes=about,
            start_time=self._nanoseconds(began),
        )
        if batch is not None and span.is_recording():
            inside, since = self._within(span), began
            for stage, until in [("queue", batch.began), *batch.laps]:
                child = self._tracer.start_span(stage, inside, start_time=self._nanoseconds(since))
                child.end(self._nanoseconds(until))
                since = until
        span.end(self._nanoseconds(ended))

    def stop(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _nanoseconds(self, reading: float) -> int:
        return int((self._epoch + reading) * 1e9)
