"""The surfaces: each has a route of its name."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec.structs import replace
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.errors import RequestError
from serving_min.fleet.deployment import BROKEN
from serving_min.messages import MOST_ITEMS, Request
from serving_min.shop import Shop
from serving_min.wire import json_response, read_body, take_request_id

Wanted = Annotated[int, msgspec.Meta(ge=1, le=MOST_ITEMS)]


def routes(shop: Shop) -> list[Route]:
    decoder = msgspec.json.Decoder(Request)
    keep = f"public, max-age={shop.settings.cache.public}"

    async def ask(http: HttpRequest) -> Response:
        request = decoder.decode(await read_body(http.receive))
        request = replace(request, request_id=take_request_id(http, request.request_id))
        given = await shop.answer(http.path_params["surface"], request)
        return json_response(given.body(request.request_id or ""))

    async def ask_about(http: HttpRequest) -> Response:
        surface, item = http.path_params["surface"], http.path_params["item_id"]
        known = shop.engine.bundle.surfaces.get(surface)
        if known is not None and known.personal:
            raise RequestError(f"the surface {surface!r} depends on the user: POST /v1/{surface}")
        try:
            k = msgspec.convert(http.query_params["k"], Wanted, strict=False) if "k" in http.query_params else None
        except msgspec.ValidationError as error:
            raise RequestError(f"{error} - at query parameter `k`") from error
        request_id = take_request_id(http)
        given = await shop.answer(surface, Request(item=item, k=k, request_id=request_id))
        if given.answer.fallback in BROKEN:  # a moment later it would be another one
            return json_response(given.body(request_id), headers={"Cache-Control": "no-store"})
        headers = {"ETag": given.tag, "Cache-Control": keep}
        held = http.headers.get("if-none-match", "").strip()
        if held == "*" or given.tag.removeprefix("W/") in held:
            return Response(status_code=304, headers=headers)
        return json_response(given.body(request_id), headers=headers)

    return [
        Route("/v1/{surface}", ask, methods=["POST"]),
        Route("/v1/{surface}/{item_id:id}", ask_about, methods=["GET"]),
    ]
