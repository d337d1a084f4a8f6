"""Several members' lists joined into one by a weighted sum. Numpy only; the lab joins with the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving_min.opinions import Opinions, named_by, rows_and_codes
from serving_min.queries import Queries

By = Literal["scores", "ranks"]


@dataclass(frozen=True)
class Judged:
    """What a second stage makes of the C items named for Q queries."""

    rows: NDArray[np.int64]  # [C] whose candidate it is, ascending
    codes: NDArray[np.int32]  # [C] ascending within a query
    scores: NDArray[np.float32]  # [C]


@dataclass(frozen=True)
class Blend:
    """Item j scores Σₘ wₘ sₘ(j) over the members m that name it.

    ``by`` scores: s runs from 0 where the member's list was cut to 1 at its top. ``by`` ranks: s = 1 / (``smoothing`` +
    rank), reciprocal rank fusion (Cormack, Clarke & Büttcher, SIGIR 2009). A history of up to ``lengths[b]`` events is
    weighed by row b of ``weights``, a longer one than all of them by the last row.
    """

    weights: NDArray[np.float64]  # [B, M]
    lengths: tuple[int, ...]  # [B - 1] ascending
    by: By
    smoothing: float

    def judge(self, queries: Queries, opinions: Sequence[Opinions]) -> Judged:
        """All scores are positive."""
        rows, codes, said = shares(opinions, self.by, self.smoothing)
        scores = (said * self.weights[self.buckets(queries.lengths)[rows]]).sum(axis=1)
        spoken = scores > 0
        return Judged(rows[spoken], codes[spoken], scores[spoken].astype(np.float32))

    def buckets(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of ``weights`` for histories of ``lengths`` events."""
        return np.searchsorted(self.lengths, lengths)


def shares(
    opinions: Sequence[Opinions], by: By, smoothing: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """All items named, by query and in each ascending, and what each member says of each: the query and the code [C],
    and [C, M], 0 where a member says nothing."""
    keys = named_by(opinions)
    said = np.zeros((len(keys), len(opinions)))
    for member, opinion in enumerate(opinions):
        values = opinion.shares if by == "scores" else 1 / (smoothing + opinion.ranks)
        said[keys.searchsorted(opinion.keys), member] = values
    return (*rows_and_codes(keys), said)
