"""When people come: the shop's intensity by hour, weekday and season."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.shop.vocabulary import CATEGORIES, PEAK_DAY

START = 1_736_121_600  # Monday 2025-01-06, 00:00 UTC: fixed, so that settings alone decide the output
START_DAY_OF_YEAR = 6
DAY = 86_400
HOUR = 3_600

BY_WEEKDAY = (1.05, 0.95, 0.9, 0.95, 1.0, 1.2, 1.35)  # Monday first
BY_HOUR = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 12, 11, 10, 10, 11, 13, 15, 18, 20, 18, 12, 6)
SEASON_STRENGTH = 0.9  # of a category's log-interest, half the way from trough to peak
GROWTH = 0.2  # visits per user rise by this share over the period


@dataclass(frozen=True)
class OpeningHours:
    """A clock that runs as fast as the shop is busy; visits are evenly spread on that clock."""

    days: int

    @property
    def end(self) -> int:
        """Epoch second at which the log stops."""
        return START + self.days * DAY

    @cached_property
    def _busy(self) -> NDArray[np.float64]:
        """Busy time passed by each full hour since the start, [hours + 1], in mean days."""
        hours = np.arange(self.days * 24)
        rate = np.array(BY_WEEKDAY)[hours // 24 % 7] * np.array(BY_HOUR)[hours % 24]
        rate = rate * (1 + GROWTH * hours / len(hours))
        return np.concatenate([[0.0], np.cumsum(rate / rate.mean() / 24)])

    def busy_time(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Epoch seconds → busy days since the start."""
        return np.interp((times - START) / HOUR, np.arange(len(self._busy)), self._busy)

    def clock_time(self, busy: NDArray[np.float64]) -> NDArray[np.int64]:
        """Busy days since the start → epoch seconds; what lies beyond the period is its end."""
        hours = np.interp(busy, self._busy, np.arange(len(self._busy)))
        return (START + hours * HOUR).astype(np.int64)

    def share(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much of the period has passed, 0 to 1."""
        return (times - START) / (self.days * DAY)


def season(times: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the time of the year adds to the log-interest in each category, [N, categories]."""
    day = START_DAY_OF_YEAR + (times - START) / DAY
    peaks = np.array([PEAK_DAY[category] for category in CATEGORIES])
    wave: NDArray[np.float64] = SEASON_STRENGTH * np.cos(2 * np.pi * (day[:, None] - peaks) / 365.25)
    return wave
