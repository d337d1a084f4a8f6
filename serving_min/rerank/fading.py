"""What the user dismissed fades, and so does what is nearly the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Codes, Found
from serving_min.rerank.variety import Similarity

NEAR = 0.9  # the cosine of two items that are nearly the same
MUCH = 0.5  # of what the user dismissed is in an item: it is not drawn by lot
MANY = 10_000  # items: to compare so many with what was dismissed would hold up others
IN_COMMON = 0.6  # where there are no vectors: of the words of two titles of one category
WORD = re.compile(r"\w+")


def faded(found: Found, dismissed: Mapping[int, float], facts: Facts) -> Found:
    """The same candidates; each loses its likeness to an item that was ``dismissed`` (by code: how strongly, from 0 to
    1), times that strength, of the distance between the best and the worst score. So with all of it the best item
    becomes the last."""
    if not dismissed or not len(found):
        return found
    strengths = np.array([*dismissed.values()])
    loss = (_likeness(found.codes, np.array([*dismissed], np.int32), facts) * strengths).max(axis=1)
    scores = found.scores.astype(np.float64)
    for tier in found.tiers():
        scores[tier] -= loss[tier] * (scores[tier].max() - scores[tier].min() or 1.0)
    return replace(found, scores=scores.astype(np.float32))


def disliked(codes: Codes, dismissed: Mapping[int, float], facts: Facts) -> NDArray[np.bool_]:
    """Which of n items are what the user ``dismissed`` lately, or, unless they are very many, nearly the same, [n]."""
    lately = {code: strength for code, strength in dismissed.items() if strength >= MUCH}
    if not lately or len(codes) > MANY:
        return np.isin(codes, [*lately])
    alike = _likeness(codes, np.array([*lately], np.int32), facts) * np.array([*lately.values()])
    return np.asarray(alike.max(axis=1, initial=0) >= MUCH, np.bool_)


def _likeness(codes: Codes, others: Codes, facts: Facts) -> NDArray[np.float64]:
    """Of n items to m others, [n, m]: 1 for an item and itself, 0 where two are not nearly the same."""
    if facts.vectors is not None:
        similarity = Similarity(facts, np.concatenate([others, codes]))
        alike = np.stack([similarity.to(place)[len(others) :] for place in range(len(others))], axis=1)
        alike[alike < NEAR] = 0
    else:
        mine, theirs = ([_words(code, facts) for code in some.tolist()] for some in (codes, others))
        alike = np.array([[_in_common(one, other) for other in theirs] for one in mine])
    alike[codes[:, None] == others] = 1
    return alike


def _words(code: int, facts: Facts) -> tuple[str | None, frozenset[str]]:
    known = facts.items.description(code)
    return known.category or None, frozenset(WORD.findall((known.title or "").lower()))


def _in_common(one: tuple[str | None, frozenset[str]], other: tuple[str | None, frozenset[str]]) -> float:
    either = len(one[1] | other[1])
    share = len(one[1] & other[1]) / either if either and one[0] == other[0] else 0.0
    return share if share >= IN_COMMON else 0.0
