"""How fast the server is: with 100 thousand, a million and ten million items, under load from another process.

    python -m experiments.benchmarks.serving [--items 1000000] [--cache FOLDER] [--seconds 8]

Bundles are made once and kept in ``--cache``: generated items around a really trained SASRec, see ``bundles``. The
server has one core, the load generator (see ``load``) the other. Of each bundle: how long until it is ready (the first
time, files come from the disk), what the closed loop of 32 connections reaches (its capacity), latencies at 70 % of
that in an open loop, 3 times as many as it can answer, the time after, idle connections; what a request costs and
where. A machine changes its own speed, so the capacity and 70 % of it are measured five times in turn: the report has
the round of middle capacity, and what the others found. Of one bundle also two workers on both cores, where the load
generator and Redis are, too, and the peer in ``peer``.
Everything goes to reports/benchmarks/serving.json, with machine and versions, and with how much of the time the machine
itself stood still, before and after, and what latency that alone would leave an ideal server (see ``stalls``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers import CACHE, ROOT, machine, python_of, run, versions
from experiments.benchmarks.serving.bundles import TARGETS, make, write_peer
from experiments.benchmarks.serving.servers import CLIENT_CORE, SERVER_CORE, Server, redis, running

REPORT = ROOT / "reports" / "benchmarks" / "serving.json"
PACKAGES = ("faiss-cpu", "httptools", "msgspec", "numpy", "onnxruntime", "pyarrow", "starlette", "uvicorn", "uvloop")
PEER_ITEMS = 1_000_000
IDLE = 10_000
CLOSED = 32  # connections that ask again as soon as they are answered; the queue takes as many in its time
ROUNDS = 5
USUAL, WIDE = 256, 1_024  # connections below capacity, and where very many requests are to be under way


def in_rounds(server: Server, requests: Path, seconds: float) -> dict[str, Any]:
    """The capacity, and 70 % of it right after."""
    rounds = []
    for _ in range(ROUNDS):
        closed = server.ask(requests, seconds=seconds, connections=CLOSED)
        rate = 0.7 * closed["accepted_per_second"]
        rounds.append((closed, server.ask(requests, seconds=seconds, rate=rate, connections=USUAL)))
    rounds.sort(key=lambda pair: pair[0]["accepted_per_second"])
    capacity, below = rounds[ROUNDS // 2]
    return {
        "capacity": capacity,
        "at_70_percent": below,
        "rounds": [
            {"capacity": closed["accepted_per_second"], "p99_ms_at_70_percent": later["latency_ms"]["p99"]}
            for closed, later in rounds
        ],
    }


def measured(server: Server, requests: Path, seconds: float, *, full: bool) -> dict[str, Any]:
    """Warm up, find the capacity, then below, above and below it again."""
    server.ask(requests, seconds=seconds, connections=CLOSED)
    found: dict[str, Any] = {"ready_seconds": server.ready_seconds, "resident_mib": server.resident_mib}
    found |= in_rounds(server, requests, seconds / 2)
    if full:
        capacity = found["capacity"]["accepted_per_second"]
        found["at_3_times_capacity"] = server.ask(requests, seconds=seconds, rate=3 * capacity, connections=WIDE)
        found["right_after"] = server.ask(requests, seconds=seconds / 2, rate=capacity / 2, connections=64)
        with server.idle_connections(IDLE) as count:
            with_idle = server.ask(requests, seconds=seconds / 2, rate=capacity / 2, connections=64)
            found["idle_connections"] = {"count": count, "resident_mib": server.resident_mib, "at_half_load": with_idle}
    return found


def stages(bundle: Path, requests: Path) -> dict[str, Any]:
    """Microseconds of CPU per request inside the engine, by stage: see ``stages``."""
    return run("experiments.benchmarks.serving.stages", str(bundle), str(requests), core=SERVER_CORE)


def stalls() -> dict[str, float]:
    """Of the machine itself, in some seconds."""
    return run("experiments.benchmarks.serving.stalls", "5", core=SERVER_CORE)


def of_bundle(count: int, cache: Path, seconds: float) -> dict[str, Any]:
    bundle, requests = make(count, cache), cache / f"requests-{count}.jsonl"
    index = json.loads((bundle / "manifest.json").read_bytes())["index"]
    words = ["-m", "serving_min", bundle, "--port", "0"]
    with running(words) as server:
        first = server.ready_seconds
    with running(words) as server:
        found = {"first_ready_seconds": first, **measured(server, requests, seconds, full=True)}
    two = of_two_workers(bundle, requests, seconds) if count == PEER_ITEMS else {}
    inside = stages(bundle, requests)
    whole = found["capacity"]["server_cpu_microseconds"]
    model = sum(inside[name] for name in ("encode", "search", "score"))
    return {
        "items": count,
        "index": index,
        **found,
        **two,
        "engine_microseconds": inside,
        "glue_share": round(1 - model / whole, 2),
    }


def of_two_workers(bundle: Path, requests: Path, seconds: float) -> dict[str, Any]:
    if shutil.which("redis-server") is None:
        return {"two_workers": "redis-server is not installed"}
    with redis() as store:
        words = ["-m", "serving_min", bundle, "--port", "0", "--workers", "2", "--redis", store]
        with running(words, cores=(SERVER_CORE, CLIENT_CORE)) as server:
            return {"two_workers": measured(server, requests, seconds, full=False)}


def of_peer(cache: Path, seconds: float) -> dict[str, Any]:
    folder, requests = write_peer(PEER_ITEMS, cache), cache / f"requests-{PEER_ITEMS}.jsonl"
    words = ["-W", "ignore", "-m", "experiments.benchmarks.serving.peer", folder]
    with running(words, python=python_of("fastapi")) as server:
        return {"items": PEER_ITEMS, **measured(server, requests, seconds, full=False)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--cache", type=Path, default=CACHE.parent / "serving")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the server and one for the load")
    given.cache.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "versions": versions(PACKAGES), "bundles": []}
    report["machine"]["stalls"] = [stalls()]
    for count in given.items or TARGETS:
        report["bundles"].append(of_bundle(count, given.cache, given.seconds))
        sys.stdout.write(json.dumps(report["bundles"][-1]) + "\n")
    if not given.no_peer:
        report["fastapi_torch_exact"] = of_peer(given.cache, given.seconds)
        ours = [each for each in report["bundles"] if each["items"] == PEER_ITEMS]
        if ours:
            theirs = report["fastapi_torch_exact"]["capacity"]["accepted_per_second"]
            report["times_the_peer"] = round(ours[0]["capacity"]["accepted_per_second"] / max(1, theirs), 1)
    report["machine"]["stalls"].append(stalls())
    report["load_average_at_the_end"] = [round(share, 1) for share in os.getloadavg()]
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
