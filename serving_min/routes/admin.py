"""What only operators may ask, an application of its own: it is not on the public port."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.assortment.changes import Changes
from serving_min.doors import doors
from serving_min.errors import BundleError, ReleaseError
from serving_min.fleet.settings import FleetSettings
from serving_min.routes import supervised
from serving_min.shop import Shop
from serving_min.wire import PROBLEMS, json_response, problem, read_body


def create_admin_app(shop: Shop, *, guarded: bool = True) -> Starlette:
    """It neither starts nor stops the shop. What is refused changes nothing, and is a 409. It is not ``guarded`` where
    nobody but the supervisor of this process can reach it, which may ask more."""
    app = Starlette(
        routes=routes(shop) if guarded else [*routes(shop), *supervised.routes(shop)],
        middleware=doors(shop.settings.doors, shop.gate if guarded else None, shop.observation.ended),
        exception_handlers={**PROBLEMS, BundleError: _on_refused, ReleaseError: _on_refused},
    )
    app.router.redirect_slashes = False
    return app


def routes(shop: Shop) -> list[Route]:
    settings_of, changes_of = msgspec.json.Decoder(FleetSettings), msgspec.json.Decoder(Changes)

    async def fleet(_: HttpRequest) -> Response:
        return json_response(shop.fleet.status())

    async def change(http: HttpRequest) -> Response:
        await shop.fleet.change(settings_of.decode(await read_body(http.receive)))
        return json_response(shop.fleet.status())

    async def tell(http: HttpRequest) -> Response:
        return json_response(await shop.fleet.tell(changes_of.decode(await read_body(http.receive))))

    async def refresh(_: HttpRequest) -> Response:
        return json_response(await shop.fleet.refresh())

    async def reload(_: HttpRequest) -> Response:
        folder = await shop.fleet.reload()
        manifest = shop.engine.bundle.manifest
        return json_response({"name": manifest.name, "version": manifest.version, "bundle": str(folder)})

    return [
        Route("/admin/fleet", fleet, methods=["GET"]),
        Route("/admin/fleet", change, methods=["PUT"]),
        Route("/admin/items", tell, methods=["POST"]),
        Route("/admin/items/refresh", refresh, methods=["POST"]),
        Route("/admin/reload", reload, methods=["POST"]),
    ]


def _on_refused(_: HttpRequest, error: Exception) -> Response:
    return problem(409, f"refused, nothing has changed: {error}")
