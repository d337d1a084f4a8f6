"""Re-rankers against numbers worked out by hand, and against the plainest way to say what they do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.rerank.reranker import Reranker
from serving_min.rerank.selection import foremost, select
from serving_min.rerank.variety import Among, Determinantal, MarginalRelevance, Similarity
from serving_min.rules import Calibrated, Dpp, Mmr, Rules
from tests.serving_min.rerank.shelf import NOBODY, NOW, anything, facts, found

# 0 and 1 are nearly the same, 2 stands at a right angle to 0, 3 has no vector
VECTORS = [[1.0, 0.0], [0.8, 0.6], [0.0, 2.0], [0.0, 0.0]]
SCORES = [1.0, 0.9, 0.5, 0.0]


def order(rules: Rules, k: int = 4, **columns: Any) -> list[int]:
    reranker = Reranker(rules, facts(4, **columns))
    return reranker.rank(found([0, 1, 2, 3], SCORES), anything(4), k, now=NOW).codes.tolist()


def test_maximal_marginal_relevance_by_hand() -> None:
    """With a mix of .5, after item 0: .45 - .5 · .8 = .05 for item 1, .25 - 0 for item 2, 0 for item 3; after item
    2: .05 for item 1 still (.8 is more than .6), 0 for item 3."""
    assert order(Rules(variety=Mmr(0.5)), vectors=VECTORS) == [0, 2, 1, 3]
    assert order(Rules(variety=Mmr(0.9)), vectors=VECTORS) == [0, 1, 2, 3]
    assert order(Rules(variety=Mmr(0.0)), vectors=VECTORS) == [0, 2, 3, 1]


def test_a_determinantal_process_by_hand() -> None:
    """With a mix of .8, after item 0: .72 + .2 ln(1 - .64) = .516 for item 1, .4 + .2 ln 1 = .4 for item 2. With
    .5: .45 + .5 ln .36 = -.06 and .25. Then 0 and 2 span the plane, so 3, which has no vector, adds more than 1."""
    assert order(Rules(variety=Dpp(0.8)), vectors=VECTORS, k=2) == [0, 1]
    assert order(Rules(variety=Dpp(0.5)), vectors=VECTORS) == [0, 2, 3, 1]


def test_labels_stand_in_for_vectors() -> None:
    """0 and 1 share category and brand, 0 and 2 the brand; 3 has neither and is like nothing."""
    columns = {"category": ["a", "a", "b", None], "brand": ["x", "x", "x", None]}
    assert order(Rules(variety=Mmr(0.0)), **columns) == [0, 3, 2, 1]
    similarity = Similarity(facts(4, **columns), np.arange(4, dtype=np.int32))
    assert similarity.to(0).tolist() == [1, 2 / 3, 1 / 3, 0]
    assert similarity.to(3).tolist() == [0, 0, 0, 1]


spaces = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).normal(size=(7, 4)))


@settings(max_examples=50, deadline=None)
@given(vectors=spaces, mix=st.sampled_from([0.0, 0.2, 0.5, 0.8]))
def test_each_step_of_the_process_is_the_best_determinant(vectors: np.ndarray, mix: float) -> None:
    shares = np.linspace(1, 0, 7)
    units = vectors.astype(np.float32).astype(float)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    picker = Determinantal(shares, Similarity(facts(7, vectors=vectors), np.arange(7, dtype=np.int32)), mix, 4)

    def worth(places: list[int]) -> float:
        chosen = units[places]
        return mix * shares[places].sum() + (1 - mix) * float(np.linalg.slogdet(chosen @ chosen.T)[1])

    chosen: list[int] = []
    open = np.ones(7, np.bool_)
    for _ in range(4):
        place = picker.best(open)
        best = max(worth([*chosen, other]) for other in range(7) if other not in chosen)
        assert worth([*chosen, place]) == pytest.approx(best, abs=1e-6)
        open[place] = False
        picker.take(place)
        chosen.append(place)


@settings(max_examples=50, deadline=None)
@given(vectors=spaces, mix=st.sampled_from([0.0, 0.3, 0.7]))
def test_each_step_of_marginal_relevance_is_the_best(vectors: np.ndarray, mix: float) -> None:
    shares = np.linspace(1, 0, 7)
    similarity = Similarity(facts(7, vectors=vectors), np.arange(7, dtype=np.int32))
    alike = np.stack([similarity.to(place) for place in range(7)])
    picker = MarginalRelevance(shares, similarity, mix)
    chosen: list[int] = []
    open = np.ones(7, np.bool_)
    for _ in range(5):
        place = picker.best(open)
        if chosen:
            gains = mix * shares - (1 - mix) * alike[chosen].max(axis=0)
            assert gains[place] == pytest.approx(gains[open].max())
        open[place] = False
        picker.take(place)
        chosen.append(place)


def test_a_long_list_is_varied_at_its_beginning() -> None:
    vectors = np.random.default_rng(1).normal(size=(300, 200))
    ranked = Reranker(Rules(variety=Dpp(0.5), depth=300), facts(300, vectors=vectors)).rank(
        found(range(300)), anything(300), 250, now=NOW
    )
    assert sorted(set(ranked.codes.tolist())) == sorted(ranked.codes.tolist())
    assert len(ranked) == 250


@pytest.mark.parametrize("kind", [Mmr, Dpp])
def test_items_that_are_all_the_same_come_by_score(kind: Callable[[float], Mmr | Dpp]) -> None:
    assert order(Rules(variety=kind(0.3)), vectors=[[1.0, 2.0]] * 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [Mmr, Dpp])
def test_less_weight_on_scores_makes_lists_more_varied(kind: Callable[[float], Mmr | Dpp]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 16))[rng.integers(0, 6, 200)] + 0.3 * rng.normal(size=(200, 16))
    shelf = facts(200, vectors=vectors)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = units @ units[0]
    likeness = []
    for mix in (1.0, 0.8, 0.4):
        reranker = Reranker(Rules(variety=kind(mix)), shelf)
        codes = reranker.rank(found(range(200), scores.tolist()), anything(200), 10, now=NOW).codes
        likeness.append(np.mean([units[one] @ units[other] for one, other in combinations(codes, 2)]))
    assert likeness[0] > likeness[1] > likeness[2]


def test_what_variety_does_not_look_at_comes_by_score() -> None:
    """Of eight items the best three are varied, and who is pinned is known: 7, which is like 2."""
    shelf = facts(8, vectors=[[1, 0], [1, 0], [0, 1], [1, 0], [-1, 0], [1, 0], [1, 0], [0, 1]])

    def listed(pinned: dict[int, int]) -> list[int]:
        some = foremost(3, 8, [], [*pinned.values()])
        known = Similarity(shelf, some.astype(np.int32))
        return select(6, Among(some, MarginalRelevance(np.linspace(1, 0, len(some)), known, 0.0)), 8, [], pinned, 8)

    assert listed({}) == [0, 2, 1, 3, 4, 5]
    assert listed({1: 7}) == [7, 0, 1, 2, 3, 4]


# -- calibration -------------------------------------------------------------------------------


def mixed(history: list[int], mix: float, k: int = 10) -> list[str]:
    """60 items, the best 30 of them red, the next 20 green, the last 10 blue; the categories of the list."""
    colors = ["red"] * 30 + ["green"] * 20 + ["blue"] * 10
    reranker = Reranker(Rules(variety=Calibrated(mix)), facts(60, category=colors))
    ranked = reranker.rank(found(range(60)), anything(60), k, now=NOW, history=np.array(history, np.int32))
    return [colors[code] for code in ranked.codes]


def test_a_planted_mix_of_categories_comes_back() -> None:
    history = [0, 1, 2, 3, 4, 30, 31, 32, 50, 51]  # 5 red, 3 green, 2 blue
    listed = mixed(history, 0.05)
    assert [listed.count(color) for color in ("red", "green", "blue")] == [5, 3, 2]
    assert set(mixed(history, 1.0)) == {"red"}
    assert listed[0] == "red"


def test_an_unknown_history_has_no_mix() -> None:
    assert mixed([], 0.05) == ["red"] * 10


def test_an_item_of_two_categories_counts_half_for_each() -> None:
    shelf = facts(4, category=["red", "red|blue", "blue", "blue"])
    reranker = Reranker(Rules(variety=Calibrated(0.0)), shelf)
    one = reranker.rank(found([0, 1, 2, 3]), anything(4), 1, now=NOW, history=np.array([0, 2], np.int32))
    assert one.codes.tolist() == [1]
    assert reranker.rank(found([0, 1, 2, 3]), anything(4), 1, now=NOW, history=NOBODY).codes.tolist() == [0]
