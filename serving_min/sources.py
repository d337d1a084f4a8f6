"""What a surface's retrievers may ask: the bundle's model, its companions, what is similar, what is popular, and
with whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving_min.assortment.vectors import Grown
from serving_min.bounds import Bounds, no_opinion
from serving_min.bundle import Bundle
from serving_min.composite import Member
from serving_min.popularity import Popularity
from serving_min.queries import Queries
from serving_min.rerank import TopK
from serving_min.segments import SegmentPopularity
from serving_min.static import Static
from serving_min.surfaces import MODEL, POPULAR, SEGMENT, SIMILAR


class Source(Protocol):
    def best(self, queries: Queries, bounds: Sequence[Bounds], /) -> list[TopK]: ...


@dataclass(frozen=True)
class Similar:
    """The items most like the latest of each query's."""

    model: Member | None

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        lists = [no_opinion(bound.k) for bound in bounds]
        if self.model is not None:
            for row, (end, length) in enumerate(zip(queries.offsets[1:], queries.lengths, strict=True)):
                if length:
                    lists[row] = self.model.similar(int(queries.items[end - 1]), bounds[row])
        return lists


@dataclass(frozen=True)
class Silent:
    """The model of a bundle that has none."""

    def best(self, _: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        return [no_opinion(bound.k) for bound in bounds]


@dataclass(frozen=True)
class Unaware:
    """A model that has never heard of items with codes from ``known`` on: what was done with them is left out."""

    model: Member
    known: int

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        return self.model.best(queries.of_items_below(self.known), bounds)

    def similar(self, code: int, bounds: Bounds) -> TopK:
        return self.model.similar(code, bounds) if code < self.known else no_opinion(bounds.k)


def sources(bundle: Bundle, popularity: Popularity, segments: SegmentPopularity) -> Mapping[str, Source]:
    """By the name that ``Retriever.source`` gives."""
    companions: dict[str, Source] = {
        name: Popularity(part.scores, part.candidates) if isinstance(part, Static) else _aware(part, bundle)
        for name, part in bundle.companions.items()
    }
    model = None if bundle.model is None else _aware(bundle.model, bundle)
    built_in: dict[str, Source] = {
        MODEL: model or Silent(),
        SIMILAR: Similar(model),
        POPULAR: popularity,
        SEGMENT: segments,
    }
    return {**built_in, **companions}


def _aware(model: Member, bundle: Bundle) -> Member:
    if bundle.known is None or isinstance(model, Grown):
        return model
    return Unaware(model, bundle.known)
