"""A list, place by place: whoever is pinned there, else the picker's next one that the caps have room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank.found import Mask
from serving_min.rerank.variety import Picker

UNKNOWN = -1
CHOICE = 5  # candidates for each place that a cap leaves to a label, where there are many


class Room:
    """What a cap of ``most`` items per label leaves in one list, for candidates with ``labels`` [n]."""

    def __init__(self, labels: NDArray[np.int32], most: int) -> None:
        self.labels = labels
        self.most = most
        self._labels: list[int] = labels.tolist()  # a number of a list is had sooner than one of an array
        self._taken = {UNKNOWN: -1 << 31}

    def has(self, place: int) -> bool:
        return self._taken.get(self._labels[place], 0) < self.most

    def take(self, place: int, open: Mask) -> None:
        """Where that was the last of its label, none of them is ``open`` any more."""
        label = self._labels[place]
        self._taken[label] = self._taken.get(label, 0) + 1
        if not self.has(place):
            open[self.labels == label] = False

    def leaders(self, most: int) -> Mask:
        """The first ``most`` of each label, and all without one, [n]."""
        order = self.labels.argsort(kind="stable")
        labels = self.labels[order]
        leading = np.empty(len(order), np.bool_)
        leading[order] = (np.arange(len(order)) - labels.searchsorted(labels) < most) | (labels == UNKNOWN)
        return leading

    @property
    def full(self) -> list[int]:
        """The labels without room."""
        return [label for label, taken in self._taken.items() if taken >= self.most]


def foremost(most: int, size: int, rooms: Sequence[Room], pinned: Sequence[int]) -> NDArray[np.int64]:
    """Places of ``size`` candidates that deserve a closer look, ascending: all if there are no more than ``most``, else
    so many of the best of each label, and those ``pinned``."""
    if size <= most:
        return np.arange(size)
    near = np.ones(size, np.bool_)
    for room in rooms:
        near &= room.leaders(CHOICE * room.most)
    near[np.flatnonzero(near)[most:]] = False
    near[[*pinned]] = True
    return np.flatnonzero(near)


def select(
    k: int, picker: Picker, size: int, rooms: Sequence[Room], pinned: Mapping[int, int], first: int
) -> list[int]:
    """Up to k places of ``size`` candidates, the list's first one first; fewer only when all are taken or closed.

    The places below ``first`` are used up before the others. ``pinned`` are places of candidates by position, from 1;
    they come to the list in no other way, have the first claim to room, and stay out where there is none.
    """
    open = np.ones(size, np.bool_)
    waiting: dict[int, int] = {}
    for position, place in sorted(pinned.items()):
        open[place] = False
        if position <= k and all(room.has(place) for room in rooms):
            waiting[position] = place
            for room in rooms:
                room.take(place, open)
    chosen: list[int] = []
    end = first or size
    while len(chosen) < k:
        at = len(chosen) + 1
        if at in waiting:
            place = waiting.pop(at)
        elif end and open[place := picker.best(open[:end])]:
            open[place] = False
            for room in rooms:
                room.take(place, open)
        elif end < size:
            end = size
            continue
        elif waiting:  # the list ends before their positions
            place = waiting.pop(min(waiting))
        else:
            break
        picker.take(place)
        chosen.append(place)
    return chosen
