"""What is popular among some users only: a table for each value of an attribute that enough users share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.bounds import Bounds, Codes, no_opinion
from serving_min.manifest import SEGMENTS_FILE, History
from serving_min.manifest import Segments as Described
from serving_min.queries import Queries
from serving_min.reading import must, must_be_codes, read_arrays, reading
from serving_min.rerank import TopK, fill

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Segments:
    """The most popular items of each segment, best first. ``columns`` are the places of the attributes in
    ``History.attributes``, in the order in which their segments speak."""

    columns: tuple[int, ...]
    tables: Mapping[tuple[int, int], tuple[Codes, Scores]]  # by the column and the code of the value in it

    def of(self, attributes: Sequence[int]) -> Iterator[tuple[Codes, Scores]]:
        """The tables for a user with these codes: none, one or several."""
        for column in self.columns:
            table = self.tables.get((column, attributes[column]))
            if table is not None:
                yield table


NO_SEGMENTS = Segments((), {})


@dataclass(frozen=True)
class SegmentPopularity:
    """A fallback, and a retriever that speaks for all users of a segment alike. ``candidates`` [I] are the items that
    may be recommended."""

    segments: Segments
    candidates: NDArray[np.bool_]

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query, with or without a history; empty where the user's attributes say nothing."""
        rows = zip(queries.attributes.tolist(), bounds, strict=True)
        lists = [self.filled(no_opinion(bound.k), bound, attributes) for attributes, bound in rows]
        return [replace(best, filled=np.zeros_like(best.filled)) for best in lists]

    def filled(self, found: TopK, bounds: Bounds, attributes: Sequence[int]) -> TopK:
        """``found`` [1, k] with its empty places filled as far as the tables reach, one after the other."""
        first = found.present(0)
        for codes, scores in self.segments.of(attributes):
            start, inside = found.present(0), self._inside(codes, bounds)
            found = fill(found, codes[inside], scores[inside], [bounds.barred])
            if start > first:
                found = behind(found, start)
        return found

    def _inside(self, codes: Codes, bounds: Bounds) -> NDArray[np.bool_]:
        inside = self.candidates[codes]
        if bounds.allowed is not None:
            inside &= bounds.allowed[codes]
        if bounds.among is not None:
            inside &= np.isin(codes, bounds.among)
        return inside


def behind(found: TopK, start: int) -> TopK:
    """The list [1, k] with the scores from place ``start`` on scaled so that none is above the one before it.

    A segment's counts are smaller than those of all users: a rule that orders by score would turn the two round.
    """
    if not 0 < start < found.present(0):
        return found
    above, top = found.scores[0, start - 1], found.scores[0, start]
    if not 0 < above < top:
        return found
    scores = found.scores.copy()
    later = (scores[0] > -np.inf) & (np.arange(scores.shape[1]) >= start)
    scores[0, later] = np.minimum(scores[0, later] * (above / top), above)
    return replace(found, scores=scores)


def read_segments(folder: Path, described: Described | None, vocabulary: History, n_items: int) -> Segments:
    """``segments.npz``, held against what the manifest says. Raises BundleError."""
    if described is None:
        return NO_SEGMENTS
    names = [name for name, _ in vocabulary.attributes]
    columns = tuple(names.index(name) for name in described.attributes)
    shapes = {"attributes": np.int32, "values": np.int32, "offsets": np.int64, "items": np.int32, "scores": np.float32}
    with reading(folder / SEGMENTS_FILE) as path:
        arrays = read_arrays(path, {name: (dtype, 1) for name, dtype in shapes.items()})
        attributes, values, offsets = arrays["attributes"], arrays["values"], arrays["offsets"]
        items, scores = arrays["items"], arrays["scores"]
        size = described.size
        must(len(attributes) == len(values) == len(offsets) - 1 == size, f"not of the manifest's {size} segments")
        must(offsets[0] == 0 and bool((np.diff(offsets) > 0).all()), "offsets do not rise from 0")
        must(int(np.diff(offsets).max()) <= described.items, f"a segment of more than {described.items} items")
        must(offsets[-1] == len(items) == len(scores), "offsets, items and scores are not of one length")
        must_be_codes(items, n_items)
        must(bool((np.isfinite(scores) & (scores > 0)).all()), "scores are not all finite and above 0")
        tables: dict[tuple[int, int], tuple[Codes, Scores]] = {}
        rows = zip(attributes.tolist(), values.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        for attribute, value, start, end in rows:
            must(0 <= attribute < len(columns), f"attribute {attribute}, the manifest names {len(columns)}")
            column = columns[attribute]
            name, known = vocabulary.attributes[column]
            must(0 < value < len(known), f"value {value} of {name}, which has {len(known)}")
            must((column, value) not in tables, f"{name} {known[value]!r} twice")
            own, worth = items[start:end], scores[start:end]
            must(len(np.unique(own)) == len(own), f"an item twice in {name} {known[value]!r}")
            must(bool((np.diff(worth) <= 0).all()), f"{name} {known[value]!r} is not the best first")
            tables[column, value] = own, worth
        return Segments(columns, tables)
