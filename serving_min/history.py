"""From the ids of a request to the codes that a model understands."""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import itemgetter
from typing import cast

import numpy as np
from msgspec import Struct

from serving_min.item_codes import ItemCodes
from serving_min.manifest import History as Vocabulary
from serving_min.messages import Event, Fallback, Request
from serving_min.queries import Queries
from serving_min.recent_codes import UNKNOWN


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
    recalled: Container[str] = (),
) -> KnownHistory:
    """Leave out, and report, events of unknown items or of unknown kinds.

    Where every event has a time they are sorted by it, else they stay in the order given. An event
    without a time happened ``now``, one without a kind is of the first kind. If the model knows any of the kinds that
    are ``counted``, events that name another one of its kinds are left out, and not reported. ``usual`` are the
    codes of all items, where somebody has found them. Unknown ones of the items ``recalled`` are not reported.
    """
    attributes = [
        values.index(request.user[name]) if request.user.get(name) in values else 0
        for name, values in vocabulary.attributes
    ]
    ids = ids_of(request.history)
    if ids is request.history:  # which names neither kinds nor times
        known, strangers = codes.parted(ids) if usual is None else (usual, [])
        return KnownHistory(known, None, None, now, attributes, _distinct(strangers), [])
    found = codes.find(ids) if usual is None else usual
    kinds = {name: code for code, name in enumerate(vocabulary.events)}
    others = kinds.keys() - counted if kinds.keys() & counted else set()
    events = [Event(entry) if isinstance(entry, str) else entry for entry in request.history]
    rows = [*zip([event.time for event in events], [event.event for event in events], found, ids, strict=True)]
    if recalled and UNKNOWN in found:
        rows = [row for row in rows if row[2] != UNKNOWN or row[3] not in recalled]
    if others:
        rows = [row for row in rows if row[1] not in others]
    if all(time is not None for time, _, _, _ in rows):
        rows.sort(key=itemgetter(0))
    strange = [name for _, name, _, _ in rows if name is not None and name not in kinds]
    strangers = [item for _, _, code, item in rows if code == UNKNOWN]
    if strange or strangers:
        rows = [row for row in rows if row[2] != UNKNOWN and (row[1] is None or row[1] in kinds)]
    return KnownHistory(
        items=[code for _, _, code, _ in rows],
        events=[0 if name is None else kinds[name] for _, name, _, _ in rows],
        times=[now if time is None else time for time, _, _, _ in rows],
        now=now,
        attributes=attributes,
        unknown_items=_distinct(strangers),
        unknown_events=_distinct(strange),
    )


def ids_of(history: Sequence[str | Event]) -> Sequence[str]:
    """The items of a request's history; the history itself where it is of ids alone."""
    if {*map(type, history)} <= {str}:
        return cast("Sequence[str]", history)
    return [entry if isinstance(entry, str) else entry.item for entry in history]


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
