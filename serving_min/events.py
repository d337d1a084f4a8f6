"""What shop fronts report: the bodies of ``POST /v1/events`` and its answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal, get_args

from msgspec import Meta, Raw, Struct, ValidationError
from msgspec.json import Decoder

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


class Receipt(Struct, frozen=True, omit_defaults=True):
    """What became of a batch: ``accepted + duplicates + rejected`` are its events.

    Those of ``unknown_items`` are kept and logged too: another bundle may know them. What is ``rejected`` is no event,
    and ``error`` says what is wrong with the first; a beacon that nobody listens to must not lose the others with it.
    """

    accepted: int
    duplicates: int
    unknown_items: int
    rejected: int = 0
    error: str = ""


class _Sent(Struct, frozen=True, forbid_unknown_fields=True):
    events: Annotated[list[Raw], Meta(max_length=MOST_REPORTED)]


_batch, _sent, _reported = Decoder(Batch).decode, Decoder(_Sent).decode, Decoder(Reported).decode


def read_batch(body: bytes) -> tuple[Batch, int, str]:
    """The events of a body, how many more there were that are none, and what is wrong with the first of those.

    Raises msgspec.DecodeError for a body that is no batch, or has no event in it that is one.
    """
    try:
        return _batch(body), 0, ""
    except ValidationError as error:
        why = str(error)
        if why.endswith(".event`"):
            why += f"; use {', '.join(get_args(Kind))}"
        sent, events = _sent(body).events, []
        for one in sent:
            with suppress(ValidationError):
                events.append(_reported(one))
        if not events:
            raise ValidationError(why) from error
        return Batch(events), len(sent) - len(events), why
