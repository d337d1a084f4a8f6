"""History → encode → retrieve → filter → join → rules → fill → items. No HTTP here, so the lab uses it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.asks import Ask, Asked, Typical, understand, unknown_categories
from serving_min.bounds import Bounds
from serving_min.bundle import Bundle
from serving_min.errors import BundleError, RequestError, UnknownSurfaceError
from serving_min.fallbacks import Fallbacks
from serving_min.history import ids_of
from serving_min.joining import joined, with_unknown
from serving_min.laps import lap
from serving_min.messages import Answer, Fallback, Recommendation, Request
from serving_min.popularity import Popularity
from serving_min.queries import Queries
from serving_min.recent_codes import UNKNOWN
from serving_min.rerank import NOTHING, TopK, top_k
from serving_min.rerank.exploration import seed_of
from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Found, Ranked
from serving_min.rerank.reranker import Reranker
from serving_min.retrieval import Findings, Retrieval
from serving_min.segments import SegmentPopularity
from serving_min.sources import sources
from serving_min.surfaces import MODEL, RECOMMEND, Surface

Steps = Generator[Bounds, Found, Ranked]
NO_CODES, NO_SCORES = np.zeros(0, np.int32), np.zeros(0, np.float32)
TENS = 10.0 ** np.arange(-22, 39)  # what is below the first is shown with fewer digits, and is as good as nothing
UP, DOWN = (10.0 ** np.maximum(0, sign * (28 - np.arange(len(TENS) + 1))) for sign in (1, -1))


class Served(Struct, frozen=True, eq=False):
    """An answer, and what only the server's own log should know of it: all candidates that were scored, and the
    places' propensities. The first of ``ranked`` are the answer's items."""

    answer: Answer
    ask: Ask
    found: Found
    ranked: Ranked


class Engine:
    """Answers from one bundle. Holds no state between calls, so threads may share it.

    ``clock`` gives epoch seconds for requests that do not say when they are asked, ``timer`` the seconds that
    deadlines are counted in. Raises BundleError when a surface's rules do not fit the items.
    """

    def __init__(
        self, bundle: Bundle, *, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.bundle = bundle
        self.clock = clock
        self.popularity = Popularity(bundle.popularity, bundle.candidates)
        segments = SegmentPopularity(bundle.segments, bundle.candidates)
        self.typical = Typical(bundle.items, self.popularity)
        self.fallbacks = Fallbacks(bundle.items, self.popularity, segments)
        self.sources = sources(bundle, self.popularity, segments)
        self.retrieval = Retrieval(self.sources, bundle.manifest.history, timer)
        facts = Facts.of(bundle)
        self.rerankers = {name: _reranker(name, surface, facts) for name, surface in bundle.surfaces.items()}

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
        usual = self.bundle.items.codes.remembered([ids_of(one.request.history) for one in asked])
        asks = [self._understood(one, codes) for one, codes in zip(asked, usual, strict=True)]
        lap("understand")
        findings = self.retrieval.find(asks)
        lap("retrieve")
        found = self._found(asks, findings)
        ranked = self._ranked(asks, found, findings)
        scores = in_six_digits(np.concatenate([NO_SCORES, *(one.scores for one in ranked)])).tolist()
        served, start = [], 0
        for ask, one, first, each in zip(asks, ranked, found, findings, strict=True):
            served.append(self._served(ask, first, one, each.failure, scores[start : start + len(one)]))
            start += len(one)
        lap("rerank")
        return served

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

    def _understood(self, asked: Asked, usual: list[int] | None) -> Ask:
        self.check(asked)
        items, manifest = self.bundle.items, self.bundle.manifest
        typical = self.typical.likes(asked.request.liked)
        now = int(self.clock()) if asked.request.now is None else asked.request.now
        surface = self.bundle.surfaces[asked.surface]
        keep = not manifest.policy.exclude_seen
        ask = understand(asked, surface, items, manifest.history, now=now, keep=keep, typical=typical, usual=usual)
        look = self.rerankers[asked.surface].asks(ask.bounds, now)
        if asked.dismissed:
            look = replace(look, k=max(look.k, surface.rules.depth))
        if asked.depth > look.k:
            look = replace(look, k=asked.depth, needed=look.k)
        return ask if look is ask.look else replace(ask, look=look)

    def _found(self, asks: Sequence[Ask], findings: Sequence[Findings]) -> list[Found]:
        """The retrievers' lists as one for each, best first, and the fallbacks behind."""
        found = []
        for ask, (best, reasons) in zip(asks, joined(asks, [each.lists for each in findings]), strict=True):
            if best.items[0, -1] != NOTHING:
                found.append(Found(best.items[0], best.scores[0], best.filled[0], reasons))
                continue
            if best.present(0) < ask.look.sure:
                best, reasons = self.fallbacks.filled(ask, ask.look, best, reasons)
            found.append(Found.of(best, 0, reasons))
        return found

    def _ranked(self, asks: Sequence[Ask], found: Sequence[Found], findings: Sequence[Findings]) -> list[Ranked]:
        """What the rules make of what was ``found``. Those that have to look again do so together; ``findings`` say
        what failed then, too."""
        ranked: dict[int, Ranked] = {}
        looking: dict[int, Steps] = {}
        for row, (ask, first) in enumerate(zip(asks, found, strict=True)):
            if ask.asked.dismissed or not self.rerankers[ask.asked.surface].idle:
                looking[row] = self._steps(ask, first)
            else:
                ranked[row] = first.first(ask.bounds.k)
        sent: dict[int, Found] = {}
        while looking:
            again = {}
            for row, steps in looking.items():
                try:
                    again[row] = replace(asks[row], look=steps.send(sent[row]) if sent else next(steps))
                except StopIteration as done:
                    ranked[row] = done.value
            more = self.retrieval.find([*again.values()])
            for row, each in zip(again, more, strict=True):
                findings[row].failure = findings[row].failure or each.failure
            sent = dict(zip(again, self._found([*again.values()], more), strict=True))
            looking = {row: looking[row] for row in again}
        return [ranked[row] for row in range(len(asks))]

    def _steps(self, ask: Ask, found: Found) -> Steps:
        fading = ask.asked.dismissed
        faded = zip(self.bundle.items.codes.find([*fading]), fading.values(), strict=True)
        return self.rerankers[ask.asked.surface].steps(
            found,
            ask.look,
            ask.bounds.k,
            now=ask.now,
            seed=seed_of(ask.request.request_id or ""),
            history=np.array(ask.histories["history"].items, np.int32),
            dismissed={code: share for code, share in faded if code != UNKNOWN},
        )

    def _served(
        self, ask: Ask, found: Found, ranked: Ranked, failure: Fallback | None, scores: Sequence[float]
    ) -> Served:
        """``scores`` are the list's, as they are to be shown."""
        manifest = self.bundle.manifest
        silent: Fallback | None = None
        if self.bundle.model is not None and ask.surface.retrievers and (not len(found) or found.filled[0]):
            silent = "the model has no opinion"
        known = map(self.bundle.items.description, ranked.codes.tolist())
        shown = [
            Recommendation(item.id, score, reason, item.title, item.category, item.brand, item.price)
            for item, score, reason in zip(known, scores, ranked.reasons, strict=True)
        ]
        answer = Answer(
            items=with_unknown(shown, ask, self.bundle.items.codes) if len(ask.given) < len(ask.wanted) else shown,
            request_id=ask.request.request_id or "",
            surface=ask.asked.surface,
            model=manifest.name,
            model_version=manifest.version,
            fallback=failure or ask.silence or silent,
            unknown_items=ask.unknown_items,
            unknown_events=ask.histories["history"].unknown_events,
            unknown_categories=unknown_categories(ask.request.liked, self.bundle.items) or UNSET,
        )
        return Served(answer, ask, found, ranked)


def _reranker(name: str, surface: Surface, facts: Facts) -> Reranker:
    try:
        return Reranker(surface.rules, facts)
    except BundleError as error:
        raise BundleError(f"surface {name}: {error}") from error


def in_six_digits(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same numbers with six significant digits, so that the last bits, which differ between machines, do not show.

    A whole number by a power of ten is the nearest that there is to the decimal, so it is printed with these digits.
    """
    exact = scores.astype(np.float64)
    places = TENS.searchsorted(np.abs(exact), "right")
    up, down = UP.take(places), DOWN.take(places)
    rounded: NDArray[np.float64] = np.rint(exact * up / down) * down / up
    return rounded
