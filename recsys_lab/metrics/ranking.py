"""How good a ranked list is: one value per query from the matrix of its hits.

Shapes: Q queries, K places, T targets in all. ``hits`` [Q, K] says whether place j holds a
target; a list shorter than K has no hit in its empty places. ``n_targets`` [Q] may exceed the
targets that a model can know: cold ones are misses. Relevance is binary. A query without
target scores 0 in everything. All values are in [0, 1]; docs/metrics.md says what they mean
to a shop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Values = NDArray[np.float64]
Counts = NDArray[np.int64]

RANKING_METRICS = ("precision", "recall", "ndcg", "hit_rate", "mrr", "map")


def hits(items: NDArray[np.int32], target_offsets: Counts, target_items: NDArray[np.int32]) -> Hits:
    """Which places of ``items`` [Q, K] hold a target of their query; -1 never does.

    The targets of query q are ``target_items[target_offsets[q]:target_offsets[q + 1]]``, in any order.
    """
    if len(target_items) == 0:
        return np.zeros(items.shape, np.bool_)
    n_items = 1 + max(int(items.max(initial=-1)), int(target_items.max()))
    rows = np.arange(len(items), dtype=np.int64)
    wanted = np.sort(np.repeat(rows, np.diff(target_offsets)) * n_items + target_items)
    listed = rows[:, None] * n_items + items
    place = np.searchsorted(wanted, listed.ravel()).reshape(listed.shape)
    found: Hits = (wanted[np.minimum(place, len(wanted) - 1)] == listed) & (items >= 0)
    return found


def at_k(hits: Hits, n_targets: Counts, k: int) -> dict[str, Values]:
    """Every metric of ``RANKING_METRICS`` at ``k``, by name, each [Q]."""
    return {
        "precision": precision(hits, k),
        "recall": recall(hits, n_targets, k),
        "ndcg": ndcg(hits, n_targets, k),
        "hit_rate": hit_rate(hits, k),
        "mrr": mrr(hits, k),
        "map": average_precision(hits, n_targets, k),
    }


def precision(hits: Hits, k: int) -> Values:
    """Hits in the first k places / k, also when the list is shorter than k.

    Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 8.4.
    """
    found: Counts = hits[:, :k].sum(axis=1)
    return found / k


def recall(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Hits in the first k places / n_targets: with more than k targets it cannot reach 1.

    Manning et al. (2008), section 8.3.
    """
    found: Counts = hits[:, :k].sum(axis=1)
    return found / np.maximum(n_targets, 1)


def hit_rate(hits: Hits, k: int) -> Values:
    """1 where the first k places hold any target, else 0. Elsewhere called success@k."""
    found: Counts = hits[:, :k].sum(axis=1)
    return np.minimum(found, 1).astype(np.float64)


def mrr(hits: Hits, k: int) -> Values:
    """1 / place of the first hit, 0 where the first k places have none.

    Voorhees (1999), The TREC-8 Question Answering Track Report.
    """
    first: Counts = hits[:, :k].argmax(axis=1) + 1
    return hit_rate(hits, k) / first


def ndcg(hits: Hits, n_targets: Counts, k: int) -> Values:
    """DCG / ideal DCG, DCG = Σ 1 / log2(1 + place) over the hits in the first k places.

    The ideal list has min(k, n_targets) hits on top, so a perfect list scores 1 however few
    targets there are. Some libraries divide by an ideal of k hits instead, and get less.
    Järvelin and Kekäläinen (2002), ACM TOIS 20(4), with binary gains and log2 discount.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[1.0], discounts.cumsum()])  # 1 for no target: 0 / 1 = 0
    shown = hits[:, :k]
    gained: Values = shown @ discounts[: shown.shape[1]] / ideal[np.minimum(n_targets, k)]
    return gained


def average_precision(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Σ precision@place over the hits in the first k places / min(k, n_targets).

    A perfect list scores 1 however many targets there are. trec_eval's ``map_cut`` divides by
    n_targets and torchmetrics' ``top_k`` by the hits found, so theirs differ with many targets.
    Manning et al. (2008), section 8.4, cut at k.
    """
    shown = hits[:, :k]
    precisions = shown.cumsum(axis=1) / np.arange(1, shown.shape[1] + 1)
    total: Values = (precisions * shown).sum(axis=1)
    return total / np.maximum(np.minimum(n_targets, k), 1)
