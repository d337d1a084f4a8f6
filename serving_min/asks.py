"""A request as one bundle understands it: codes instead of ids, and what the list may hold."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from serving_min.bounds import Bounds, Codes
from serving_min.history import KnownHistory, read_history
from serving_min.item_codes import ItemCodes
from serving_min.items import Items
from serving_min.manifest import History as Vocabulary
from serving_min.messages import Fallback, Liked, Request
from serving_min.popularity import Popularity
from serving_min.recent_codes import UNKNOWN
from serving_min.surfaces import GIVEN, POPULAR, SEGMENT, Surface

MOST_OF_A_LIKED_CATEGORY = 3  # of its most popular items stand for a category that a new user likes
MOST_CATEGORIES = 10_000  # whose items are remembered


class Asked(Struct, frozen=True):
    """A request to one surface. ``until`` is the reading of the engine's timer after which nothing slow is begun;
    ``dismissed`` says how strongly, from 0 to 1, an item and what is like it should fade. Of the items ``recalled``
    only the server's own memory spoke, so unknown ones are not reported. Up to ``depth`` candidates are told of, where
    more were scored than are wanted."""

    request: Request
    surface: str
    until: float | None = None
    dismissed: Mapping[str, float] = {}
    recalled: frozenset[str] = frozenset()
    depth: int = 0


class Ask(Struct, frozen=True, eq=False):
    """``histories`` by what a retriever may be asked of; ``wanted`` are the request's items, as they came, and their
    scores, ``given`` the known ones of them. Retrievers look within ``look``, which is as wide as the rules want; the
    list is to be within ``bounds``."""

    asked: Asked
    surface: Surface
    now: int
    histories: Mapping[str, KnownHistory]
    wanted: Mapping[str, float | None]
    given: Mapping[int, float | None]
    bounds: Bounds
    look: Bounds

    @property
    def request(self) -> Request:
        return self.asked.request

    @property
    def silence(self) -> Fallback | None:
        """Why the retrievers have nothing to answer from, if so."""
        of = []
        for asked in self.surface.retrievers:
            if asked.source not in (GIVEN, POPULAR, SEGMENT):
                if self.histories[asked.of].items:
                    return None
                of.append(asked.of)
        if not of:
            return None
        if "history" in of:
            return self.histories["history"].silence
        return "unknown item" if any(self.histories[name].unknown_items for name in of) else "empty cart"

    @property
    def unknown_items(self) -> list[str]:
        return [*dict.fromkeys(chain.from_iterable([history.unknown_items for history in self.histories.values()]))]


def understand(
    asked: Asked,
    surface: Surface,
    items: Items,
    vocabulary: Vocabulary,
    *,
    now: int,
    keep: bool,
    typical: Sequence[str] = (),
    usual: list[int] | None = None,
) -> Ask:
    """``keep`` is whether the bundle's policy recommends items of the history again. The ``typical`` items, which stand
    for what a new user likes, are part of the history without having been seen. ``usual`` are the codes of the
    request's own history, where somebody has found them all."""
    request = asked.request
    codes = items.codes

    def read(stand_ins: Sequence[str]) -> KnownHistory:
        whole = with_likes(request, stand_ins)
        found = usual if whole is request else None
        mine = asked.recalled
        return read_history(whole, codes, vocabulary, now, counted=surface.events, usual=found, recalled=mine)

    history = read(typical)
    seen = read(()).items if typical else history.items
    nothing = KnownHistory([], None, None, now, history.attributes, [], [])
    item = replace_items(history, [request.item], codes) if request.item else nothing
    cart = replace_items(history, request.cart, codes) if request.cart else nothing
    histories = {"history": history, "item": item, "cart": cart}
    wanted = request.given
    given: dict[int, float | None] = {}
    if wanted:
        named = zip(codes.find([*wanted]), wanted.values(), strict=True)
        given = {code: score for code, score in named if code != UNKNOWN}
    among = _among(surface, given, seen, bool(request.items))
    barred, _ = codes.parted(request.exclude)
    if not request.items:  # what is given to be ordered comes back, wherever the user saw it
        barred += item.items
        barred += cart.items
    exclude = surface.seen == "exclude" or (surface.seen == "policy" and not keep)
    if request.exclude_seen if request.exclude_seen is not None else exclude:
        barred += seen
    allowed = items.allowed(request.filters, now)
    distinct = {*barred}
    bounds = Bounds(request.wanted, np.fromiter(distinct, np.int32, len(distinct)), allowed, among)
    return Ask(asked, surface, now, histories, wanted, given, bounds, look=bounds)


def replace_items(history: KnownHistory, ids: Sequence[str], codes: ItemCodes) -> KnownHistory:
    """The same user, as if the history were these items, of the first kind and just now."""
    known, unknown = codes.parted(ids)
    return KnownHistory(known, None, None, history.now, history.attributes, unknown, [])


class Typical:
    """The most popular items of each category that a new user likes."""

    def __init__(self, items: Items, popularity: Popularity) -> None:
        self.of = lru_cache(MOST_CATEGORIES)(partial(_typical, items, popularity))

    def likes(self, liked: Liked) -> list[str]:
        return [item for name in liked.categories for item in self.of(name)]


def _typical(items: Items, popularity: Popularity, category: str) -> list[str]:
    """Best last."""
    if items.category is None:
        return []
    kin = popularity.top(MOST_OF_A_LIKED_CATEGORY, items.category.among([category]))
    return [items.ids.at(code) for code in kin[::-1].tolist()]


def unknown_categories(liked: Liked, items: Items) -> list[str]:
    """Those that a new user likes and no item has."""
    known: Container[str] = () if items.category is None else items.category.with_part
    return [name for name in dict.fromkeys(liked.categories) if name not in known]


def with_likes(request: Request, typical: Sequence[str]) -> Request:
    """A new user's likes as a history: items liked, after what is ``typical`` of the categories liked."""
    likes = [*typical, *request.liked.items]
    return replace(request, history=[*request.history, *likes]) if likes else request


def _among(surface: Surface, given: Mapping[int, float | None], seen: Sequence[int], ordering: bool) -> Codes | None:
    if surface.seen == "only":
        return _codes(set(seen))
    return _codes(set(given)) if ordering else None


def _codes(codes: set[int]) -> Codes:
    return np.array(sorted(codes), np.int32)
