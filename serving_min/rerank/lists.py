"""Exclude, take the best k, fill up.

The lab's base model calls the same functions, so a list is the same offline and online.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

NOTHING = -1


class TopK(Struct, frozen=True):
    """Ranked lists for Q queries: best first, ``items`` -1 and ``scores`` -inf where there is none.

    ``filled`` marks the places that the model had no opinion on and the fallback filled;
    their scores are the fallback's and do not compare with the model's.
    """

    items: NDArray[np.int32]  # [Q, K]
    scores: NDArray[np.float32]  # [Q, K]
    filled: NDArray[np.bool_]  # [Q, K]

    def __len__(self) -> int:
        return len(self.items)

    def present(self, row: int) -> int:
        """How many items a list has: the empty places are its last."""
        if self.items[row, -1] != NOTHING:
            return int(self.items.shape[1])
        return int(np.count_nonzero(self.items[row] != NOTHING))


def speaks(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which query vectors [Q, D] are an opinion, [Q]: all numbers, and not all zero."""
    greatest = np.maximum.reduce(np.abs(vectors), axis=1, initial=0)  # not a number where one of them is none
    return np.asarray((greatest > 0) & (greatest < np.inf), dtype=np.bool_)


def top_k(scores: NDArray[np.float32], k: int) -> TopK:
    """The k best columns of each row of ``scores`` [Q, I]; -inf and NaN are never taken.

    Ties go to the lower item code, also at the edge of the list, so that the same scores
    always give the same lists.
    """
    width = min(k, scores.shape[1])
    items = np.full((len(scores), k), NOTHING, np.int32)
    best = np.full((len(scores), k), -np.inf, np.float32)
    if len(scores) and width:
        contend = scores >= _floor(scores, width)[:, None]
        contenders, counts = _by_row(contend)
        crowded = np.flatnonzero(counts > 32 * width)  # many tie
        if len(crowded):
            for row in crowded:
                contend[row] = _best_of(scores[row], width)
            contenders, counts = _by_row(contend)
        present = np.arange(max(width, counts.max())) < counts[:, None]
        table = np.full(present.shape, -np.inf, np.float32)
        table[present] = scores.reshape(-1)[contenders]
        codes = np.zeros(present.shape, np.int64)
        codes[present] = contenders
        order = _descending(table)[:, :width]
        best[:, :width] = np.take_along_axis(table, order, 1)
        items[:, :width] = np.take_along_axis(codes, order, 1) % scores.shape[1]
        items[best == -np.inf] = NOTHING
    return TopK(items, best, np.zeros(items.shape, np.bool_))


def _floor(scores: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A number per row that at least ``width`` of its scores reach, if so many are above -inf.

    It is the width-th best of the maxima of groups of columns, so few other scores reach it, and
    finding it takes one pass at the speed of memory. A group with NaN counts as the worst.
    """
    depth = max(1, min(16, scores.shape[1] // (4 * width)))
    groups = scores.shape[1] // depth  # the last columns are in none
    leaders = np.maximum.reduce(scores[:, : groups * depth].reshape(len(scores), depth, groups), axis=1)
    floor = -np.partition(-leaders, width - 1, axis=1)[:, width - 1]
    return np.fmax(floor, np.finfo(np.float32).min)


def _by_row(contend: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where ``contend`` [Q, I] is true, as flat places, and how many of them each row has."""
    places = np.flatnonzero(contend)
    ends = np.searchsorted(places, np.arange(len(contend) + 1) * contend.shape[1])
    return places, np.diff(ends)


def _descending(table: NDArray[np.float32]) -> NDArray[np.int64]:
    """What ``argsort`` of -``table`` gives, equal scores in the order of their columns, in a third of the time.

    A score and its column make one whole number, and plain numbers are sorted with vector instructions.
    """
    bits = (0 - table).view(np.int32)  # 0 - 0 is 0 where -0 would not be: both zeros must be one number
    bits ^= (bits >> 31) & 0x7FFFFFFF  # now ordered as the floats are
    keys = (bits.astype(np.int64) << 32) | np.arange(table.shape[1])
    keys.sort(axis=1)
    columns: NDArray[np.int64] = keys & 0xFFFFFFFF
    return columns


def _best_of(row: NDArray[np.float32], width: int) -> NDArray[np.bool_]:
    """Which of a row's scores are its ``width`` best, at the edge those of the lowest codes."""
    edge = -np.partition(-row, width - 1)[width - 1]
    best: NDArray[np.bool_] = row > edge
    level = np.flatnonzero(row == edge)
    best[level[: width - np.count_nonzero(best)]] = True
    return best


def fill(lists: TopK, order: NDArray[np.int32], scores: NDArray[np.float32], barred: list[NDArray[np.int32]]) -> TopK:
    """Fill the empty places at the end of each list from ``order``, best first.

    ``order`` is the fallback's ranking of item codes and ``scores`` are theirs, in that order; an item
    that the list already has, or that ``barred`` [Q lists of codes] names, is passed over.
    """
    items, values, filled = lists.items.copy(), lists.scores.copy(), lists.filled.copy()
    for row in np.flatnonzero(items[:, -1] == NOTHING).tolist():
        present = lists.present(row)
        needed = items.shape[1] - present
        taken = {*items[row, :present].tolist(), *barred[row].tolist()}
        head = order[: needed + len(taken)].tolist()  # at least ``needed`` of them are not taken
        fresh = np.array([place for place, code in enumerate(head) if code not in taken][:needed], np.int64)
        places = slice(present, present + len(fresh))
        items[row, places], values[row, places], filled[row, places] = order[fresh], scores[fresh], True
    return TopK(items, values, filled)
