"""Several members' lists joined into one by a weighted sum. Numpy only; the lab joins with the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving_min.opinions import Opinion, named_by
from serving_min.queries import Queries

By = Literal["scores", "ranks"]


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

    def judge(self, query: Queries, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ascending item codes and their scores, all positive, for a single query."""
        codes, said = shares(opinions, self.by, self.smoothing)
        scores = said @ self.weights[self.bucket(len(query.items))]
        spoken = scores > 0
        return codes[spoken], scores[spoken].astype(np.float32)

    def bucket(self, length: int) -> int:
        """The row of ``weights`` for a history of ``length`` events."""
        return int(np.searchsorted(self.lengths, length))


def shares(opinions: Sequence[Opinion], by: By, smoothing: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """All items named, ascending, and what each member says of each: [C] and [C, M], 0 where it says nothing."""
    codes = named_by(opinions)
    said = np.zeros((len(codes), len(opinions)))
    for member, opinion in enumerate(opinions):
        values = opinion.shares if by == "scores" else 1 / (smoothing + opinion.ranks)
        said[codes.searchsorted(opinion.codes), member] = values
    return codes, said
