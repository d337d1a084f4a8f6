"""How long a core stands still although somebody wants it: what a virtual machine's host takes shows as latency.

    python -m experiments.benchmarks.serving.stalls SECONDS

One process looks at the clock on the server's core all the time, another keeps the load generator's core busy. Where
two looks lie more than a fifth of a millisecond apart, the first process did not run in between. ``ideal_p99_ms`` is
the latency that a server would have on this core at 70 % of its capacity if each request took it the 3,000th part of
a second, no more and no less, and the stalls were all that disturbed it: no real one can do better.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence

import numpy as np

from experiments.benchmarks.serving.servers import CLIENT_CORE, SERVER_CORE

NOTHING = 0.0002  # seconds between two looks that are no stall
CAPACITY, LOAD = 3_000, 0.7  # requests a second, and the share of them that come

Stall = tuple[float, float]  # when it began, how long it was: seconds


def watched(core: int, seconds: float) -> list[Stall]:
    """The stalls of a core, counted from now."""
    os.sched_setaffinity(0, {core})
    stalls: list[Stall] = []
    began = last = time.perf_counter()
    end = began + seconds
    while last < end:
        now = time.perf_counter()
        if now - last > NOTHING:
            stalls.append((last - began, now - last))
        last = now
    return stalls


def ideal_latencies(stalls: Sequence[Stall], arrivals: np.ndarray, service: float) -> np.ndarray:
    """Seconds from each of the ``arrivals``, which ascend, to its answer, one after the other, ``service`` seconds
    each, with the ``stalls``, which ascend too, in between."""
    starts, lengths = np.array(stalls, np.float64).reshape(-1, 2).T
    lost = lengths.cumsum()
    last = max(arrivals[-1], starts.max(initial=0.0)) + service * len(arrivals) + lengths.sum()
    # the time, and how much of it the core has run until then: flat where it stands still
    clock = np.concatenate([[0.0], np.column_stack([starts, starts + lengths]).ravel(), [last + lengths.sum()]])
    ran = np.concatenate([[0.0], np.repeat(starts - lost + lengths, 2), [last]])
    work = service * np.arange(len(arrivals))
    done = np.maximum.accumulate(np.interp(arrivals, clock, ran) - work) + work + service
    latencies: np.ndarray = np.interp(done, ran, clock) - arrivals
    return latencies


def main() -> None:
    seconds = float(sys.argv[1])
    other = multiprocessing.get_context("spawn").Process(target=watched, args=(CLIENT_CORE, seconds))
    other.start()
    stalls = watched(SERVER_CORE, seconds)
    other.join()
    lengths = [length for _, length in stalls]
    gaps = np.random.default_rng(0).exponential(1 / (LOAD * CAPACITY), int(LOAD * CAPACITY * seconds))
    ideal = ideal_latencies(stalls, gaps.cumsum(), 1 / CAPACITY)
    found = {
        "seconds": seconds,
        "share_lost": round(sum(lengths) / seconds, 4),
        "longer_than_1_ms": sum(length > 0.001 for length in lengths),
        "longer_than_10_ms": sum(length > 0.01 for length in lengths),
        "longest_ms": round(max(lengths, default=0.0) * 1e3, 1),
        "ideal_p99_ms": round(float(np.percentile(ideal, 99)) * 1e3, 2),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
