"""What the server saw of a user becomes part of the request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from serving_min.events import Kind
from serving_min.history import ids_of
from serving_min.messages import Event, Request
from serving_min.state.store import Touch

DISMISSED_FOR = 7 * 86_400  # seconds: the half-life of a dismissal, and how long the item itself stays away
BOUGHT_FOR = 86_400  # seconds that a purchased item stays away even where repeats are recommended
SAME = 60  # seconds between two accounts of one event, the shop's own and the page's
RISING: tuple[Kind, ...] = ("view", "click", "cart", "purchase")  # what says more and more


class Remembered(Struct, frozen=True):
    """A request with the user's events in its history; of the items ``recalled`` it said nothing itself. ``dismissed``
    says how strongly, from 0 to 1, an item and what is like it should fade."""

    request: Request
    dismissed: dict[str, float] = {}
    recalled: frozenset[str] = frozenset()


def remember(request: Request, touches: Sequence[Touch], *, kinds: Sequence[str], now: int, keep: bool) -> Remembered:
    """Add a user's ``touches``, oldest first, to what the request says itself.

    ``kinds`` are the model's; a kind that it does not know counts as the nearest in ``RISING``, or as its first. What
    happened after ``now`` is left out. Where the request's history has no times it is taken for older; what both tell
    of counts once. ``keep`` shows again what was bought or dismissed, as a list to buy again or to be ordered must.
    """
    if not touches:
        return Remembered(request)
    touches = [touch for touch in touches if touch.time <= now]
    liked = [touch for touch in touches if touch.event in RISING]
    latest = {touch.item: touch for touch in touches}
    dismissed = {
        touch.item: 0.5 ** ((now - touch.time) / DISMISSED_FOR) for touch in latest.values() if touch.event == "dismiss"
    }
    gone = [item for item, strength in dismissed.items() if strength >= 0.5]
    gone += [touch.item for touch in liked if touch.event == "purchase" and now - touch.time < BOUGHT_FOR]
    new: frozenset[str] = frozenset()
    if liked:
        meant = _nearest_of(tuple(kinds))
        seen = [Event(touch.item, meant[touch.event], touch.time) for touch in liked]
        new = frozenset([touch.item for touch in liked]).difference(ids_of(request.history))
        request = replace(request, history=[*_told_only_by(request, seen), *seen])
    if gone and not keep:
        request = replace(request, exclude=[*request.exclude, *gone])
    return Remembered(request, dismissed, new)


def _told_only_by(request: Request, seen: Sequence[Event]) -> list[Event]:
    """What the request's own history has that was not ``seen``; where it has no time, as old as the first of those."""
    times: dict[str, list[tuple[str | None, int]]] = {}
    for event in seen if request.history else ():
        times.setdefault(event.item, []).append((event.event, event.time or 0))
    told = [Event(entry) if isinstance(entry, str) else entry for entry in request.history]
    return [
        event if event.time is not None else Event(event.item, event.event, seen[0].time)
        for event in told
        if event.item not in times
        or not any(
            (event.event is None or event.event == kind) and (event.time is None or abs(event.time - time) <= SAME)
            for kind, time in times[event.item]
        )
    ]


@lru_cache(64)
def _nearest_of(kinds: tuple[str, ...]) -> dict[Kind, str | None]:
    """For each kind the one of the model's that it counts as: of two that are equally near the one that says less."""
    there = [place for place, kind in enumerate(RISING) if kind in kinds]
    return {
        kind: RISING[min(there, key=lambda place: (abs(place - here), place))] if there else None
        for here, kind in enumerate(RISING)
    }
