"""What shop fronts report: the bodies of ``POST /v1/events`` and its answer."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from serving_min.messages import EpochSeconds, UserId

MOST_REPORTED = 500  # events in one body

Kind = Literal["view", "click", "cart", "purchase", "dismiss", "impression"]
EventId = Annotated[str, Meta(min_length=1, max_length=128, description="made by the sender, once for each event")]


class Reported(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that a user did. An event that comes twice, by its ``id``, counts once.

    ``time`` defaults to the server's clock and is never later than it. ``surface``, ``request_id`` and ``position``
    (from 1) say in which answer the item stood. An ``impression`` was seen, not acted upon: it is logged and changes
    no recommendation.
    """

    id: EventId
    user: UserId
    item: Annotated[str, Meta(min_length=1, max_length=512)]
    event: Kind
    time: EpochSeconds | None = None
    surface: Annotated[str, Meta(max_length=128)] | None = None
    request_id: Annotated[str, Meta(max_length=128)] | None = None
    position: Annotated[int, Meta(ge=1, le=10_000)] | None = None


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    events: Annotated[list[Reported], Meta(max_length=MOST_REPORTED)]


class Receipt(Struct, frozen=True):
    """What became of a batch: ``accepted + duplicates`` are its events.

    Those of ``unknown_items`` are kept and logged too: another bundle may know them.
    """

    accepted: int
    duplicates: int
    unknown_items: int
