"""The ASGI application: routes, middleware, problems, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from serving_min.doors import doors
from serving_min.routes import about, events, metrics, recommend, storefront, users
from serving_min.shop import Shop
from serving_min.wire import PROBLEMS


def create_app(shop: Shop) -> Starlette:
    """The application of one shop, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await shop.start()
        yield
        await shop.stop()

    groups = (storefront, about, metrics, users, events, recommend)  # the last takes any name under /v1
    app = Starlette(
        routes=[route for group in groups for route in group.routes(shop)],
        middleware=doors(shop.settings.doors, shop.gate, shop.observation.ended),
        exception_handlers=PROBLEMS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would send to whatever host the request names
    return app
