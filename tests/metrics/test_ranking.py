from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.metrics import ranking

# Seven queries, lists of up to four items, and what a reader can check by hand at k = 3.
LISTS = [
    [1, 2, 3, 4],  # targets 1: hit in place 1
    [1, 2, 3, 4],  # targets 3: hit in place 3
    [1, 2, 3, 4],  # targets 4: the hit comes after the cutoff
    [1, 2, 3, 4],  # targets 1, 3, 9: hits in places 1 and 3 of three targets
    [1, 2, 3, 4],  # targets 1, 2, 3, 4, 5: all places hit, more targets than places
    [2, -1, -1, -1],  # targets 2, 7: a list of one item
    [-1, -1, -1, -1],  # targets 0: an empty list
]
TARGETS = [[1], [3], [4], [9, 3, 1], [5, 4, 3, 2, 1], [7, 2], [0]]
N_TARGETS = np.array([1, 1, 1, 3, 5, 2, 1])
LOG3 = 1 / np.log2(3)
BY_HAND = {
    "precision": [1 / 3, 1 / 3, 0, 2 / 3, 1, 1 / 3, 0],
    "recall": [1, 1, 0, 2 / 3, 3 / 5, 1 / 2, 0],
    "ndcg": [1, 1 / 2, 0, 1.5 / (1.5 + LOG3), 1, 1 / (1 + LOG3), 0],
    "hit_rate": [1, 1, 0, 1, 1, 1, 0],
    "mrr": [1, 1 / 3, 0, 1, 1, 1, 0],
    "map": [1, 1 / 3, 0, (1 + 2 / 3) / 3, 1, 1 / 2, 0],
}


def offsets(targets: list[list[int]]) -> np.ndarray:
    return np.cumsum([0, *map(len, targets)])


def flat(targets: list[list[int]]) -> np.ndarray:
    return np.array([item for row in targets for item in row], np.int32)


@pytest.fixture
def found() -> np.ndarray:
    return ranking.hits(np.array(LISTS, np.int32), offsets(TARGETS), flat(TARGETS))


def test_hits_by_hand(found: np.ndarray) -> None:
    marks = ["x...", "..x.", "...x", "x.x.", "xxxx", "x...", "...."]
    assert found.tolist() == [[mark == "x" for mark in row] for row in marks]


@pytest.mark.parametrize("name", ranking.RANKING_METRICS)
def test_seven_rows_by_hand(found: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(ranking.at_k(found, N_TARGETS, 3)[name], BY_HAND[name], atol=1e-12)


def test_cold_targets_are_misses(found: np.ndarray) -> None:
    """Row 0 wanted two more items that no catalogue knew."""
    values = ranking.at_k(found, N_TARGETS + np.array([2, 0, 0, 0, 0, 0, 0]), 3)
    assert values["recall"][0] == pytest.approx(1 / 3)
    assert values["ndcg"][0] == pytest.approx(1 / (1.5 + LOG3))
    assert values["map"][0] == pytest.approx(1 / 3)


def test_a_list_shorter_than_k_still_divides_by_k() -> None:
    one_place = np.ones((1, 1), np.bool_)
    values = ranking.at_k(one_place, np.array([4]), 4)
    assert values["precision"][0] == values["recall"][0] == values["map"][0] == pytest.approx(1 / 4)


def test_without_any_known_target_nothing_hits() -> None:
    items = np.zeros((2, 3), np.int32)
    assert not ranking.hits(items, np.zeros(3, np.int64), np.zeros(0, np.int32)).any()


def test_a_target_of_another_query_is_no_hit() -> None:
    items = np.array([[1], [0]], np.int32)
    assert not ranking.hits(items, np.array([0, 1, 2]), np.array([0, 1], np.int32)).any()


queries = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12), unique=True, max_size=8),  # a list, best first
        st.lists(st.integers(0, 12), unique=True, min_size=1, max_size=10),  # its targets
        st.integers(0, 3),  # cold targets
    ),
    min_size=1,
    max_size=6,
)


@given(queries)
def test_hits_equal_set_membership(rows: list[tuple[list[int], list[int], int]]) -> None:
    items = padded([row[0] for row in rows])
    targets = [row[1] for row in rows]
    expected = [[item in row for item in shown] for shown, row in zip(items.tolist(), targets, strict=True)]
    assert ranking.hits(items, offsets(targets), flat(targets)).tolist() == expected


@given(queries)
def test_bounds_and_growth(rows: list[tuple[list[int], list[int], int]]) -> None:
    found, n_targets = asked(rows)
    before: dict[str, np.ndarray] | None = None
    for k in range(1, 9):
        values = ranking.at_k(found, n_targets, k)
        for column in values.values():
            assert ((column >= 0) & (column <= 1 + 1e-12)).all()
        assert (values["map"] <= values["hit_rate"]).all()
        assert (values["mrr"] <= values["hit_rate"]).all()
        if before is not None:
            for name in ("recall", "hit_rate", "mrr"):
                assert (values[name] >= before[name]).all()
        before = values


@given(queries, st.randoms())
def test_order_of_queries_and_of_targets_changes_nothing(
    rows: list[tuple[list[int], list[int], int]], random: Random
) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = [(rows[row][0], rows[row][1][::-1], rows[row][2]) for row in order]
    values, moved = ranking.at_k(*asked(rows), 4), ranking.at_k(*asked(shuffled), 4)
    for name, column in values.items():
        np.testing.assert_array_equal(column[order], moved[name])


@given(queries)
def test_moving_a_hit_to_the_front_never_hurts(rows: list[tuple[list[int], list[int], int]]) -> None:
    found, n_targets = asked(rows)
    best = np.sort(found, axis=1)[:, ::-1]
    values, ideal = ranking.at_k(found, n_targets, 5), ranking.at_k(best, n_targets, 5)
    for name, column in values.items():
        assert (ideal[name] >= column - 1e-12).all()


def asked(rows: list[tuple[list[int], list[int], int]]) -> tuple[np.ndarray, np.ndarray]:
    targets = [row[1] for row in rows]
    found = ranking.hits(padded([row[0] for row in rows]), offsets(targets), flat(targets))
    return found, np.array([len(row[1]) + row[2] for row in rows])


def padded(lists: list[list[int]], width: int = 8) -> np.ndarray:
    return np.array([row + [-1] * (width - len(row)) for row in lists], np.int32)
