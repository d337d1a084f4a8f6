"""How long a core stands still although somebody wants it: what a virtual machine's host takes shows as latency.

    python -m experiments.benchmarks.serving.stalls SECONDS

One process looks at the clock on the server's core all the time, another keeps the load generator's core busy. Where
two looks lie more than a fifth of a millisecond apart, the first process did not run in between.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time

from experiments.benchmarks.serving.servers import CLIENT_CORE, SERVER_CORE

NOTHING = 0.0002  # seconds between two looks that are no stall


def watched(core: int, seconds: float) -> list[float]:
    """The stalls of a core, in seconds."""
    os.sched_setaffinity(0, {core})
    stalls, last = [], time.perf_counter()
    end = last + seconds
    while last < end:
        now = time.perf_counter()
        if now - last > NOTHING:
            stalls.append(now - last)
        last = now
    return stalls


def main() -> None:
    seconds = float(sys.argv[1])
    other = multiprocessing.Process(target=watched, args=(CLIENT_CORE, seconds))
    other.start()
    stalls = watched(SERVER_CORE, seconds)
    other.join()
    found = {
        "seconds": seconds,
        "share_lost": round(sum(stalls) / seconds, 4),
        "longer_than_1_ms": sum(stall > 0.001 for stall in stalls),
        "longer_than_10_ms": sum(stall > 0.01 for stall in stalls),
        "longest_ms": round(max(stalls, default=0.0) * 1e3, 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
