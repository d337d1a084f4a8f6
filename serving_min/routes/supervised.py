"""What the supervisor alone asks of its workers: no operator's request reaches these paths."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.shop import Shop
from serving_min.wire import json_response, read_body

BACK = "/supervisor/bundle"
KEPT = "/supervisor/answers"


class Back(Struct, frozen=True):
    """The folder of the bundle that was live before."""

    bundle: str


def routes(shop: Shop) -> list[Route]:
    async def back(http: HttpRequest) -> Response:
        wanted = msgspec.json.decode(await read_body(http.receive), type=Back)
        await shop.fleet.reload(Path(wanted.bundle))
        return json_response(wanted)

    async def throw_away(_: HttpRequest) -> Response:
        shop.cache.clear()
        return Response(status_code=204)

    return [Route(BACK, back, methods=["PUT"]), Route(KEPT, throw_away, methods=["DELETE"])]
