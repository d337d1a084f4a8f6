"""Where a batch spends its time: who has done something for it says so, and the time since the last word was theirs."""

from __future__ import annotations

import threading
import time
from typing import Literal

Stage = Literal["understand", "encode", "retrieve", "rerank", "json"]
Lap = tuple[Stage, float]


class _Here(threading.local):
    laps: list[Lap] | None = None


_here = _Here()


def timed() -> list[Lap]:
    """A new list that takes this thread's laps from now on: each stage, and ``time.monotonic`` at its end."""
    laps: list[Lap] = []
    _here.laps = laps
    return laps


def lap(stage: Stage) -> None:
    """A stage is done. In a thread where nobody has ``timed`` this does nothing."""
    if _here.laps is not None:
        _here.laps.append((stage, time.monotonic()))


def by_stage(began: float, laps: list[Lap]) -> dict[Stage, float]:
    """Seconds in each stage, where the first began at ``began``. A stage may have been done several times."""
    seconds: dict[Stage, float] = {}
    for stage, ended in laps:
        seconds[stage] = seconds.get(stage, 0.0) + ended - began
        began = ended
    return seconds
