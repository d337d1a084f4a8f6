"""The interaction log as dense arrays: what every model is fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.errors import ConfigError, SchemaError
from serving_min.queries import Queries

Counts = Literal["binary", "sum", "weight"]


@dataclass(frozen=True)
class InteractionLog:
    """N events ordered by user, then time, then their order in the source.

    ``users`` and ``items`` are dense codes below ``n_users`` and ``n_items``; a code may have
    no event (an item of the catalogue that nobody touched). ``weights`` are the preparation's
    event weights, ``values`` what the source gave (quantity, rating), ``attributes`` codes of
    user attributes where 0 is unknown.
    """

    users: NDArray[np.int32]  # [N]
    items: NDArray[np.int32]  # [N]
    times: NDArray[np.int64]  # [N] epoch seconds
    events: NDArray[np.int8]  # [N] index into event_names
    values: NDArray[np.float32]  # [N]
    weights: NDArray[np.float32]  # [N]
    sessions: NDArray[np.int32]  # [N]
    baskets: NDArray[np.int32]  # [N], -1 = none
    attributes: NDArray[np.int32]  # [n_users, A]
    n_items: int
    event_names: tuple[str, ...] = ("view",)
    attribute_names: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (attribute, values by code, "" first)

    @classmethod
    def from_events(
        cls,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        times: NDArray[np.int64],
        *,
        n_users: int | None = None,
        n_items: int | None = None,
        events: NDArray[np.int8] | None = None,
        weights: NDArray[np.float32] | None = None,
        event_names: tuple[str, ...] = ("view",),
    ) -> InteractionLog:
        """Order loose arrays and fill in what is missing; for notebooks and tests.

        Raises SchemaError when they are of different lengths, or hold anything but epoch seconds and codes below the
        numbers given.
        """
        users, items, times = np.asarray(users), np.asarray(items), np.asarray(times)
        size = len(users)
        if not size == len(items) == len(times):
            raise SchemaError(f"log: {size} users, {len(items)} items, {len(times)} times; give one of each")
        if times.dtype.kind not in "iuf":
            raise SchemaError(f"log: times are {times.dtype}; give epoch seconds")
        n_users, n_items = _number("users", users, n_users), _number("items", items, n_items)
        order = np.lexsort((np.arange(size), times, users))
        return cls(
            users=users[order].astype(np.int32),
            items=items[order].astype(np.int32),
            times=times[order].astype(np.int64),
            events=np.zeros(size, np.int8) if events is None else events[order].astype(np.int8),
            values=np.ones(size, np.float32),
            weights=np.ones(size, np.float32) if weights is None else weights[order].astype(np.float32),
            sessions=users[order].astype(np.int32),
            baskets=np.full(size, -1, np.int32),
            attributes=np.zeros((n_users, 0), np.int32),
            n_items=n_items,
            event_names=event_names,
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        return len(self.attributes)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each user's events begin, [n_users + 1]."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1)).astype(np.int64)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> InteractionLog:
        """The events that ``keep`` [N] marks, or the rows it names in their new order; codes stay as they are."""
        return replace(
            self,
            users=self.users[keep],
            items=self.items[keep],
            times=self.times[keep],
            events=self.events[keep],
            values=self.values[keep],
            weights=self.weights[keep],
            sessions=self.sessions[keep],
            baskets=self.baskets[keep],
        )

    def recode_items(self, codes: NDArray[np.int32], n_items: int) -> InteractionLog:
        """Item code c becomes ``codes[c]``; events of items with code -1 are left out."""
        recoded = codes[self.items]
        return replace(self.where(recoded >= 0), items=recoded[recoded >= 0], n_items=n_items)

    def histories(self, now: NDArray[np.int64] | int) -> Queries:
        """Every user's whole history as queries asked at ``now``, in user order."""
        return Queries(
            offsets=self.offsets,
            items=self.items,
            events=self.events,
            times=self.times,
            now=np.broadcast_to(np.asarray(now, np.int64), (self.n_users,)),
            attributes=self.attributes,
            event_names=self.event_names,
        )

    def matrix(self, counts: Counts = "binary") -> sparse.csr_array:
        """Users × items, float32: 1, the number of events, or the sum of their weights."""
        if counts not in get_args(Counts):
            raise ConfigError(f"counts: {counts!r} is unknown; use one of {', '.join(get_args(Counts))}")
        if counts == "weight" and not self.weights.any():
            raise ConfigError("counts: weight leaves nothing of events that all weigh 0; use binary or sum")
        data = self.weights if counts == "weight" else np.ones(len(self), np.float32)
        shape = (self.n_users, self.n_items)
        rows = (data, self.items, self.offsets)  # copied, for duplicates are summed in place
        matrix = sparse.csr_array(rows, shape=shape, dtype=np.float32, copy=True)
        matrix.sum_duplicates()
        if counts == "binary":
            matrix.data[:] = 1
        return matrix

    def item_counts(self) -> NDArray[np.int64]:
        """Events per item, [n_items]."""
        return np.bincount(self.items, minlength=self.n_items).astype(np.int64)


def _number(name: str, codes: NDArray[Any], given: int | None) -> int:
    """How many users or items there are: ``given``, or as many as ``codes`` need."""
    if len(codes) == 0:
        return given or 0
    if codes.dtype.kind not in "iu":
        raise SchemaError(f"log: {name} are {codes.dtype}, no codes; number them from 0, as numpy.unique does")
    lowest, highest = int(codes.min()), int(codes.max())
    number = highest + 1 if given is None else given
    if lowest < 0 or highest >= number:
        raise SchemaError(f"log: {name} have codes {lowest} to {highest}; they must lie from 0 to {number - 1}")
    return number
