"""Measuring until a core was not shared, with chores whose times are made up; and one real round."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from experiments.benchmarks.serving.pace import Measured, Pace, Round


class Told(Pace):
    """Its chores take what it was told."""

    def __init__(self, *chores: float, patience: float = 0.0) -> None:
        super().__init__(0, patience)
        self.chores: Iterator[float] = iter(chores)

    def during(self, measure: Callable[[], Measured]) -> Round[Measured]:
        chore = next(self.chores)
        self.best = min(self.best, chore)
        return Round(measure(), chore)


@pytest.mark.parametrize(
    ("chores", "taken", "ours"),
    [
        ((100, 120, 90), [100, 120], [100, 120]),  # two are enough
        ((180, 100, 190, 124, 90), [180, 100, 190, 124], [100, 124]),  # the first is known to be slow by the second
        ((100, 200, 200, 200, 90), [100, 200, 200, 200], [100]),  # four are all that is tried
    ],
)
def test_rounds_are_measured_until_enough_are_ours(
    chores: tuple[float, ...], taken: list[float], ours: list[float]
) -> None:
    pace, asked = Told(*chores), iter(range(9))
    rounds = pace.rounds(lambda: next(asked), wanted=2, most=4)
    assert [each.found for each in rounds] == [*range(len(taken))]
    assert [each.chore_us for each in rounds] == taken
    assert [each.chore_us for each in pace.ours(rounds)] == ours


def test_what_was_quick_before_tells_of_what_is_slow_now() -> None:
    pace = Told(100, 200)
    pace.rounds(lambda: "first", wanted=1, most=1)
    assert pace.ours(pace.rounds(lambda: "second", wanted=1, most=1)) == []


def test_rounds_wait_for_the_core_to_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.benchmarks.serving.pace.SPELL", 0.001)
    pace = Told(100, 200, 110, 120, 200, 200, 190, 200, 130, patience=0.0055)
    rounds = pace.rounds(lambda: "measured", wanted=2, most=3)  # after 100, after 110, and when patience was at its end
    assert [each.chore_us for each in rounds] == [200, 120, 200]


def test_chores_are_done_while_something_is_measured() -> None:
    allowed = os.sched_getaffinity(0)
    with Pace(min(allowed)) as pace:
        found = pace.during(lambda: "measured")
        assert found.found == "measured"
        assert 0 < pace.best <= found.chore_us
        with pytest.raises(ZeroDivisionError):
            pace.during(lambda: 1 / 0)
        assert pace.during(lambda: "again").found == "again"
    assert os.sched_getaffinity(0) == allowed
