"""Histories → query vectors, many at a time and each as if it were alone.

An exported graph works on events, not on padding (``Queries.packed``), so rows of matrix products and zeros at the
end of sums are all that the company changes. Both are without influence on the bits, except that kernels sum a single
row in another order: so a lone history is encoded together with its own latest event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.queries import Queries, offsets_of, padded

PLACES = 2048  # histories × the longest one, encoded at once: with more, what they need leaves the processor's cache
RUN = 128_000  # looks of one event at another that take as long as a further run, with all that is done for it
TRIED, LONGEST = 24, 200  # histories of a trial, and their events

Numbers = NDArray[np.float32]
Encode = Callable[[Queries], Numbers]
VectorsOf = Callable[[NDArray[np.int32]], Numbers]


def encoded(session: Any, inputs: Sequence[str], queries: Queries, vectors_of: VectorsOf) -> Numbers:
    """Query vectors [Q, D] of at least one history, none of which is empty."""
    if len(queries) == 1 or _even(queries.lengths):
        return run_once(session, inputs, queries, vectors_of)
    longest_first = np.argsort(-queries.lengths, kind="stable")
    ends = _ends(queries.lengths[longest_first])
    ordered = queries.take(longest_first)
    parts = (ordered.part(start, end) for start, end in pairwise([0, *ends]))
    made = np.concatenate([run_once(session, inputs, part, vectors_of) for part in parts])
    vectors = np.empty_like(made)
    vectors[longest_first] = made
    return vectors


def run_once(session: Any, inputs: Sequence[str], queries: Queries, vectors_of: VectorsOf) -> Numbers:
    """The same in one run, however much is padded."""
    alone = len(queries) == 1
    asked = queries.with_latest() if alone else queries
    packed = asked.packed(inputs)
    if "vectors" in inputs:
        packed["vectors"] = vectors_of(asked.items)
    vectors: Numbers = session.run(["query"], packed)[0]
    return vectors[:1] if alone else vectors


def _even(lengths: NDArray[np.int64]) -> bool:
    """Whether no way to part histories of these ``lengths`` is worth a further run."""
    widest, narrowest = padded(int(lengths.max())), padded(int(lengths.min()))
    return len(lengths) * widest <= PLACES and len(lengths) * (widest**2 - narrowest**2) <= RUN


def _ends(lengths: NDArray[np.int64]) -> list[int]:
    """Where to part histories of descending ``lengths`` so that little is padded: attention pays for length squared."""
    widths = padded(lengths).tolist()
    ends, start, n = [], 0, len(widths)
    for row in range(1, n):
        width, narrower = widths[start], widths[row]
        full = (row - start + 1) * width > PLACES
        if full or (narrower < width and (n - row) * (width**2 - narrower**2) > RUN):
            ends.append(row)
            start = row
    return [*ends, n]


def company_matters(run: Encode, n_items: int, max_length: int | None, kinds: int, attributes: int) -> bool:
    """Whether a history's vector depends on what is in the same run: that is up to the kernels of this processor."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, min(max_length or LONGEST, LONGEST) + 1, TRIED)
    lengths[:2] = 1
    total = int(lengths.sum())
    tried = Queries(
        offsets=offsets_of(lengths),
        items=rng.integers(0, n_items, total).astype(np.int32),
        events=rng.integers(0, kinds, total).astype(np.int8),
        times=rng.integers(0, 1 << 20, total),
        now=rng.integers(1 << 20, 1 << 21, TRIED),
        attributes=np.zeros((TRIED, attributes), np.int32),
    )
    alone = np.concatenate([run(tried.take(np.array([row]))) for row in range(TRIED)])
    orders = [np.arange(TRIED), *(rng.permutation(TRIED)[:size] for size in (2, 3, 7, 16))]
    return any(run(tried.take(rows)).tobytes() != alone[rows].tobytes() for rows in orders)
