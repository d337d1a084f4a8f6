"""Questions cut from the end of a training log, for models that learn from other models' answers.

What a second stage learns must not come from events that the first stage was fitted on, or it learns to trust what
was learned by heart. So the log's last days are held out, as a split would do, and it may be done again further back:

    events   ──────────────────────────────┬──────────┬──────────┤ the log's end
    fold 0   first stage                   │          │ targets  │
    fold 1   first stage                   │ targets  │

Each fold has its own item codes: what its catalogue holds was known at its cutoff.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from serving_min.recency import SECONDS_PER_DAY


def practice_folds(
    log: InteractionLog, catalogue: Catalogue, *, days: float | None, folds: int, exclude_seen: bool
) -> Iterator[Fold]:
    """At most ``folds`` folds, the latest first, each of ``days``; those without a question are left out.

    ``days`` None holds out each user's latest moment instead, once: for data without a clock.
    ``exclude_seen``: what the history holds is no target.
    """
    if days is None:
        latest = np.zeros(log.n_users, np.int64)
        np.maximum.at(latest, log.users, log.times)
        asked = log.times == latest[log.users]
        fold = _fold(log, catalogue, ~asked, asked, latest, exclude_seen)
        if fold is not None:
            yield fold
        return
    end, length = int(log.times.max()) + 1, round(days * SECONDS_PER_DAY)
    for back in range(1, folds + 1):
        start = end - back * length
        before, asked = log.times < start, (log.times >= start) & (log.times < start + length)
        fold = _fold(log, catalogue, before, asked, np.full(log.n_users, start), exclude_seen)
        if fold is not None:
            yield fold


def _fold(
    log: InteractionLog,
    catalogue: Catalogue,
    before: NDArray[np.bool_],
    asked: NDArray[np.bool_],
    now: NDArray[np.int64],
    exclude_seen: bool,
) -> Fold | None:
    """What ``before`` teaches and ``asked`` wants, [N] each, at ``now`` [n_users]; None if nothing can be asked."""
    if not before.any():
        return None
    cutoff = int(now.max())
    known = np.bincount(log.items[before], minlength=log.n_items) > 0
    known |= catalogue.numbers(columns.AVAILABLE_FROM) < cutoff
    items = np.flatnonzero(known).astype(np.int32)
    codes = np.full(log.n_items, -1, np.int32)
    codes[items] = np.arange(len(items), dtype=np.int32)
    train = log.where(before).recode_items(codes, len(items))

    wanted = asked & known[log.items]
    pairs = np.unique(log.users[wanted] * np.int64(len(items)) + codes[log.items[wanted]])
    if exclude_seen:
        pairs = np.setdiff1d(pairs, train.users * np.int64(len(items)) + train.items, assume_unique=False)
    histories = train.histories(now)
    pairs = pairs[histories.lengths[pairs // len(items)] > 0]
    if not len(pairs):
        return None
    users, starts = np.unique(pairs // len(items), return_index=True)
    offsets = np.append(starts, len(pairs)).astype(np.int64)
    return Fold(
        train=train,
        catalogue=catalogue.take(items),
        queries=histories.take(users),
        users=users.astype(np.int32),
        target_offsets=offsets,
        target_items=(pairs % len(items)).astype(np.int32),
        n_targets=np.diff(offsets),
        target_times=now[users],
        cutoff=cutoff,
    )
