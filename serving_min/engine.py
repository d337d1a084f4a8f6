"""History → encode → retrieve → filter → blend → fill → items. No HTTP here, so the lab uses it too."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serving_min.asks import Ask, Asked, understand, with_likes
from serving_min.bounds import Bounds
from serving_min.bundle import Bundle
from serving_min.errors import RequestError, UnknownSurfaceError
from serving_min.history import to_queries
from serving_min.joining import Lists, given_order, joined
from serving_min.messages import Answer, Fallback, Recommendation, Request
from serving_min.popularity import Popularity
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK, top_k
from serving_min.sources import sources
from serving_min.surfaces import GIVEN, MODEL, RECOMMEND

LOG = logging.getLogger(__name__)
NO_CODES = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Served:
    """An answer, and what only the server's own log should know of it: the item codes and their scores."""

    answer: Answer
    asked: Asked
    codes: NDArray[np.int32]  # [k]
    scores: NDArray[np.float32]  # [k]


class Engine:
    """Answers from one bundle. Holds no state between calls, so threads may share it.

    ``clock`` gives epoch seconds for requests that do not say when they are asked, ``timer`` the seconds that
    deadlines are counted in.
    """

    def __init__(
        self, bundle: Bundle, *, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.bundle = bundle
        self.clock = clock
        self.timer = timer
        self.popularity = Popularity(bundle.popularity, bundle.candidates)
        self.sources = sources(bundle, self.popularity)

    def own_this_thread(self) -> None:
        """Keep FAISS to one thread in the calling thread: its setting holds in no other, and more only spin."""
        if any(name.endswith("items.faiss") for name in self.bundle.manifest.files):
            import faiss

            faiss.omp_set_num_threads(1)

    def check(self, asked: Asked) -> None:
        """Raises RequestError when this bundle cannot answer, UnknownSurfaceError when it has no such surface."""
        surface = self.bundle.surfaces.get(asked.surface)
        if surface is None:
            raise UnknownSurfaceError(f"no surface {asked.surface!r}; there are {sorted(self.bundle.surfaces)}")
        surface.check(asked.request, asked.surface)
        self.bundle.items.check(asked.request.filters)

    def recommend(self, requests: Sequence[Request], surface: str = RECOMMEND) -> list[Answer]:
        """One answer for each request, the same as if it were asked alone. Raises what ``check`` does."""
        return [served.answer for served in self.answer([Asked(request, surface) for request in requests])]

    def answer(self, asked: Sequence[Asked]) -> list[Served]:
        """Answers of any surfaces, in order. Raises what ``check`` does.

        A retriever that fails, or whose turn comes after the deadline, is silent: the fallback speaks then.
        """
        asks = [self._understood(one) for one in asked]
        found, failures = self._retrieved(asks)
        return [self._served(ask, lists, failure) for ask, lists, failure in zip(asks, found, failures, strict=True)]

    def rank(
        self,
        queries: Queries,
        k: int,
        *,
        exclude_seen: bool | None = None,
        candidates: NDArray[np.bool_] | None = None,
    ) -> TopK:
        """The model's lists as arrays, with the meaning of ``Recommender.recommend``, for offline evaluation.

        ``exclude_seen`` None follows the bundle's policy; ``candidates`` [I] narrows the catalogue.
        Raises RequestError when k is below 1 or the mask is not of this catalogue.
        """
        if k < 1:
            raise RequestError(f"k: {k} asks for no item; use 1 or more")
        if candidates is not None and candidates.shape != self.bundle.candidates.shape:
            raise RequestError(f"candidates: shape {candidates.shape} for {len(self.bundle.items)} items")
        if exclude_seen is None:
            exclude_seen = self.bundle.manifest.policy.exclude_seen
        blocks = [top_k(np.zeros((0, 1), np.float32), k)]  # also right for no query at all
        for _, block in queries.batches(512):
            histories = np.split(block.items, block.offsets[1:-1])
            barred = [np.unique(history) if exclude_seen else NO_CODES for history in histories]
            bounds = [Bounds(k, codes, candidates) for codes in barred]
            found = self.sources[MODEL].best(block, bounds)
            blocks += [self.popularity.filled(best, bound) for best, bound in zip(found, bounds, strict=True)]
        return TopK(
            np.concatenate([block.items for block in blocks]),
            np.concatenate([block.scores for block in blocks]),
            np.concatenate([block.filled for block in blocks]),
        )

    def _understood(self, asked: Asked) -> Ask:
        self.check(asked)
        items, manifest = self.bundle.items, self.bundle.manifest
        liking = replace(asked, request=with_likes(asked.request, items, self.popularity.order))
        now = int(self.clock()) if asked.request.now is None else asked.request.now
        surface = self.bundle.surfaces[asked.surface]
        return understand(liking, surface, items, manifest.history, now=now, keep=not manifest.policy.exclude_seen)

    def _retrieved(self, asks: Sequence[Ask]) -> tuple[list[dict[int, TopK]], list[Fallback | None]]:
        """What each ask's retrievers found, and why some could not look. One call of each source, for all of them."""
        found: list[dict[int, TopK]] = [{} for _ in asks]
        failures: list[Fallback | None] = [None] * len(asks)
        calls: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, ask in enumerate(asks):
            for place, asked in enumerate(ask.surface.retrievers):
                if asked.source == GIVEN:
                    found[row][place] = given_order(ask)
                else:
                    calls[asked.source].append((row, place))
        for source, places in calls.items():
            now = self.timer()
            late = {row for row, _ in places if (until := asks[row].asked.until) is not None and now > until}
            for row in late:
                failures[row] = "the deadline has passed"
            places = [(row, place) for row, place in places if row not in late]
            try:
                lists = self._asked(source, asks, places)
            except Exception:
                LOG.exception("%s failed", source)
                for row, _ in places:
                    failures[row] = "the model failed"
                continue
            for (row, place), best in zip(places, lists, strict=True):
                found[row][place] = best
        return found, failures

    def _asked(self, source: str, asks: Sequence[Ask], places: Sequence[tuple[int, int]]) -> list[TopK]:
        if not places:
            return []
        histories = [asks[row].histories[asks[row].surface.retrievers[place].of] for row, place in places]
        bounds = [
            asks[row].bounds
            if len(asks[row].surface.retrievers) == 1
            else replace(asks[row].bounds, k=max(asks[row].bounds.k, asks[row].surface.depth))
            for row, _ in places
        ]
        return self.sources[source].best(to_queries(histories, self.bundle.manifest.history), bounds)

    def _served(self, ask: Ask, lists: Lists, failure: Fallback | None) -> Served:
        names = [asked.source for asked in ask.surface.retrievers]
        best, speakers = joined(ask, lists)
        spoken = int((best.items[0] != NOTHING).sum())
        reasons = [names[place] for place in speakers[:spoken]]
        for fallback in ask.surface.fallback:
            kin = self._kin(ask) if fallback == "category" else None
            if kin is not None or fallback == "popular":
                best = self.popularity.filled(best, ask.bounds, kin)
            present = int((best.items[0] != NOTHING).sum())
            reasons += ["popular in category" if fallback == "category" else "popular"] * (present - len(reasons))
        silent: Fallback | None = None
        if not spoken and self.bundle.model is not None and names:
            silent = "the model has no opinion"
        manifest = self.bundle.manifest
        answer = Answer(
            items=self._shown(best, reasons, ask),
            request_id=ask.request.request_id or "",
            surface=ask.asked.surface,
            model=manifest.name,
            model_version=manifest.version,
            fallback=failure or ask.silence or silent,
            unknown_items=ask.unknown_items,
            unknown_events=ask.histories["history"].unknown_events,
        )
        return Served(answer, ask.asked, best.items[0], best.scores[0])

    def _kin(self, ask: Ask) -> NDArray[np.bool_] | None:
        """The items of the categories that the request is about: its page's item's, its cart's, or those it likes."""
        labels = self.bundle.items.category
        if labels is None:
            return None
        about = [*ask.histories["item"].items, *ask.histories["cart"].items]
        wanted = [name for name in map(labels.of, about) if name is not None] or ask.request.liked.categories
        return labels.among(wanted) if wanted else None

    def _shown(self, best: TopK, reasons: Sequence[str], ask: Ask) -> list[Recommendation]:
        items = self.bundle.items
        shown = [
            Recommendation(id=items.ids[code], score=float(f"{score:.6g}"), reason=reason, **items.description(code))
            for code, score, reason in zip(best.items[0].tolist(), best.scores[0].tolist(), reasons, strict=False)
            if code != NOTHING
        ]
        if ask.request.items:  # whoever wants items ordered gets all of them back, the unknown ones last
            known = items.codes
            unknown = [item for item in ask.request.given if item not in known]
            shown += [Recommendation(item, 0.0, "unknown") for item in unknown[: ask.request.wanted - len(shown)]]
        return shown
