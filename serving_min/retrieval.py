"""Ask the retrievers of many requests at once, each source in one call."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from serving_min.asks import Ask
from serving_min.bounds import Bounds
from serving_min.history import to_queries
from serving_min.joining import given_order
from serving_min.manifest import History as Vocabulary
from serving_min.messages import Fallback
from serving_min.rerank import TopK
from serving_min.sources import Source
from serving_min.surfaces import GIVEN

LOG = logging.getLogger(__name__)


@dataclass
class Findings:
    """``lists`` by the place of the retriever in its surface; why one of them did not look, if so."""

    lists: dict[int, TopK] = field(default_factory=dict)
    failure: Fallback | None = None


@dataclass(frozen=True)
class Retrieval:
    """``timer`` gives the seconds that deadlines are counted in."""

    sources: Mapping[str, Source]
    vocabulary: Vocabulary
    timer: Callable[[], float]

    def find(self, asks: Sequence[Ask]) -> list[Findings]:
        """In order. A source that fails, or whose turn comes after the deadline, leaves its lists out."""
        findings = [Findings() for _ in asks]
        calls: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, ask in enumerate(asks):
            newcomer = not ask.histories["history"].items
            for place, asked in enumerate(ask.surface.retrievers):
                if asked.source == GIVEN:
                    findings[row].lists[place] = given_order(ask)
                elif newcomer or asked.to == "everybody":
                    calls[asked.source].append((row, place))
        for source, places in calls.items():
            now = self.timer()
            in_time = []
            for row, place in places:
                until = asks[row].asked.until
                if until is not None and now > until:
                    findings[row].failure = "the deadline has passed"
                else:
                    in_time.append((row, place))
            try:
                lists = self._call(source, [(asks[row], place) for row, place in in_time])
            except Exception:
                LOG.exception("the source %s failed", source)
                for row, _ in in_time:
                    findings[row].failure = "the model failed"
                continue
            for (row, place), best in zip(in_time, lists, strict=True):
                findings[row].lists[place] = best
        return findings

    def _call(self, source: str, calls: Sequence[tuple[Ask, int]]) -> list[TopK]:
        if not calls:
            return []
        histories = [ask.histories[ask.surface.retrievers[place].of] for ask, place in calls]
        return self.sources[source].best(to_queries(histories, self.vocabulary), [_within(ask) for ask, _ in calls])


def _within(ask: Ask) -> Bounds:
    """One list is taken as it is; several are joined from the surface's depth."""
    if len(ask.surface.retrievers) == 1:
        return ask.look
    depth = ask.surface.depth
    return replace(ask.look, k=max(ask.look.k, depth), needed=max(ask.look.sure, depth))
