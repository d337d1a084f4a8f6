"""What a ranker is told of a candidate, by hand, and that other queries change none of it."""

from __future__ import annotations

import numpy as np

from serving_min.features import HALF_LIVES, NEVER, ItemFacts, columns, features
from serving_min.opinions import Opinions, keys_of, named_by
from serving_min.queries import Queries
from serving_min.rerank import TopK

DAY = 86_400
NOW = 20 * DAY + 5 * 3_600  # a Wednesday, at five
FACTS = ItemFacts(
    popularity=np.arange(5 * len(HALF_LIVES), dtype=np.float32).reshape(5, -1),
    first=np.array([0, DAY, 2 * DAY, -1, 0]),
    last=np.array([DAY, 19 * DAY, 20 * DAY, -1, 0]),
    buyers=np.array([1, 2, 3, 0, 1], np.float32),
    again=np.full(5, 0.5, np.float32),
    gap=np.array([2, 4, 8, NEVER, NEVER], np.float32),
    price=np.array([1, 2, 3, 4, 0], np.float32),
)
# 0 twice in one basket and once later, 1 between them; then somebody without a past; then one event of another kind
QUERIES = Queries.from_histories(
    [[0, 0, 1, 0], [], [2]],
    events=[[0, 0, 0, 1], [], [1]],
    times=[[10 * DAY, 10 * DAY, 12 * DAY, 16 * DAY], [], [NOW - DAY]],
    now=[NOW] * 3,
    event_names=("view", "purchase"),
)
LISTS = TopK(
    np.array([[1, 0, 3], [2, 4, 3], [4, 2, 1]], np.int32),
    np.array([[4, 3, 2], [9, 5, 1], [3, 3, 0]], np.float32),
    np.zeros((3, 3), np.bool_),
)


def told(queries: Queries, lists: TopK) -> dict[str, list[float]]:
    opinions = [Opinions.of(lists)]
    named = columns(queries, named_by(opinions), opinions, ["only"], FACTS, depth=3)
    return {name: np.round(column, 4).tolist() for name, column in named.items()}


def test_features_by_hand() -> None:
    found = told(QUERIES, LISTS)
    # candidates: 0 and 1 of the first query, 2 and 4 of the second and of the third; the last of a list is its cut
    assert found["events"] == [3, 1, 0, 0, 1, 0]
    assert found["events purchase"] == [1, 0, 0, 0, 1, 0]
    assert found["moments"] == [2, 1, 0, 0, 1, 0]
    assert found["share of moments"] == [0.6667, 0.3333, 0, 0, 1, 0]
    assert found["since"] == [4.2083, 8.2083, NEVER, NEVER, 1, NEVER]
    assert found["gap"] == [6, NEVER, NEVER, NEVER, NEVER, NEVER]
    assert found["overdue"] == [0.7014, *[NEVER] * 5]
    assert found["moments ago"] == [0, 1, NEVER, NEVER, 0, NEVER]
    assert found["due"] == [2.1042, 2.0521, 1249.875, 1, 0.125, 1]
    assert found["since sold"] == [19.2083, 1.2083, 0.2083, 20.2083, 0.2083, 20.2083]
    assert found["history moments"] == [3, 3, 0, 0, 1, 1]
    assert found["history gap"] == [3, 3, *[NEVER] * 4]
    assert found["idle"] == [4.2083, 4.2083, NEVER, NEVER, 1, 1]
    assert found["basket"] == [1.3333, 1.3333, 0, 0, 1, 1]
    assert found["variety"] == [0.5, 0.5, 0, 0, 1, 1]
    assert found["active 28"] == [3, 3, 0, 0, 1, 1]
    assert found["usual price"] == [1.25, 1.25, 0, 0, 3, 3]
    assert found["price to usual"] == [0.8, 1.6, 300, 0, 1, 0]
    assert (found["hour"][0], found["weekday"][0]) == (5, 2)
    assert found["only score"] == [0.5, 1, 1, 0.5, 1, 1]
    assert found["only rank"] == [2, 1, 1, 2, 1, 1]


def test_the_other_queries_of_a_batch_and_the_order_of_events_change_nothing() -> None:
    opinions = [Opinions.of(LISTS)]
    keys = named_by(opinions)
    together = features(QUERIES, keys, opinions, ["only"], FACTS, depth=3)
    for row in range(3):
        alone = [Opinions.of(TopK(LISTS.items[[row]], LISTS.scores[[row]], LISTS.filled[[row]]))]
        one = QUERIES.take(np.array([row]))
        backwards = Queries(
            one.offsets, one.items[::-1], one.events[::-1], one.times[::-1], one.now, one.attributes, one.event_names
        )
        for query in (one, backwards):
            rows = features(query, named_by(alone), alone, ["only"], FACTS, depth=3)
            np.testing.assert_array_equal(rows, together[keys >> 32 == row])


def test_without_a_candidate_there_is_no_row() -> None:
    nothing = np.zeros(0, np.int64)
    assert features(QUERIES, keys_of(nothing, nothing.astype(np.int32)), [], [], FACTS, depth=3).shape[0] == 0
