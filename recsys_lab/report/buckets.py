"""Queries grouped by what they had to work with, and how well each group was served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.metrics.significance import mean_intervals


@dataclass(frozen=True)
class Buckets:
    """Q queries in B groups, none of them empty, with ``codes`` [Q] below B."""

    labels: list[str]
    codes: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Queries per group, [B]."""
        return np.bincount(self.codes, minlength=len(self.labels)).astype(np.int64)

    def means(self, tables: Mapping[str, pd.DataFrame], metric: str) -> dict[str, NDArray[np.float64]]:
        """By model, in each group: mean of ``metric``, lower and upper end of its 95 % interval, [B, 3]."""
        values = np.column_stack([table[metric].to_numpy(np.float64) for table in tables.values()])
        users = next(iter(tables.values()))["user"].to_numpy()
        groups = []
        for code in range(len(self.labels)):
            own = self.codes == code
            intervals = mean_intervals(values[own], clusters=users[own], samples=500)
            groups.append(np.column_stack([values[own].mean(axis=0), intervals]))
        return dict(zip(tables, np.stack(groups, axis=1), strict=True))


def of_equal_size(values: NDArray[np.number], groups: int = 5) -> Buckets:
    """Those without any ("none"), and up to ``groups`` groups of about equal size, from few to many.

    ``values`` [Q] are numbers of events, rounded to whole ones, but never to none. A number that very many
    queries share makes one larger group.
    """
    whole = np.where(values > 0, np.maximum(np.rint(values), 1), 0).astype(np.int64)
    some = whole[whole > 0]
    shares = np.arange(1, groups + 1) / groups
    edges = np.unique(np.quantile(some, shares, method="inverted_cdf")) if len(some) else some
    codes = np.where(whole > 0, 1 + np.searchsorted(edges, whole), 0)
    firsts = [int(some.min(initial=1)), *(edges[:-1] + 1)]
    labels = ["none"] + [
        f"{last:,}" if first == last else f"{first:,}–{last:,}" for first, last in zip(firsts, edges, strict=False)
    ]
    used, dense = np.unique(codes, return_inverse=True)
    return Buckets([labels[code] for code in used], dense.astype(np.int64))
