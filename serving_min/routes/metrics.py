"""What Prometheus scrapes."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.shop import Shop


def routes(shop: Shop) -> list[Route]:
    async def metrics(http: HttpRequest) -> Response:
        page, content_type = shop.observation.exposition.page(http.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]
