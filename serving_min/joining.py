"""The lists of a surface's retrievers become one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serving_min.asks import Ask
from serving_min.blend import shares
from serving_min.bounds import best_of, no_opinion
from serving_min.fallbacks import UNKNOWN
from serving_min.messages import Recommendation
from serving_min.opinions import Opinions
from serving_min.rerank import TopK
from serving_min.surfaces import GIVEN, Surface

Lists = Mapping[int, TopK]  # by the place of the retriever in its surface; those that failed are not there
Joined = tuple[TopK, list[str]]  # [1, k]
LEAST = 1e-3  # of the top's share, for the worst of the given items: it was found, after all
GAP = 4  # of a float32's smallest steps, between given items: a weight may make one of two


def joined(asks: Sequence[Ask], lists: Sequence[Lists]) -> list[Joined]:
    """For each query the list that it looks for, and for each of its items the source that spoke for it most.

    The queries of a surface are joined in one go: that takes little longer than one of them.
    """
    made: dict[int, Joined] = {}
    several: dict[str, list[int]] = defaultdict(list)
    for row, (ask, spoken) in enumerate(zip(asks, lists, strict=True)):
        if len(ask.surface.retrievers) > 1:
            several[ask.asked.surface].append(row)
        else:
            best = spoken[0] if 0 in spoken else no_opinion(ask.look.k)
            made[row] = best, [asked.source for asked in ask.surface.retrievers] * best.present(0)
    for rows in several.values():
        blended = _blended(asks[rows[0]].surface, [lists[row] for row in rows], [asks[row].look.k for row in rows])
        made.update(zip(rows, blended, strict=True))
    return [made[row] for row in range(len(asks))]


def _blended(surface: Surface, lists: Sequence[Lists], sizes: Sequence[int]) -> Iterator[Joined]:
    """Of one surface, for lists of these ``sizes``."""
    names, silent = [asked.source for asked in surface.retrievers], no_opinion(1)
    opinions = [Opinions.of(*(spoken.get(place, silent) for spoken in lists)) for place in range(len(names))]
    rows, codes, said = shares(opinions, surface.by, surface.smoothing)
    said *= [asked.weight for asked in surface.retrievers]
    scores = said.sum(axis=1).astype(np.float32)
    ends = rows.searchsorted(np.arange(len(lists) + 1)).tolist()
    for (start, end), k in zip(pairwise(ends), sizes, strict=True):
        best = best_of(codes[start:end], scores[start:end], k)
        places = codes[start:end].searchsorted(best.items[0, : best.present(0)])
        yield best, [names[place] for place in said[start + places].argmax(axis=1).tolist()]


def given_order(ask: Ask) -> TopK:
    """The request's own items as they came: by their scores if all have one, else by their places."""
    codes, scores = np.array([*ask.given], np.int32), [*ask.given.values()]
    worth = np.arange(len(codes), 0, -1, dtype=np.float64)
    if all(score is not None for score in scores):
        worth = np.array(scores, np.float64)
    best_first = np.argsort(-worth, kind="stable")
    said = np.empty(len(codes), np.float32)
    said[best_first] = _falling(worth[best_first])
    order = np.argsort(codes)
    order = order[ask.bounds.within(codes[order])]
    return best_of(codes[order], said[order], len(codes) + 1)


def _falling(worth: NDArray[np.float64]) -> NDArray[np.float32]:
    """Shares of ``worth`` [n], the best first: each is less than the one before it, however close they are."""
    said = np.ones(len(worth), np.float32)
    halves = worth / 2  # the distance between the greatest and the least may be more than a float can say
    if len(halves) and (span := halves[0] - halves[-1]) > 0:
        said = ((halves - halves[-1]) / span).astype(np.float32) + np.float32(LEAST)
    steps = GAP * np.arange(len(worth), dtype=np.int32)
    bits = said.view(np.int32)  # ordered as the floats are, none of which is negative
    falling: NDArray[np.float32] = (np.minimum.accumulate(bits + steps) - steps).view(np.float32)
    return falling


def with_unknown(shown: Sequence[Recommendation], ask: Ask, known: Container[str]) -> list[Recommendation]:
    """Whoever wants items ordered gets those that the bundle does not know too, as far as exclusions and filters let
    them pass. Where the given order counts, each stays behind the item that came before it, since new products would
    vanish from search otherwise; elsewhere they are last.
    """
    passed = ask.request.filters.pass_unknown and ask.surface.rules.filters.pass_unknown
    excluded = {*ask.request.exclude}
    order = [item for item in ask.wanted if item in known or (passed and item not in excluded)]
    if all(score is not None for score in ask.wanted.values()):
        order.sort(key=lambda item: -(ask.wanted[item] or 0.0))
    counts = any(asked.source == GIVEN for asked in ask.surface.retrievers)
    behind: dict[str | None, list[Recommendation]] = {}
    before = None
    for item in order:
        if item in known:
            before = item if counts else None
        else:
            behind.setdefault(before, []).append(Recommendation(item, 0.0, UNKNOWN))
    first = behind.pop(None, []) if counts else []
    listed = [*first, *(one for item in shown for one in (item, *behind.pop(item.id, [])))]
    left = [one for followers in behind.values() for one in followers]
    return [*listed, *left][: ask.bounds.k]
