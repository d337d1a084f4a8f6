"""One cutoff in time: what may be learned before it, and what is asked after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from serving_min.queries import Queries


@dataclass(frozen=True)
class Fold:
    """A training log with its catalogue, and Q queries with the items each should find.

    Item codes are those of ``catalogue``: the items known by the cutoff, nothing later.
    Targets are distinct items per query. ``n_targets`` also counts relevant items that the
    catalogue cannot know (cold targets), where the split keeps those as misses, so it is the
    denominator of recall and may exceed the number of codes.
    """

    train: InteractionLog
    catalogue: Catalogue
    queries: Queries
    users: NDArray[np.int32]  # [Q] whose query it is, for per-user statistics and never for models
    target_offsets: NDArray[np.int64]  # [Q + 1]
    target_items: NDArray[np.int32]  # [T], distinct in a query
    n_targets: NDArray[np.int64]  # [Q]
    target_times: NDArray[np.int64]  # [Q] epoch seconds of the query's earliest target
    cutoff: int  # epoch seconds: training events are earlier
    counts: dict[str, int] = field(default_factory=dict)  # what was dropped, and cold shares, by name

    def __len__(self) -> int:
        return len(self.queries)

    def to_dict(self) -> dict[str, Any]:
        """Its sizes, in JSON."""
        return {
            "train_events": len(self.train),
            "train_users": len(np.unique(self.train.users)),
            "items": len(self.catalogue),
            "queries": len(self),
            "cutoff": self.cutoff,
            "counts": self.counts,
        }


@dataclass(frozen=True)
class Split:
    """The validation fold, if any, before the test fold, with the protocol both follow.

    With ``refit`` the test fold's training log reaches up to the test cutoff; otherwise it is
    the validation fold's.
    """

    name: str
    test: Fold
    valid: Fold | None
    exclude_seen: bool
    refit: bool
    leaks: bool  # the protocol itself looks into the future (leave-one-out)
    fingerprint: str
    allowed: tuple[str, ...] = ()  # audit findings that the protocol allows
    settings: dict[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The protocol and the sizes of its folds, in JSON."""
        folds = {"test": self.test} if self.valid is None else {"valid": self.valid, "test": self.test}
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "leaks": self.leaks,
            "exclude_seen": self.exclude_seen,
            "settings": self.settings,
            "folds": {name: fold.to_dict() for name, fold in folds.items()},
        }
