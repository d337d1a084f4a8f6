"""Parts of a fold: the same questions, with only some of their targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.fold import Fold
from serving_min.queries import offsets_of


def cold_targets(fold: Fold) -> NDArray[np.bool_]:
    """Which of the fold's targets [T] have no training event: the catalogue's entry is all there is to go by."""
    cold: NDArray[np.bool_] = fold.train.item_counts()[fold.target_items] == 0
    return cold


def with_targets(fold: Fold, keep: NDArray[np.bool_]) -> tuple[Fold, NDArray[np.int64]]:
    """The queries that keep a target of those marked [T], asked about these alone, and their rows in the fold.

    Targets that the catalogue does not know are left out of every count, unlike in the fold itself.
    """
    rows = np.repeat(np.arange(len(fold)), np.diff(fold.target_offsets))[keep]
    counts = np.bincount(rows, minlength=len(fold))
    chosen = np.flatnonzero(counts)
    part = replace(
        fold,
        queries=fold.queries.take(chosen),
        users=fold.users[chosen],
        target_offsets=offsets_of(counts[chosen]),
        target_items=fold.target_items[keep],
        n_targets=counts[chosen].astype(np.int64),
        target_times=fold.target_times[chosen],
    )
    return part, chosen
