"""What the server keeps of a user: to be shown, and to be forgotten."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.guard import KEY
from serving_min.shop import Shop
from serving_min.wire import json_response

PRIVATE = {"Cache-Control": "no-store"}


def routes(shop: Shop) -> list[Route]:
    async def forget(http: HttpRequest) -> Response:
        return json_response(await shop.erasure.forget(http.path_params["user"], _by(http)))

    async def export(http: HttpRequest) -> Response:
        return json_response(await shop.erasure.export(http.path_params["user"], _by(http)), headers=PRIVATE)

    return [
        Route("/v1/users/{user:id}/export", export, methods=["GET"]),
        Route("/v1/users/{user:id}", forget, methods=["DELETE"]),
    ]


def _by(http: HttpRequest) -> str:
    return str(http.scope.get(KEY, "anybody"))
