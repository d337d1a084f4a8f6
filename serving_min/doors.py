"""What every request passes on its way in: an id, other origins, keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from msgspec import Meta, Struct
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving_min.guard import EVENTS, Gate, Guard
from serving_min.wire import REQUEST_ID, Ended, RequestIds, problem, unheard

Origin = Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]
READING = {"GET", "HEAD", "OPTIONS"}
OWN = {"same-origin", "none"}  # values of Sec-Fetch-Site; none is the user's own doing
ONE_HOUR = 3_600  # seconds that a browser may remember what an origin may do


class DoorSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``keys`` is the file of keys (see ``serving_min.keys``); without it, and without the variable SERVING_KEYS,
    everybody may ask everything. Pages of ``origins``, "https://shop.example", may ask from within a browser; those of
    others may report events, no more. ``audit`` is the file that says who had which user's data shown or removed."""

    keys: str | None = None
    origins: tuple[Origin, ...] = ()
    audit: str | None = None


class Origins:
    """Middleware: what a browser sends for a page of another origin, unless that is ``allowed``, gets no further. The
    page could not read the answer, but it would be done. What only reads may pass, and so may events: beacons come from
    the shop's pages."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self.app, self.allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["method"] not in READING else None
        await (self.app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        # a proxy may have changed the host, so what the browser itself says of the page goes first
        own = site in OWN if site else origin is None or origin.partition("://")[2] == headers.get("host")
        if own or origin in self.allowed or (scope["method"], scope["path"]) == ("POST", EVENTS):
            return None
        return problem(
            403, f"pages of {origin or 'other origins'} may not ask this; `doors.origins` names those that may"
        )


def doors(settings: DoorSettings, gate: Gate | None, ended: Ended = unheard) -> list[Middleware]:
    """In the order in which a request meets them; ``ended`` as ``RequestIds`` tells it."""
    passed = [Middleware(RequestIds, ended=ended)]
    if settings.origins:
        passed.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", REQUEST_ID],
                expose_headers=[REQUEST_ID],
                max_age=ONE_HOUR,
            )
        )
    passed.append(Middleware(Origins, allowed=settings.origins))
    if gate is not None:
        passed.append(Middleware(Guard, gate=gate))
    return passed
