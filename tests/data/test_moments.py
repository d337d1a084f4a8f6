from __future__ import annotations

import numpy as np
import pytest

from recsys_lab.data.moments import duration, iso, moment
from recsys_lab.errors import ConfigError

TIMES = np.arange(10, dtype=np.int64) * 86_400


@pytest.mark.parametrize(("text", "seconds"), [("28d", 2_419_200), ("12 h", 43_200), ("2w", 1_209_600), (90, 90)])
def test_durations(text, seconds):
    assert duration(text, argument="window") == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-03", 172_800),
        ("1970-01-01T00:00:05", 5),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1d", 9 * 86_400 + 1 - 86_400),
        (0.5, 5 * 86_400),
    ],
)
def test_moments(text, seconds):
    assert moment(text, TIMES, argument="cutoff") == seconds


@pytest.mark.parametrize("text", ["0d", "-3d", "d", "1.5", ""])
def test_what_is_neither_says_what_would_work(text):
    with pytest.raises(ConfigError, match="write 28d"):
        duration(text, argument="window")
    with pytest.raises(ConfigError, match=r"write (28d|a date)"):
        moment(text, TIMES, argument="cutoff")


def test_iso_is_utc():
    assert iso(1_307_059_200) == "2011-06-03 00:00"


@pytest.mark.parametrize("seconds", [-8_640_000_000_000, 10**20])
def test_what_no_calendar_reaches_stays_in_seconds(seconds):
    assert iso(seconds) == f"{seconds} s"
