"""When two ranked lists are the same although their arithmetic is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank import NOTHING, TopK


def equal_up_to_ties(a: TopK, b: TopK, tolerance: float = 1e-5) -> NDArray[np.bool_]:
    """Which queries have the same list in ``a`` and in ``b``, [Q].

    Two scores tie when they differ by at most ``tolerance`` × the largest magnitude in the two lists,
    because the rounding of a sum is relative to its terms and not to what is left of them. The model's
    part and the filled part of a list are compared each by itself. They are the same when

    - the same places are taken, each by another item, and the same places are filled;
    - at every place the two scores tie;
    - an item that both have ties with itself, wherever it stands;
    - an item that only one has ties with the last score of a part that reaches the list's end,
      so that a group of tied items was cut there, in either choice.
    """
    taken = a.items != NOTHING
    if a.items.shape != b.items.shape:
        raise ValueError(f"lists of shape {a.items.shape} and {b.items.shape} do not compare")
    same: NDArray[np.bool_] = ((taken == (b.items != NOTHING)) & (a.filled == b.filled)).all(axis=1)
    for row in np.flatnonzero(same):
        same[row] = all(
            _same_part(a.items[row, part], a.scores[row, part], b.items[row, part], b.scores[row, part], cut, tolerance)
            for part, cut in _parts(taken[row], a.filled[row])
        )
    return same


def worst_difference(a: TopK, b: TopK) -> float:
    """The largest difference between the scores of an item in both lists of a query, over all queries,
    relative to the largest magnitude in those lists. Filled places do not count."""
    worst = 0.0
    for items, scores, others, their_scores in zip(*_opinions(a), *_opinions(b), strict=True):
        _, here, there = np.intersect1d(items, others, return_indices=True)
        if len(here):
            scale = max(np.abs(scores).max(), np.abs(their_scores).max()) or 1.0
            worst = max(worst, float(np.abs(scores[here] - their_scores[there]).max() / scale))
    return worst


def recall(wanted: TopK, found: TopK, tolerance: float = 1e-5) -> float:
    """The mean share of the model's items in ``wanted`` that ``found`` has, over the queries that want any.

    Where both lists end with scores that tie, a group of tied items was cut, in either choice: those count as found.
    """
    shares = []
    for items, scores, others, their_scores in zip(*_opinions(wanted), found.items, found.scores, strict=True):
        if len(items):
            slack = tolerance * np.abs(scores).max()
            cut = (scores <= scores[-1] + slack) & (abs(scores[-1] - their_scores[-1]) <= slack)
            shares.append((np.isin(items, others) | cut).mean())
    return float(np.mean(shares)) if shares else 1.0


def _opinions(lists: TopK) -> tuple[list[NDArray[np.int32]], list[NDArray[np.float32]]]:
    """Items and scores of each list without its filled and its empty places."""
    opinion = (lists.items != NOTHING) & ~lists.filled
    rows = range(len(lists))
    return [lists.items[row, opinion[row]] for row in rows], [lists.scores[row, opinion[row]] for row in rows]


def _parts(taken: NDArray[np.bool_], filled: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], bool]]:
    """The model's places and the filled ones, each with whether it reaches the end of the list."""
    parts = (taken & ~filled, taken & filled)
    return [(part, bool(part[-1])) for part in parts if part.any()]


def _same_part(
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    others: NDArray[np.int32],
    their_scores: NDArray[np.float32],
    cut: bool,
    tolerance: float,
) -> bool:
    slack = tolerance * max(np.abs(scores).max(), np.abs(their_scores).max())
    distinct = len(np.unique(items)) == len(items) and len(np.unique(others)) == len(others)
    if not (distinct and (np.abs(scores - their_scores) <= slack).all()):
        return False
    _, here, there = np.intersect1d(items, others, return_indices=True)
    if not (np.abs(scores[here] - their_scores[there]) <= slack).all():
        return False
    alone, theirs_alone = ~np.isin(items, others), ~np.isin(others, items)
    if not cut:
        return not (alone.any() or theirs_alone.any())
    # the last score of either list is the cut; both were found to tie
    return bool(
        (np.abs(scores[alone] - scores[-1]) <= slack).all()
        and (np.abs(their_scores[theirs_alone] - their_scores[-1]) <= slack).all()
    )
