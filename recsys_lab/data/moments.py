"""Dates, durations and quantiles as people write them, in epoch seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ConfigError

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration(value: str | int, *, argument: str) -> int:
    """``"28d"``, ``"12h"``, ``"2w"`` or a number of seconds, as seconds. Raises ConfigError."""
    found = re.fullmatch(r"(\d+)\s*([smhdw]?)", str(value).strip())
    if not found or int(found[1]) == 0:
        raise ConfigError(f"{argument}: {value!r} is no duration; write 28d, 12h, 2w or seconds")
    return int(found[1]) * SECONDS[found[2] or "s"]


def moment(value: str | float, times: NDArray[np.int64], *, argument: str) -> int:
    """A point in the span of ``times``, in epoch seconds.

    An ISO date or time (UTC unless it says otherwise), a share of the events between 0 and 1, or
    a duration counted back from the end of the log, such as ``"28d"``. Raises ConfigError.
    """
    text = str(value).strip()
    if re.fullmatch(r"0?\.\d+", text):
        return int(np.quantile(times, float(text), method="higher"))
    if re.fullmatch(r"\d+\s*[smhdw]", text):
        return int(times.max()) + 1 - duration(text, argument=argument)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{argument}: {value!r} is no cutoff; write a date (2011-06-03), a share of the events (0.9) "
            "or a duration before the end (28d)"
        ) from None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def iso(seconds: int) -> str:
    """Epoch seconds as ``2011-06-03 00:00``, UTC; where no calendar reaches, as ``-99999999999 s``."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"
