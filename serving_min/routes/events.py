"""What shop fronts report, and the script with which they do."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.events import read_batch
from serving_min.shop import Shop
from serving_min.wire import json_response, read_body

ONE_HOUR = {"Cache-Control": "public, max-age=3600"}


def routes(shop: Shop) -> list[Route]:
    script = files("serving_min").joinpath("tracker.js").read_bytes()

    async def events(http: HttpRequest) -> Response:
        # as text/plain too: sendBeacon cannot send anything else unasked
        return json_response(await shop.report(*read_batch(await read_body(http.receive))))

    async def tracker(_: HttpRequest) -> Response:
        return Response(script, headers=ONE_HOUR, media_type="text/javascript")

    return [Route("/v1/events", events, methods=["POST"]), Route("/tracker.js", tracker)]
