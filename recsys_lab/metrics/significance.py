"""Whether a difference is more than noise: intervals, paired tests, and their correction.

Queries of one user are alike, so users are drawn, not queries: ``clusters`` [Q] names whose
query each one is. Values are [Q] or [Q, M] for M measures at once; NaN means "no value" and
counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ConfigError

Values = NDArray[np.floating]
Clusters = NDArray[np.integer] | None
ALPHA = 0.05  # for the 95 % intervals and the verdict "tie"
DRAWS_PER_BLOCK = 1 << 22  # 32 MiB of float64 weights at a time


@dataclass(frozen=True)
class Comparison:
    """One model beside the leader on the same queries; ``difference`` is model minus leader.

    ``ci95`` is None where no interval was drawn.
    """

    model: str
    leader: str
    difference: float
    ci95: tuple[float, float] | None
    p: float
    p_adjusted: float
    tie: bool


def mean_intervals(
    values: Values, *, clusters: Clusters = None, samples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The bootstrap 95 % percentile interval of each measure's mean, [M, 2] for ``values`` [Q, M].

    Clusters are drawn with replacement, and the same draws serve all measures. NaN where a measure
    has no value. Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13;
    Field and Welsh (2007), JRSS B 69(3), for drawing clusters.
    """
    sums, sizes = _by_cluster(values, clusters)
    rng = np.random.default_rng(seed)
    means = np.empty((samples, sums.shape[1]))
    for block in _blocks(samples, len(sums)):
        weights = np.empty((block.stop - block.start, len(sums)))
        for row in weights:
            row[:] = np.bincount(rng.integers(0, len(sums), len(sums)), minlength=len(sums))
        with np.errstate(invalid="ignore"):
            means[block] = (weights @ sums) / (weights @ sizes)
    intervals = np.full((sums.shape[1], 2), np.nan)
    for measure, column in enumerate(means.T):
        known = column[~np.isnan(column)]  # a draw may miss every query that has a value
        if len(known):
            intervals[measure] = np.quantile(known, [ALPHA / 2, 1 - ALPHA / 2])
    return intervals


def sign_flip_test(
    differences: Values, *, clusters: Clusters = None, samples: int = 5000, seed: int = 0
) -> NDArray[np.float64]:
    """Two-sided p-values [M] that paired ``differences`` [Q, M] are centred on zero.

    If two models were equally good, which of them got which value would be chance: each
    cluster's sign is flipped at random and the mean compared. The observed assignment counts as
    one, so p is at least 1 / (samples + 1). Fisher's randomisation test, recommended for
    rankings by Smucker, Allan and Carterette (2007), CIKM.
    """
    sums, _ = _by_cluster(differences, clusters)
    observed = np.abs(sums.sum(axis=0))
    rounding = 1e-12 * np.abs(sums).sum(axis=0)  # an equally extreme assignment counts, whatever its last bit
    rng = np.random.default_rng(seed)
    extreme = np.zeros(sums.shape[1])
    for block in _blocks(samples, len(sums)):
        shape = (block.stop - block.start, len(sums))
        flips = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64)
        # signs = 1 - 2 flips
        totals = sums.sum(axis=0) - 2 * (flips @ sums)
        extreme += (np.abs(totals) >= observed - rounding).sum(axis=0)
    return (1 + extreme) / (1 + samples)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for having looked at all of them: the family-wise error rate stays at the level.

    The i-th smallest of m is multiplied by m - i + 1, never falls below the one before, and is at
    most 1. Holm (1979), Scandinavian Journal of Statistics 6(2).
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def compare_with_leader(
    values: Mapping[str, Values],
    *,
    clusters: Clusters = None,
    samples: int = 5000,
    bootstrap: int = 1000,
    seed: int = 0,
) -> list[Comparison]:
    """Every other model against the one with the highest mean, best first, corrected after Holm.

    ``values`` gives each model's value per query [Q], the same queries in the same order. ``tie``
    says that the corrected p-value does not go below 5 %. ``bootstrap`` resamples give the intervals,
    0 leaves them out; ``samples`` are those of the test. The leader was picked by the same
    numbers, so a narrow win is a little flattered: prefer the interval to the p-value.
    Raises ConfigError when there is no query, or the models were asked different numbers of them.
    """
    lengths = {model: len(column) for model, column in values.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ConfigError(
            f"values: one per query and model on the same queries, at least one; but their numbers are {lengths}"
        )
    ranked = sorted(values, key=lambda model: -float(np.nanmean(values[model])))
    if len(ranked) < 2:
        return []
    leader, others = ranked[0], ranked[1:]
    differences = np.column_stack([values[model].astype(np.float64) - values[leader] for model in others])
    intervals = mean_intervals(differences, clusters=clusters, samples=bootstrap, seed=seed)
    p_values = sign_flip_test(differences, clusters=clusters, samples=samples, seed=seed)
    adjusted = holm(p_values)
    return [
        Comparison(
            model=model,
            leader=leader,
            difference=float(np.nanmean(differences[:, column])),
            ci95=(float(intervals[column, 0]), float(intervals[column, 1])) if bootstrap else None,
            p=float(p_values[column]),
            p_adjusted=float(adjusted[column]),
            tie=bool(adjusted[column] >= ALPHA),
        )
        for column, model in enumerate(others)
    ]


def _by_cluster(values: Values, clusters: Clusters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each cluster's sums [C, M] and numbers of values, [C, M] or [C, 1] when no value is missing."""
    table = values.reshape(len(values), -1).astype(np.float64)
    missing = np.isnan(table)
    sizes = (~missing).astype(np.float64) if missing.any() else np.ones((len(table), 1))
    sums = np.where(missing, 0, table)
    if clusters is None:
        return sums, sizes
    names, codes = np.unique(clusters, return_inverse=True)
    if len(names) == len(table):
        return sums, sizes
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    return np.add.reduceat(sums[order], starts), np.add.reduceat(sizes[order], starts)


def _blocks(samples: int, clusters: int) -> list[slice]:
    size = max(1, DRAWS_PER_BLOCK // max(1, clusters))
    return [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
