"""From the ids of a request to the codes that a model understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from msgspec import Struct

from serving_min.item_codes import ItemCodes
from serving_min.manifest import History as Vocabulary
from serving_min.messages import Event, Fallback, Request
from serving_min.queries import Queries
from serving_min.remembered import UNKNOWN


class KnownHistory(Struct, frozen=True):
    """The events of a request that the model knows, oldest first, and what it does not know. Without ``events`` they
    are of the model's first kind, without ``times`` they happened ``now``."""

    items: list[int]
    events: list[int] | None
    times: list[int] | None
    now: int
    attributes: list[int]
    unknown_items: list[str]
    unknown_events: list[str]

    @property
    def silence(self) -> Fallback | None:
        """Why nothing is left to answer from, if so."""
        if self.items:
            return None
        if self.unknown_items and self.unknown_events:
            return "history has only unknown items and events"
        if self.unknown_items:
            return "history has only unknown items"
        return "history has only unknown events" if self.unknown_events else "empty history"


def read_history(
    request: Request,
    codes: ItemCodes,
    vocabulary: Vocabulary,
    now: int,
    *,
    counted: Sequence[str] = (),
    usual: list[int] | None = None,
) -> KnownHistory:
    """Leave out, and report, events of unknown items or of unknown kinds.

    Where every event has a time they are sorted by it, else they stay in the order given. An event
    without a time happened ``now``, one without a kind is of the first kind. If the model knows any of the kinds that
    are ``counted``, events that name another one of its kinds are left out, and not reported. ``usual`` are the
    codes of a history of ids alone, where somebody has found them all.
    """
    attributes = [
        values.index(request.user[name]) if request.user.get(name) in values else 0
        for name, values in vocabulary.attributes
    ]
    if usual is not None:
        return KnownHistory(usual, None, None, now, attributes, [], [])
    if {*map(type, request.history)} <= {str}:
        ids = cast("list[str]", request.history)
        items = codes.find(ids)
        strangers = [item for item, code in zip(ids, items, strict=True) if code == UNKNOWN]
        items = [code for code in items if code != UNKNOWN]
        return KnownHistory(items, None, None, now, attributes, _distinct(strangers), [])
    kinds = {name: code for code, name in enumerate(vocabulary.events)}
    others = kinds.keys() - counted if kinds.keys() & counted else set()
    events = [Event(entry) if isinstance(entry, str) else entry for entry in request.history]
    events = [event for event in events if event.event not in others]
    if all(event.time is not None for event in events):
        events.sort(key=lambda event: event.time or 0)
    strange = [event.event for event in events if event.event is not None and event.event not in kinds]
    found = [*zip(events, codes.find([event.item for event in events]), strict=True)]
    known = [
        (event, code) for event, code in found if code != UNKNOWN and (event.event is None or event.event in kinds)
    ]
    return KnownHistory(
        items=[code for _, code in known],
        events=[0 if event.event is None else kinds[event.event] for event, _ in known],
        times=[now if event.time is None else event.time for event, _ in known],
        now=now,
        attributes=attributes,
        unknown_items=_distinct([event.item for event, code in found if code == UNKNOWN]),
        unknown_events=_distinct(strange),
    )


def to_queries(histories: Sequence[KnownHistory], vocabulary: Vocabulary) -> Queries:
    """One query for each history, in order."""
    unnamed = all(history.events is None for history in histories)
    untimed = all(history.times is None for history in histories)
    return Queries.from_histories(
        [history.items for history in histories],
        events=None if unnamed else [history.events or [0] * len(history.items) for history in histories],
        times=None if untimed else [history.times or [history.now] * len(history.items) for history in histories],
        now=[history.now for history in histories],
        attributes=np.array([history.attributes for history in histories], np.int32).reshape(
            len(histories), len(vocabulary.attributes)
        ),
        event_names=vocabulary.events,
    )


def _distinct(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
