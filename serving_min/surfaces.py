"""``surfaces.json``: the places in the shop that show recommendations, and how each makes its list.

A surface names the retrievers whose lists it joins, what it does with items of the history, and what
it shows where none of them speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from serving_min.blend import By
from serving_min.errors import RequestError
from serving_min.messages import Request
from serving_min.rules import Rules

MODEL, SIMILAR, GIVEN, POPULAR, SEGMENT = "model", "similar", "given", "popular", "segment"
BUILT_IN = (MODEL, SIMILAR, GIVEN, POPULAR)  # in every bundle; "segment" is where there are segments
RECOMMEND = "recommend"
PLAIN_NAME = re.compile("[a-z][a-z0-9-]*")
TAKEN = ("events", "model", "users")  # names that other routes have under /v1

Needs = Literal["nothing", "item", "items", "liked"]
Seen = Literal["policy", "exclude", "keep", "only"]
Fallback = Literal["category", "segment", "popular"]


class Retriever(Struct, frozen=True, forbid_unknown_fields=True):
    """``source`` is "model" (the bundle's own), the name of a companion, "similar" (to the item asked ``of``), "given"
    (the request's own ``items`` in their own order), "popular" or "segment" (popular among users with the same
    attributes). It is asked with the history, or as if the page's item, or what lies in the cart, were the history;
    ``to`` newcomers only where the user's own history is empty."""

    source: Annotated[str, Meta(min_length=1)]
    of: Literal["history", "item", "cart"] = "history"
    to: Literal["everybody", "newcomers"] = "everybody"
    weight: Annotated[float, Meta(gt=0)] = 1.0


class Surface(Struct, frozen=True, forbid_unknown_fields=True):
    """One retriever's list is taken as it is; several, of ``depth`` items each, are joined as ``serving_min.blend``
    says, each with its ``weight``.

    ``needs`` names the field without which a request makes no sense here. ``seen`` says what becomes of the items of
    the history: left out, kept, or the ``only`` ones to be shown; ``policy`` is the bundle's own. ``events`` names the
    kinds that the history is made of here (none: all; so too where the model knows none of them); what names no kind
    belongs to it. ``fallback`` fills up what is left: the most popular of the categories concerned, then of the user's
    segments, then of all.
    """

    retrievers: tuple[Retriever, ...]
    needs: Needs = "nothing"
    seen: Seen = "policy"
    events: tuple[str, ...] = ()
    by: By = "ranks"
    smoothing: Annotated[float, Meta(ge=0)] = 60.0
    depth: Annotated[int, Meta(ge=1)] = 100
    fallback: tuple[Fallback, ...] = ("category", "segment", "popular")
    rules: Rules = Rules()

    def check(self, request: Request, name: str) -> None:
        """Raises RequestError when the request lacks what this surface is about."""
        if self.needs == "nothing":
            return
        given = {"item": request.item, "items": request.items, "liked": request.liked.items or request.liked.categories}
        if not given[self.needs]:
            raise RequestError(f"the surface {name!r} needs `{self.needs}` - at `$.{self.needs}`")

    @property
    def personal(self) -> bool:
        """Whether the answer depends on more than the page's item: on the user, or on what the request's id draws.

        A fallback by segment does not make it so: who asks for an item alone says nothing of a user.
        """
        if self.rules.exploration is not None:
            return True
        of_user = any(asked.of != "item" or asked.source == SEGMENT for asked in self.retrievers)
        return self.needs != "item" or self.seen != "keep" or of_user

    @property
    def by_segment(self) -> bool:
        """Whether a newcomer may get what is popular in their segment, without saying more of what they want."""
        asks = SEGMENT in self.fallback or any(asked.source == SEGMENT for asked in self.retrievers)
        return asks and self.needs == "nothing"


Surfaces = Mapping[str, Surface]
PLAIN = Surface((Retriever(MODEL),), fallback=("popular",))  # the model's own list, as it was evaluated
MINIMUM: Surfaces = {
    RECOMMEND: PLAIN,
    "similar": Surface((Retriever(SIMILAR, "item"),), needs="item", seen="keep"),
    "rank": Surface((Retriever(MODEL),), needs="items", seen="keep", fallback=("popular",)),
}


def with_sources(surfaces: Surfaces, others: Iterable[str]) -> dict[str, Surface]:
    """The surfaces as far as they can be had: without retrievers whose source is neither built in nor of the ``others``
    (companions, segments)."""
    there = {*BUILT_IN, *others}
    kept = {
        name: replace(surface, retrievers=tuple(asked for asked in surface.retrievers if asked.source in there))
        for name, surface in surfaces.items()
    }
    return {**MINIMUM, **kept}
