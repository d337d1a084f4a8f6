"""Parts are made by several processes, each of which opens the bundle for itself; what it maps is there once."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from serving_min.batch.folder import Lock
from serving_min.batch.making import Maker
from serving_min.errors import BatchError

if TYPE_CHECKING:
    from serving_min.batch.job import Plan

_held: list[Lock] = []  # by this process, as long as it lives


def made(plan: Plan, missing: Sequence[int], workers: int) -> Iterator[float]:
    """The CPU seconds that each of the ``missing`` parts took, in order. Raises BatchError when a process is killed."""
    spawned = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, len(missing)), spawned, _begin, (plan.out,)) as pool:
            yield from pool.map(partial(_make, plan), missing)
    except BrokenProcessPool as error:
        raise BatchError("workers: one was killed, as happens without memory; the same command goes on") from error


def _begin(out: Path) -> None:
    threading.Thread(target=_end_with_the_parent, name="parent", daemon=True).start()
    _held.append(Lock(out, alone=False))


def _end_with_the_parent() -> None:
    """Else a pool's processes wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(plan: Plan, number: int) -> float:
    return _maker(plan).make(number)


@cache
def _maker(plan: Plan) -> Maker:
    return Maker(plan)
