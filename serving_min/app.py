"""The routes, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving_min.batching import Batcher
from serving_min.engine import Engine
from serving_min.errors import RequestError
from serving_min.messages import DEFAULT_K, MOST_ITEMS, Request
from serving_min.openapi import openapi
from serving_min.wire import PROBLEMS, RequestIds, json_response, read_body

Wanted = Annotated[int, msgspec.Meta(ge=1, le=MOST_ITEMS)]


def create_app(engine: Engine, *, waiting: int = 512) -> Starlette:
    """The ASGI application of one bundle; at most ``waiting`` requests queue, more get a 503."""
    decoder = msgspec.json.Decoder(Request)
    encode = msgspec.json.Encoder().encode
    recommending: Batcher[Request, bytes] = Batcher(
        lambda requests: [encode(answer) for answer in engine.recommend(requests)],
        begin=engine.own_this_thread,
        waiting=waiting,
    )
    comparing: Batcher[tuple[str, int], bytes] = Batcher(
        lambda wanted: [encode(engine.similar(item, k)) for item, k in wanted], largest=1, waiting=waiting
    )
    description = encode(openapi(engine.bundle.manifest))
    manifest = engine.bundle.manifest.to_json()
    page = files("serving_min").joinpath("docs.html").read_text()

    async def recommend(http: HttpRequest) -> Response:
        request = decoder.decode(await read_body(http))
        engine.check(request)
        return json_response(await recommending.submit(request))

    async def similar(http: HttpRequest) -> Response:
        try:
            k = msgspec.convert(http.query_params.get("k", DEFAULT_K), Wanted, strict=False)
        except msgspec.ValidationError as error:
            raise RequestError(f"{error} - at query parameter `k`") from error
        return json_response(await comparing.submit((http.path_params["item_id"], k)))

    async def healthz(_: HttpRequest) -> Response:
        return json_response({"status": "alive"})

    async def readyz(_: HttpRequest) -> Response:
        busy = recommending.full or comparing.full
        return json_response({"status": "busy"}, 503) if busy else json_response({"status": "ready"})

    async def model(_: HttpRequest) -> Response:
        return json_response(manifest)

    async def openapi_json(_: HttpRequest) -> Response:
        return json_response(description)

    async def docs(_: HttpRequest) -> Response:
        return HTMLResponse(page)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        recommending.start()
        comparing.start()
        yield
        await recommending.stop()
        await comparing.stop()

    return Starlette(
        routes=[
            Route("/v1/recommend", recommend, methods=["POST"]),
            Route("/v1/similar/{item_id:path}", similar),
            Route("/v1/model", model),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/openapi.json", openapi_json),
            Route("/docs", docs),
        ],
        middleware=[Middleware(RequestIds)],
        exception_handlers=PROBLEMS,
        lifespan=lifespan,
    )
