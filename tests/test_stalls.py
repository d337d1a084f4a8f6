"""What an ideal server could do on a machine that stands still now and then, on a few requests counted by hand."""

import numpy as np
import pytest

from experiments.benchmarks.serving.stalls import Stall, ideal_latencies


@pytest.mark.parametrize(
    ("stalls", "expected"),
    [
        ([], [1, 1.5, 1]),
        ([(0.25, 2)], [3, 3.5, 1]),  # in the middle of the first, for which the second waits
        ([(6, 1)], [1, 1.5, 1]),  # nobody is there
        ([(4.5, 1), (5.5, 1)], [1, 1.5, 3]),
    ],
)
def test_an_answer_is_late_by_the_stalls_that_it_meets(stalls: list[Stall], expected: list[float]) -> None:
    latencies = ideal_latencies(stalls, np.array([0.0, 0.5, 4.0]), 1.0)
    assert latencies.tolist() == pytest.approx(expected)
