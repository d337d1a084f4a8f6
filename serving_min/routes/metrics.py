"""What Prometheus scrapes."""

from __future__ import annotations

import asyncio

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.shop import Shop


def routes(shop: Shop) -> list[Route]:
    async def metrics(http: HttpRequest) -> Response:
        accept = http.headers.get("accept", "")
        page, content_type = await asyncio.to_thread(shop.observation.exposition.page, accept)  # it takes milliseconds
        return Response(page, headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]
