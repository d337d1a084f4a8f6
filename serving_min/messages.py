"""The bodies of requests and answers. ``/openapi.json`` is built from these types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

DEFAULT_K = 10
MOST_ITEMS = 1000  # in one answer
MOST_EVENTS = 10_000  # in one history
LAST_SECOND = 253_402_300_799  # of the year 9999; refuses milliseconds taken for seconds

ItemId = Annotated[str, Meta(description="the shop's own id of an item")]
UserId = Annotated[str, Meta(min_length=1, max_length=256, description="the shop's own id of a user")]
RequestId = Annotated[str, Meta(pattern="^[\x21-\x7e]{1,128}$", description="comes back in the answer")]
EpochSeconds = Annotated[int, Meta(ge=0, le=LAST_SECOND, description="seconds since 1970, UTC")]
Fallback = Literal[
    "empty history",
    "history has only unknown items",
    "history has only unknown events",
    "history has only unknown items and events",
    "unknown item",
    "empty cart",
    "the model has no opinion",
    "the model failed",
    "the deadline has passed",
]


class Event(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One thing the user did. Without ``event`` it counts as the model's first event kind,
    without ``time`` as done just now."""

    item: ItemId
    event: str | None = None
    time: EpochSeconds | None = None


class PriceRange(Struct, frozen=True, forbid_unknown_fields=True):
    """Both ends are included. An item of unknown price is outside every range."""

    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min:g} is above `max` {self.max:g}")


class Filters(Struct, frozen=True, forbid_unknown_fields=True):
    """What every item of the answer must satisfy.

    ``category`` and ``brand`` list the values allowed, ``not_category`` and ``not_brand`` those refused; ``market`` is
    where it must be sold, ``age`` how old its buyer is (what is unknown of an item passes these four);
    ``available: true`` keeps what is on sale at ``now`` (an item without ``available_from`` always is) and not
    out of stock.
    """

    category: list[str] | None = None
    not_category: list[str] | None = None
    brand: list[str] | None = None
    not_brand: list[str] | None = None
    price: PriceRange | None = None
    market: Annotated[str, Meta(min_length=1)] | None = None
    age: Annotated[float, Meta(ge=0)] | None = None
    available: bool = False

    @property
    def pass_unknown(self) -> bool:
        """Whether an item passes of which nothing is known."""
        return self.category is None and self.brand is None and self.price is None


class Scored(Struct, frozen=True, forbid_unknown_fields=True):
    """An item that the shop wants ordered, with the score of whoever found it."""

    id: ItemId
    score: float | None = None


class Liked(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new user said to like."""

    items: Annotated[list[ItemId], Meta(max_length=MOST_ITEMS)] = []
    categories: Annotated[list[str], Meta(max_length=MOST_ITEMS)] = []


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """The history, and what is wanted.

    The history is a list of item ids or events, oldest first; where every event has a time, it is
    sorted by time. ``user_id`` adds what the server itself saw of that user. ``item`` is the product that the page
    shows, ``cart`` what lies in the cart, ``items`` those that a page or a search engine wants ordered, best first,
    ``liked`` a new user's answers; each surface says which of them it needs. ``k: null`` means 10, or all of ``items``.
    ``exclude_seen: null`` means the surface's own policy. ``user`` gives attributes by
    name; those that the model does not know are ignored. ``now`` defaults to the server's clock.
    """

    history: Annotated[list[ItemId | Event], Meta(max_length=MOST_EVENTS)] = []
    user_id: UserId | None = None
    item: ItemId | None = None
    cart: Annotated[list[ItemId], Meta(max_length=MOST_ITEMS)] = []
    items: Annotated[list[ItemId | Scored], Meta(max_length=MOST_ITEMS)] = []
    liked: Liked = Liked()
    k: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] | None = None
    exclude: Annotated[list[ItemId], Meta(max_length=MOST_EVENTS)] = []
    exclude_seen: bool | None = None
    filters: Filters = Filters()
    user: dict[str, str] = {}
    now: EpochSeconds | None = None
    request_id: RequestId | None = None

    @property
    def wanted(self) -> int:
        """How many items the answer may have."""
        return self.k or len(self.items) or DEFAULT_K

    @property
    def given(self) -> dict[str, float | None]:
        """``items`` as they came, and their scores; what came before is not listed again."""
        given: dict[str, float | None] = {}
        for item in self.items:
            given.setdefault(*((item, None) if isinstance(item, str) else (item.id, item.score)))
        return given


class Recommendation(Struct, frozen=True, gc=False):
    """An item; ``reason`` is the retriever that spoke for it most ("model", "trending", …), or "popular in category",
    "popular in segment" or "popular" for those that the fallback filled in, whose scores do not compare with the
    others, "unknown" for those that only the request itself named. What the shop's catalogue does not say is left
    out."""

    id: ItemId
    score: Annotated[float, Meta(description="six significant digits")]
    reason: str
    title: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    brand: str | UnsetType = UNSET
    price: float | UnsetType = UNSET


class Answer(Struct, frozen=True):
    """At most k items, best first. ``fallback`` says why the surface's retrievers could not speak, if so;
    ``unknown_categories`` are those liked that the catalogue does not have, and left out where there is none."""

    items: list[Recommendation]
    request_id: str
    surface: str
    model: str
    model_version: str
    fallback: Fallback | None
    unknown_items: list[ItemId]
    unknown_events: list[str]
    unknown_categories: list[str] | UnsetType = UNSET


class Problem(Struct, frozen=True):
    """What is wrong, and where."""

    error: str


class Golden(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of ``golden.jsonl``: a request to a surface, and its answer to the byte."""

    request: msgspec.Raw
    answer: msgspec.Raw
    surface: str = "recommend"
