"""A bundle with all that was said of items since: a new object that shares what did not change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from serving_min.assortment.changes import Assortment, ItemEntry
from serving_min.assortment.columns import with_rows
from serving_min.assortment.vectors import Grown
from serving_min.bundle import Bundle
from serving_min.errors import RequestError
from serving_min.items import Items
from serving_min.new_items import NewItems
from serving_min.static import Static
from serving_min.vectors import Vectors

LOG = logging.getLogger(__name__)
BLOCK = 256  # entries that the item tower reads at once


class Embedder:
    """The item tower's vectors, remembered as long as their entries are said: each is made once for each model."""

    def __init__(self) -> None:
        self._known: dict[str, dict[ItemEntry, NDArray[np.float32]]] = {}

    def vectors(self, bundle: Bundle, entries: Sequence[ItemEntry]) -> list[NDArray[np.float32] | None]:
        """One for each entry; None where the bundle has no tower, or the tower would have to be told more."""
        tower = bundle.new_items
        if tower is None:
            return [None] * len(entries)
        known = self._known.get(bundle.manifest.version, {})
        missing = [entry for entry in entries if entry not in known]
        made: dict[ItemEntry, NDArray[np.float32]] = {}
        for start in range(0, len(missing), BLOCK):
            made |= _made(tower, missing[start : start + BLOCK])
        both = {**known, **made}
        self._known[bundle.manifest.version] = {entry: both[entry] for entry in entries if entry in both}
        return [both.get(entry) for entry in entries]


def _made(tower: NewItems, entries: Sequence[ItemEntry]) -> dict[ItemEntry, NDArray[np.float32]]:
    try:
        return dict(zip(entries, tower.vectors([entry.content for entry in entries]), strict=True))
    except RequestError as error:  # the tower of the bundle to which they were said took them; this one does not
        if len(entries) > 1:
            return {entry: vector for one in entries for entry, vector in _made(tower, [one]).items()}
        LOG.warning("the item %s has no vector: %s", entries[0].id, error)
        return {}


def unknown(bundle: Bundle, said: Assortment) -> tuple[dict[int, ItemEntry], list[ItemEntry]]:
    """What the bundle does not know: changed items by code, and new ones. What was said of one of its items before it
    was created is older than its catalogue, and does not count."""
    created = datetime.fromisoformat(bundle.manifest.created).timestamp()
    changed: dict[int, ItemEntry] = {}
    new: list[ItemEntry] = []
    for item, known in said.entries.items():
        code = bundle.items.codes.get(item)
        if code is None:
            new.append(known.entry)
        elif known.time > created:
            changed[code] = known.entry
    return changed, new


def applied(bundle: Bundle, said: Assortment, embedder: Embedder) -> Bundle:
    """The bundle with what it does not know; what is hidden stays so.

    A new item gets its vector from the item tower, and as popularity the mean of its category's. It is found by models
    that have such a vector, by filters, and by the fallback.
    """
    items, known = bundle.items, len(bundle.items)
    changed, more = unknown(bundle, said)
    if not (changed or more or said.hidden):
        return bundle
    grown = with_rows(items, changed, more)
    hidden = [code for code in map(grown.codes.get, said.hidden) if code is not None]
    shown = np.ones(len(grown), np.bool_)
    shown[hidden] = False
    candidates = np.concatenate([bundle.candidates, np.ones(len(more), np.bool_)]) & shown
    popularity = np.concatenate([bundle.popularity, _popularity(bundle, grown, known)])
    companions = {
        name: _longer(part, len(more)) if isinstance(part, Static) else part for name, part in bundle.companions.items()
    }
    model = bundle.model
    if isinstance(model, Vectors) and more:
        vectors = embedder.vectors(bundle, more)
        placed = [(known + number, vector) for number, vector in enumerate(vectors) if vector is not None]
        new_codes = np.array([code for code, _ in placed], np.int32)
        new_vectors = np.array([vector for _, vector in placed], np.float32).reshape(-1, model.vectors.width)
        model = Grown.from_model(model, known, new_codes, new_vectors)
    return replace(
        bundle,
        items=replace(grown, shown=shown if hidden else None),
        popularity=popularity,
        candidates=candidates,
        model=model,
        companions=companions,
        known=known if more else None,
    )


def _popularity(bundle: Bundle, grown: Items, known: int) -> NDArray[np.float32]:
    """Of the new items, [N]: the mean of the candidates of the same category, 0 where there are none."""
    if grown.category is None:
        return np.zeros(len(grown) - known, np.float32)
    there = np.flatnonzero(bundle.candidates)
    of = grown.category.codes[there]
    there, of = there[of >= 0], of[of >= 0]
    size = len(grown.category.names) + 1  # the last place is for code -1
    counts = np.bincount(of, minlength=size)
    means = np.bincount(of, bundle.popularity[there], size) / np.maximum(counts, 1)
    popularity: NDArray[np.float32] = means[grown.category.codes[known:]].astype(np.float32)
    return popularity


def _longer(part: Static, by: int) -> Static:
    """With items that it says nothing of."""
    scores = np.concatenate([part.scores, np.zeros(by, np.float32)])
    return Static(scores, np.concatenate([part.candidates, np.zeros(by, np.bool_)]))
