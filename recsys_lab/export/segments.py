"""``segments.npz``: what is popular among the users who share a value of an attribute, for newcomers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.log import InteractionLog
from recsys_lab.export.settings import ExportSettings
from recsys_lab.models.base import Recommender, recent_popularity
from recsys_lab.models.popular import Popular
from serving_min.manifest import Segments as Described

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """One segment: ``attribute`` is the place in ``Described.attributes``, ``value`` the code in the log's names."""

    attribute: int
    value: int
    items: NDArray[np.int32]  # the most popular first, ties to the lower code
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Segments:
    described: Described
    tables: list[Table]

    def write(self, path: Path) -> None:
        np.savez(
            path,
            attributes=np.array([table.attribute for table in self.tables], np.int32),
            values=np.array([table.value for table in self.tables], np.int32),
            offsets=np.concatenate([[0], np.cumsum([len(table.items) for table in self.tables])]).astype(np.int64),
            items=np.concatenate([table.items for table in self.tables]),
            scores=np.concatenate([table.scores for table in self.tables]),
        )


def find_segments(model: Recommender, train: InteractionLog, settings: ExportSettings) -> Segments | None:
    """The segments of ``settings.segments`` that enough users of ``train`` are in; None if there are none.

    Counted as the fallback of all users counts, so that the scores of all values of an attribute, the unknown one
    included, add up to its scores. Only the model's candidates are named.
    """
    known = [name for name, _ in train.attribute_names]
    wanted = [name for name in settings.segments or [] if name in known]
    if known and len(wanted) < len(settings.segments or []):
        missing = [name for name in settings.segments or [] if name not in known]
        LOG.warning("no segments by %s, which users do not have; they have %s", missing, known)
    weights, users = event_weights(model, train), np.unique(train.users)
    tables = []
    for attribute, name in enumerate(wanted):
        of_users = train.attributes[:, known.index(name)]
        supported = np.flatnonzero(np.bincount(of_users[users]) >= settings.segment_users)
        of_events = of_users[train.users]
        by_value = np.argsort(of_events, kind="stable")
        starts = np.searchsorted(of_events, np.arange(of_users.max() + 2), sorter=by_value)
        for value in supported[supported > 0].tolist():
            events = by_value[starts[value] : starts[value + 1]]
            items, scores = _most_popular(train.items[events], weights[events], model.candidates, settings)
            if len(items):
                tables.append(Table(attribute, value, items, scores))
    if not tables:
        return None
    described = Described(tuple(wanted), len(tables), settings.segment_users, settings.segment_items)
    return Segments(described, tables)


def event_weights(model: Recommender, train: InteractionLog) -> NDArray[np.float32]:
    """What each event counts in the model's fallback, [N]: popularity, as if each event were of an item of its own."""
    apart = replace(train, items=np.arange(len(train), dtype=np.int32), n_items=len(train))
    if not isinstance(model, Popular):
        return recent_popularity(apart)
    return recent_popularity(
        apart,
        half_life_days=model.half_life_days,
        window_days=model.window_days,
        event_weights=model.event_weights,
    )


def _most_popular(
    items: NDArray[np.int32], weights: NDArray[np.float32], candidates: NDArray[np.bool_], settings: ExportSettings
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    codes, places = np.unique(items, return_inverse=True)
    scores = np.bincount(places, weights).astype(np.float32)
    kept = candidates[codes] & (scores > 0)
    codes, scores = codes[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[: settings.segment_items]
    return codes[order].astype(np.int32), scores[order]
