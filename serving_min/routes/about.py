"""What the server says of itself: alive, ready, which model, how to ask."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving_min.openapi import openapi
from serving_min.shop import Shop
from serving_min.wire import json_response


def routes(shop: Shop) -> list[Route]:
    page = files("serving_min").joinpath("docs.html").read_text()

    async def healthz(_: HttpRequest) -> Response:
        return json_response({"status": "alive"})

    async def readyz(_: HttpRequest) -> Response:
        visitors = shop.visitors
        about = {
            "status": "busy" if shop.busy else "ready",
            "state": visitors.store.status(),
            "log": visitors.log.status(),
        }
        return json_response(about, 503 if shop.busy else 200)

    async def model(_: HttpRequest) -> Response:
        return json_response(shop.engine.bundle.manifest.to_json())

    async def openapi_json(_: HttpRequest) -> Response:
        bundle = shop.engine.bundle  # another one after a reload
        return json_response(openapi(bundle.manifest, bundle.surfaces))

    async def docs(_: HttpRequest) -> Response:
        return HTMLResponse(page)

    return [
        Route("/v1/model", model),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/openapi.json", openapi_json),
        Route("/docs", docs),
    ]
