"""A list, place by place: whoever is pinned there, else the picker's next one that the caps have room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank.found import Mask
from serving_min.rerank.variety import Picker

UNKNOWN = -1


class Room:
    """What a cap of ``most`` items per label leaves in one list, for candidates with ``labels`` [n]."""

    def __init__(self, labels: NDArray[np.int32], most: int) -> None:
        self.labels = labels
        self.most = most
        self._taken: Counter[int] = Counter()

    def has(self, place: int) -> bool:
        return self._taken[int(self.labels[place])] < self.most

    def take(self, place: int, open: Mask) -> None:
        """Closes all of its label once there is no room left."""
        label = int(self.labels[place])
        if label == UNKNOWN:
            return
        self._taken[label] += 1
        if self._taken[label] >= self.most:
            open[self.labels == label] = False

    @property
    def full(self) -> list[int]:
        """The labels without room."""
        return [label for label, taken in self._taken.items() if taken >= self.most]


def select(k: int, picker: Picker, filled: Mask, rooms: Sequence[Room], pinned: Mapping[int, int]) -> list[int]:
    """Up to k places of candidates [n], the list's first one first; fewer only when nothing is open any more.

    ``pinned`` are places of candidates by position, from 1; they come to the list in no other way, have the
    first claim to room, and stay out where there is none. Those ``filled`` [n] are taken when no other is left.
    """
    open = np.ones(len(filled), np.bool_)
    waiting: dict[int, int] = {}
    for position, place in sorted(pinned.items()):
        open[place] = False
        if position <= k and all(room.has(place) for room in rooms):
            waiting[position] = place
            _settle(place, rooms, open)
    first = ~filled if filled.any() else None
    chosen: list[int] = []
    while len(chosen) < k:
        at = len(chosen) + 1
        left = open if first is None or not (open & first).any() else open & first
        if at in waiting:
            place = waiting.pop(at)
        elif left.any():
            place = picker.best(left)
            open[place] = False
            _settle(place, rooms, open)
        elif waiting:  # the list ends before their positions
            place = waiting.pop(min(waiting))
        else:
            break
        picker.take(place)
        chosen.append(place)
    return chosen


def _settle(place: int, rooms: Sequence[Room], open: Mask) -> None:
    for room in rooms:
        room.take(place, open)
