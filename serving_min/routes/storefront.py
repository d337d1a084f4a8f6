"""A small shop to look at the loaded bundle with, in development mode only."""

from __future__ import annotations

from importlib.resources import files
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving_min.bundle import Bundle
from serving_min.messages import Event, Golden, Liked, Recommendation, Request
from serving_min.releases import live_bundle
from serving_min.shop import Shop
from serving_min.verification import GOLDEN_FILE
from serving_min.wire import json_response

CATEGORIES, VISITORS, FOUND = 12, 6, 24  # shown at most
LOOKED_AT = 200_000  # titles that one search reads


class Visitor(msgspec.Struct, frozen=True):
    """Somebody from the bundle's golden requests."""

    name: str
    history: list[str | Event]


class Window(msgspec.Struct, frozen=True):
    """What the page has to know before it asks anything."""

    model: str
    version: str
    items: int
    surfaces: list[str]
    categories: list[str]
    visitors: list[Visitor]


def routes(shop: Shop) -> list[Route]:
    if not shop.settings.dev:
        return []
    page = files("serving_min").joinpath("storefront.html").read_text()
    window = msgspec.json.encode(_window(shop))

    async def storefront(_: HttpRequest) -> Response:
        return HTMLResponse(page)

    async def described(_: HttpRequest) -> Response:
        return json_response(window)

    async def items(http: HttpRequest) -> Response:
        return json_response(_found(shop.engine.bundle, http.query_params.get("q", "")))

    return [Route("/", storefront), Route("/dev/shop", described), Route("/dev/items", items)]


def _window(shop: Shop) -> Window:
    bundle, path = shop.engine.bundle, shop.fleet.path
    manifest = bundle.manifest
    visitors = [] if path is None else _visitors(live_bundle(path) / GOLDEN_FILE, bundle)
    return Window(manifest.name, manifest.version, len(bundle.items), [*bundle.surfaces], _categories(bundle), visitors)


def _categories(bundle: Bundle) -> list[str]:
    """Those whose items are the most popular together."""
    labels = bundle.items.category
    if labels is None:
        return []
    known = labels.codes >= 0
    worth = np.bincount(labels.codes[known], bundle.popularity[known], len(labels.names))
    return [labels.names[code] for code in np.argsort(-worth, kind="stable")[:CATEGORIES].tolist()]


def _visitors(path: Path, bundle: Bundle) -> list[Visitor]:
    visitors: dict[str, Visitor] = {}
    for line in path.read_bytes().splitlines():
        request = msgspec.json.decode(msgspec.json.decode(line, type=Golden).request, type=Request)
        if len(request.history) > 1 and request.liked == Liked():
            events = [Event(event) if isinstance(event, str) else event for event in request.history]
            known, _ = bundle.items.codes.parted([event.item for event in events])
            of = [bundle.items.description(code).category or "something" for code in known]
            latest = ", ".join(dict.fromkeys(reversed(of)))
            name = f"{len(visitors) + 1}: {len(events)} events, latest {latest[:40]}"
            visitors.setdefault(repr(events), Visitor(name, request.history))
    return [*islice(visitors.values(), VISITORS)]


def _found(bundle: Bundle, words: str) -> list[Recommendation]:
    """Items whose title or id has all the words, in the order of the catalogue."""
    wanted = words.lower().split()
    found = []
    for code in range(min(len(bundle.items), LOOKED_AT)) if wanted else ():
        described = bundle.items.description(code)
        text = f"{described.title or ''} {described.id}".lower()
        if all(word in text for word in wanted):
            found.append(replace(described, reason="found"))
            if len(found) == FOUND:
                break
    return found
