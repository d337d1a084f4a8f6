"""What every request passes on its way in: an id, other origins, keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from serving_min.guard import Gate, Guard
from serving_min.wire import REQUEST_ID, Ended, RequestIds, unheard

Origin = Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]
ONE_HOUR = 3_600  # seconds that a browser may remember what an origin may do


class DoorSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``keys`` is the file of keys (see ``serving_min.keys``); without it, and without the variable SERVING_KEYS,
    everybody may ask everything. Pages of ``origins``, "https://shop.example", may ask from within a browser; others
    may not. ``audit`` is the file that says who had which user's data shown or removed."""

    keys: str | None = None
    origins: tuple[Origin, ...] = ()
    audit: str | None = None


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
    if gate is not None:
        passed.append(Middleware(Guard, gate=gate))
    return passed
