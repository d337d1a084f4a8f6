"""From marked target events to a fold: who is asked what, with which history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import SplitError
from serving_min.queries import Queries, offsets_of

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset


@dataclass(frozen=True)
class Questions:
    """Q queries over a log: the history of query q is ``log[offsets[users[q]] : ends[q]]``.

    Target event ``target_rows[t]`` of the log belongs to query ``target_queries[t]`` (ascending).
    """

    users: NDArray[np.int32]  # [Q]
    ends: NDArray[np.int64]  # [Q] row of the log where the history stops (exclusive)
    now: NDArray[np.int64]  # [Q] epoch seconds
    target_rows: NDArray[np.int64]  # [T]
    target_queries: NDArray[np.int64]  # [T]


class Policy(Protocol):
    """What is done with targets that a list cannot or must not hold, and with users unknown so far."""

    @property
    def exclude_seen(self) -> bool: ...
    @property
    def cold_items(self) -> Literal["drop", "miss", "announce"]: ...
    @property
    def cold_users(self) -> Literal["drop", "keep"]: ...


def known_items(
    dataset: Dataset, trained: InteractionLog, cutoff: int, promised: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Codes of the items that exist for a model at ``cutoff``: seen in training, announced earlier, or ``promised``.

    The data set's codes follow the first events, which for an announced item lie ahead; and the lower
    code wins a tie. So these items come last, ordered by announcement and id.
    """
    touched = np.bincount(trained.items, minlength=dataset.log.n_items) > 0
    announced = dataset.catalogue.numbers(columns.AVAILABLE_FROM)
    announced = np.where(announced < cutoff, announced, np.nan)
    announced[promised] = np.fmin(announced[promised], cutoff)
    ahead = np.flatnonzero(~touched & ~np.isnan(announced))
    ahead = ahead[np.lexsort((dataset.catalogue.ids[ahead].astype(str), announced[ahead]))]
    return np.concatenate([np.flatnonzero(touched), ahead]).astype(np.int32)


def known_attributes(log: InteractionLog, trained: InteractionLog) -> InteractionLog:
    """``trained`` with attribute values unheard of in training (no user of it has them) made unknown."""
    attributes = np.zeros_like(log.attributes)
    names = []
    present = np.unique(trained.users)
    for column, (name, values) in enumerate(log.attribute_names):
        kept = np.unique(np.append(log.attributes[present, column], 0))
        recoded = np.zeros(len(values), np.int32)
        recoded[kept] = np.arange(len(kept))
        attributes[:, column] = recoded[log.attributes[:, column]]
        names.append((name, tuple(values[code] for code in kept)))
    return replace(trained, attributes=attributes, attribute_names=tuple(names))


def build_fold(
    dataset: Dataset, train_rows: NDArray[np.bool_], questions: Questions, policy: Policy, *, cutoff: int
) -> Fold:
    """Recode everything to what is known at ``cutoff``, and settle cold and seen targets.

    Raises SplitError when no training event or no query is left.
    """
    log = dataset.log
    trained = known_attributes(log, log.where(train_rows))
    if len(trained) == 0:
        raise SplitError("the training part has no event; move the cutoff later")
    announce = policy.cold_items == "announce"
    items = known_items(dataset, trained, cutoff, log.items[questions.target_rows if announce else []])
    codes = np.full(log.n_items, -1, np.int32)
    codes[items] = np.arange(len(items), dtype=np.int32)

    targets = _distinct(log, questions)
    total = len(targets)
    counts = {"target_events": len(questions.target_rows), "targets": total}
    if policy.exclude_seen:
        seen = _seen(log, questions, targets)
        targets = targets[~seen]
        counts["targets_dropped_seen"] = int(seen.sum())
    cold = codes[log.items[targets[:, 1]]] < 0
    counts["cold_targets"] = int(cold.sum())
    if policy.cold_items == "drop":
        targets = targets[~cold]
        cold = cold[~cold]

    histories, owners = _histories(log, codes, questions)
    lengths = np.bincount(owners, minlength=len(questions.users))
    n_targets = np.bincount(targets[:, 0], minlength=len(questions.users))
    asked = n_targets > 0
    counts["queries_without_target"] = int((~asked).sum())
    counts["queries_asked"] = int(asked.sum())
    counts["cold_users"] = int((asked & (lengths == 0)).sum())
    if policy.cold_users == "drop":
        asked &= lengths > 0
    rows = np.flatnonzero(asked)
    if len(rows) == 0:
        raise SplitError(f"no query is left at the cutoff: {counts}; widen the window or keep cold users and items")
    counts["queries"] = len(rows)

    known = targets[~cold & asked[targets[:, 0]]]
    first = np.full(len(asked), np.iinfo(np.int64).max)
    np.minimum.at(first, questions.target_queries, log.times[questions.target_rows])
    queries = Queries(
        offsets=offsets_of(lengths),
        items=codes[log.items[histories]],
        events=log.events[histories],
        times=log.times[histories],
        now=questions.now,
        attributes=trained.attributes[questions.users],
        event_names=log.event_names,
    )
    return Fold(
        train=trained.recode_items(codes, len(items)),
        catalogue=dataset.catalogue.take(items).without(columns.FIRST_SEEN),  # it may lie after the cutoff
        queries=queries.take(rows),
        users=questions.users[rows],
        target_offsets=np.searchsorted(known[:, 0], np.append(rows, len(asked))).astype(np.int64),
        target_items=codes[log.items[known[:, 1]]],
        n_targets=n_targets[rows].astype(np.int64),
        target_times=first[rows],
        cutoff=cutoff,
        counts=counts,
    )


def _distinct(log: InteractionLog, questions: Questions) -> NDArray[np.int64]:
    """Pairs (query, log row) [T, 2], one row per distinct target item of a query, ordered by query."""
    keys = questions.target_queries * log.n_items + log.items[questions.target_rows]
    _, first = np.unique(keys, return_index=True)
    return np.stack([questions.target_queries[first], questions.target_rows[first]], axis=1)


def _seen(log: InteractionLog, questions: Questions, targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which targets [T, 2] their own query's history holds already: seen before the history's end."""
    pairs = log.users.astype(np.int64) * log.n_items + log.items
    order = np.argsort(pairs, kind="stable")  # a log is ordered by time within a user, so rows ascend
    wanted = pairs[targets[:, 1]]
    earliest = order[np.searchsorted(pairs[order], wanted)]
    seen: NDArray[np.bool_] = earliest < questions.ends[targets[:, 0]]
    return seen


def _histories(
    log: InteractionLog, codes: NDArray[np.int32], questions: Questions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Log rows of all histories that hold a known item, and the query each belongs to."""
    starts = log.offsets[questions.users]
    lengths = questions.ends - starts
    owners = np.repeat(np.arange(len(lengths)), lengths)
    before = offsets_of(lengths)[:-1]
    rows = np.arange(len(owners)) + np.repeat(starts - before, lengths)
    known = codes[log.items[rows]] >= 0
    return rows[known], owners[known]
