"""Whether a list has the categories of its user's history in the same proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from serving_min.items import Labels
from serving_min.queries import Queries
from serving_min.rerank.facts import CategoryMix

Values = NDArray[np.float64]
SMOOTHING = 0.01


def category_mix(catalogue: Catalogue) -> CategoryMix | None:
    """The categories of each item; None where there are none."""
    codes, names = catalogue.categories()
    return CategoryMix.of(Labels(codes - 1, names[1:])) if len(names) > 1 else None


def miscalibration(items: NDArray[np.int32], queries: Queries, mix: CategoryMix) -> Values:
    """KL(p ‖ q̃) in nats by query: p the shares of categories in the history, q̃ = .99 q + .01 p those in the list.

    0 is the same mix, ln 100 = 4.6 a list with nothing of it. NaN for an empty list, or a history without categories.
    Steck (2018), Calibrated recommendations, RecSys, equations 2 to 7, every event of the history counting the same.
    """
    present = items >= 0
    rows = np.repeat(np.arange(len(items)), present.sum(axis=1))
    wanted_at, wanted = _shares(queries.rows, queries.items, mix, len(items))
    shown_at, shown = _shares(rows, items[present], mix, len(items), per_item=True)
    places = shown_at.searchsorted(wanted_at).clip(max=max(0, len(shown_at) - 1))
    found = np.zeros(len(wanted))
    if len(shown_at):
        found = np.where(shown_at[places] == wanted_at, shown[places], 0.0)
    mixed = (1 - SMOOTHING) * found + SMOOTHING * wanted
    owners = wanted_at // mix.n_parts
    kl = np.bincount(owners, wanted * np.log(wanted / mixed), minlength=len(items)).astype(np.float64)
    kl[np.bincount(owners, minlength=len(items)) == 0] = np.nan
    kl[~present.any(axis=1)] = np.nan
    return kl


def _shares(
    rows: NDArray[np.int64], items: NDArray[np.int32], mix: CategoryMix, n_rows: int, *, per_item: bool = False
) -> tuple[NDArray[np.int64], Values]:
    """Row × categories + category, ascending, and its share of the row: of all that is known, or of all items."""
    places, parts, weights = mix.entries(mix.labels[items])
    at, inverse = np.unique(rows[places] * mix.n_parts + parts, return_inverse=True)
    sums = np.bincount(inverse, weights, minlength=len(at))
    totals = np.bincount(rows if per_item else rows[places], None if per_item else weights, minlength=n_rows)
    return at, sums / totals[at // mix.n_parts]
