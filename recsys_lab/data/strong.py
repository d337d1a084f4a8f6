"""Strong generalisation: ask about people of whom training has never seen an event.

Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018, §4.1; Rendle et al.,
"Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022, §3.1. With
``heldout_users`` 2, ``target_share`` .5 and one draw of many:

    u1  A B C D      trains
    u2  B C D        validates: C is the target, B and D are the history
    u3  A C E F      tests: A and E are targets unless nobody of the training part touched them
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.questions import Questions, build_fold
from recsys_lab.data.split import Splitter
from recsys_lab.errors import ConfigError, SplitError

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Strong(Splitter):
    """``heldout_users`` drawn at random validate and as many test; the other ones train.

    A number below 1 is a share of all users with an event. Of each held-out user's distinct items
    ``target_share``, rounded down, are drawn as targets, with all their events; the rest is the history,
    in order. So users with too few items for one target only train. It leaks: time plays no part.
    """

    name: ClassVar[str] = "strong"
    leaks: ClassVar[bool] = True

    heldout_users: float = 0.1
    target_share: float = 0.2
    seed: int = 98765
    refit: bool = False
    allow: tuple[str, ...] = (
        "training-before-targets",
        "history-before-targets",
        "order-of-ties",
        "whole-log-filters",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heldout_users > 0:
            raise ConfigError(f"split.heldout_users: {self.heldout_users} holds nobody out; use a share or a count")
        if not 0 < self.target_share < 1:
            raise ConfigError(f"split.target_share: {self.target_share} is no share; use a number between 0 and 1")
        if self.seed < 0:
            raise ConfigError(f"split.seed: {self.seed} is no seed; use 0 or more")

    def folds(self, dataset: Dataset) -> tuple[Fold | None, Fold]:
        rng = np.random.default_rng(self.seed)
        asked, log = _targets_last(dataset.log, self.target_share, rng)
        valid_users, test_users = self._draw(dataset.log, asked, rng)
        dataset = replace(dataset, log=log)
        of_valid, of_test = np.isin(log.users, valid_users), np.isin(log.users, test_users)
        cutoff = int(log.times.max()) + 1
        train = ~(of_valid | of_test)
        valid = build_fold(dataset, train, self._ask(log, asked, valid_users), self, cutoff=cutoff)
        trained = ~of_test if self.refit else train
        return valid, build_fold(dataset, trained, self._ask(log, asked, test_users), self, cutoff=cutoff)

    def _draw(
        self, log: InteractionLog, asked: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        users = int((np.diff(log.offsets) > 0).sum())
        size = int(self.heldout_users * users) if self.heldout_users < 1 else int(self.heldout_users)
        able = np.flatnonzero(asked)
        if not 0 < 2 * size < users or len(able) < 2 * size:
            raise SplitError(
                f"split.heldout_users: {self.heldout_users} of {users} users twice, of whom {len(able)} have enough "
                f"items for target_share={self.target_share}; hold out fewer, but at least one"
            )
        drawn = rng.permutation(able)
        return np.sort(drawn[:size]), np.sort(drawn[size : 2 * size])

    def _ask(self, log: InteractionLog, asked: NDArray[np.int64], users: NDArray[np.int64]) -> Questions:
        """One query per user: the last ``asked`` [U] of its rows are targets, the others the history."""
        ends = log.offsets[users + 1] - asked[users]
        owners = np.repeat(np.arange(len(users)), asked[users])
        rows = np.arange(len(owners)) + np.repeat(log.offsets[users + 1] - asked[users].cumsum(), asked[users])
        wanted = self.may_be_target(log)[rows]
        now = np.full(len(users), int(log.times.max()) + 1, np.int64)
        return Questions(users.astype(np.int32), ends, now, rows[wanted], owners[wanted])


def _targets_last(
    log: InteractionLog, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], InteractionLog]:
    """Draw ``share`` of each user's distinct items and move their events behind the user's others.

    Returns how many events were moved, [U], and the log.
    """
    pairs, place = np.unique(log.users.astype(np.int64) * log.n_items + log.items, return_inverse=True)
    owners = pairs // log.n_items
    held = np.bincount(owners, minlength=log.n_users)
    shuffled = np.lexsort((rng.random(len(pairs)), owners))
    rank = np.empty(len(pairs), np.int64)
    rank[shuffled] = np.arange(len(pairs)) - np.repeat(held.cumsum() - held, held)
    target = (rank < (share * held).astype(np.int64)[owners])[place]
    order = np.lexsort((np.arange(len(log)), target, log.users))
    return np.bincount(log.users[target], minlength=log.n_users), log.where(order)
