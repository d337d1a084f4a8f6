"""Enough is fetched that a list can be filled."""

import pytest

from serving_min.depth import depth


@pytest.mark.parametrize(
    ("k", "barred", "widening", "left", "expected"),
    [
        (10, 0, 1, 1.0, 16),
        (10, 5, 1, 1.0, 16),
        (10, 6, 1, 1.0, 32),
        (1, 0, 4, 1.0, 64),  # never less of an approximate index
        (10, 20, 4, 1.0, 64),
        (10, 21, 4, 1.0, 128),
        (100, 0, 4, 1.0, 512),
        (10, 5, 1, 0.5, 64),  # twice what a filter leaves on average
    ],
)
def test_what_is_barred_or_filtered_is_fetched_besides(
    k: int, barred: int, widening: int, left: float, expected: int
) -> None:
    assert depth(k, barred, widening, left) == expected
