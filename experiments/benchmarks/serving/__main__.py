"""How fast the server is: with 100 thousand, a million and ten million items, under load from another process.

    python -m experiments.benchmarks.serving [--items 1000000] [--cache FOLDER] [--seconds 8] [--patience 600]

Bundles are made once and kept in ``--cache``: generated items around a really trained SASRec, see ``bundles``. The
server has one core, the load generator (see ``load``) the other. Of each bundle: how long until it is ready (the
first time, files come from the disk), what the closed loop of 32 connections reaches (its capacity), latencies at
70 % of that in an open loop, and at 70 % of the capacity that is wanted, 3 times as many as it can answer, the time
after, idle connections; what a request costs and where. A shared machine changes its speed, so the capacity and 70 %
of it are measured in turn until the core was ours five times (see ``pace``), for which ``--patience`` waits: of
capacity and latencies the report has the middle of those, and what all rounds found. Of one bundle also two workers
on both cores, where the load generator and Redis are, too, and the peer in ``peer``. Everything goes to
reports/benchmarks/serving.json, with machine and versions, and with how much of the time the machine itself stood
still, before and after, and what latency that alone would leave an ideal server (see ``stalls``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers import CACHE, ROOT, machine, python_of, run, versions
from experiments.benchmarks.serving.bundles import TARGETS, make, write_peer
from experiments.benchmarks.serving.pace import Pace
from experiments.benchmarks.serving.servers import CLIENT_CORE, SERVER_CORE, Server, redis, running

REPORT = ROOT / "reports" / "benchmarks" / "serving.json"
PACKAGES = ("faiss-cpu", "httptools", "msgspec", "numpy", "onnxruntime", "pyarrow", "starlette", "uvicorn", "uvloop")
PEER_ITEMS = 1_000_000
WANTED = {1_000_000: 3_000, 10_000_000: 800}  # requests a second
IDLE = 10_000
CLOSED = 32  # connections that ask again as soon as they are answered; the queue takes as many in its time
ROUNDS, MOST_ROUNDS = 5, 12  # wanted while the core is ours, and in all
RECOMMENDING = ("encode", "retrieve", "rerank")  # the stages of an answer that are neither HTTP, JSON nor glue
NATIVE = ("encode", "search", "score")  # of ``stages``: what onnxruntime, FAISS and one product do
USUAL, WIDE = 256, 1_024  # connections below capacity, and where very many requests are to be under way


def at_capacity(server: Server, requests: Path, seconds: float, *, stages: bool) -> dict[str, Any]:
    """In a closed loop; with what each stage costs a request that is answered, microseconds."""
    before = server.stage_seconds() if stages else Counter[str]()
    found = server.ask(requests, seconds=seconds, connections=CLOSED)
    if stages:
        answered = found["answered"]["200"] / 1e6
        spent = {stage: round(took / answered) for stage, took in (server.stage_seconds() - before).items()}
        whole = found["server_cpu_microseconds"] * sum(found["answered"].values()) / 1e6 / answered
        found["stage_microseconds"] = {**spent, "elsewhere": round(whole) - sum(spent.values())}
    return found


def capacity_of(
    server: Server, requests: Path, seconds: float, pace: Pace, *, stages: bool, wanted: float | None
) -> dict[str, Any]:
    """The capacity, and right after 70 % of it, and of the one that is ``wanted``, if any is."""

    def measure() -> dict[str, dict[str, Any]]:
        closed = at_capacity(server, requests, seconds, stages=stages)
        loads = {"at_70_percent": closed["accepted_per_second"], "at_70_percent_of_wanted": wanted}
        below = {
            name: server.ask(requests, seconds=seconds, rate=0.7 * load, connections=USUAL)
            for name, load in loads.items()
            if load is not None
        }
        return {"capacity": closed, **below}

    rounds = pace.rounds(measure, wanted=ROUNDS, most=MOST_ROUNDS)
    ours = pace.ours(rounds)
    own = [each.found for each in ours or rounds]
    told = [
        {
            "chore_us": each.chore_us,
            "ours": each in ours,
            "capacity": each.found["capacity"]["accepted_per_second"],
            "p99_ms": {name: load["latency_ms"]["p99"] for name, load in each.found.items() if name != "capacity"},
        }
        for each in rounds
    ]
    return {**{name: middle([each[name] for each in own], name) for name in own[0]}, "rounds": told}


def middle(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The one of middle capacity, or, under a load that is given, of middle p99."""

    def worth(each: dict[str, Any]) -> float:
        return each["accepted_per_second"] if name == "capacity" else each["latency_ms"]["p99"]

    return sorted(found, key=worth)[len(found) // 2]


def overloaded(server: Server, requests: Path, seconds: float, pace: Pace) -> dict[str, Any]:
    """Three times as many as it answered just before, and half as many right after."""

    def measure() -> dict[str, Any]:
        capacity = server.ask(requests, seconds=seconds / 2, connections=CLOSED)["accepted_per_second"]
        return {
            "at_3_times_capacity": server.ask(requests, seconds=seconds, rate=3 * capacity, connections=WIDE),
            "right_after": server.ask(requests, seconds=seconds / 2, rate=capacity / 2, connections=64),
        }

    rounds = pace.rounds(measure, wanted=1, most=ROUNDS)
    ours = pace.ours(rounds)
    own = sorted(ours or rounds, key=lambda each: each.found["at_3_times_capacity"]["latency_ms"]["p99"])
    chosen = own[len(own) // 2]
    told = {"chore_us": chosen.chore_us, "ours": bool(ours)}
    told["rounds_p99_ms"] = [each.found["at_3_times_capacity"]["latency_ms"]["p99"] for each in rounds]
    return {**chosen.found, "overload": told}


def measured(
    server: Server, requests: Path, seconds: float, pace: Pace, *, full: bool, wanted: float | None = None
) -> dict[str, Any]:
    """Warm up, find the capacity, then below, above and below it again."""
    server.ask(requests, seconds=seconds, connections=CLOSED)
    found: dict[str, Any] = {"ready_seconds": server.ready_seconds, "resident_mib": server.resident_mib}
    found |= capacity_of(server, requests, seconds / 2, pace, stages=full, wanted=wanted)
    if full:
        found |= overloaded(server, requests, seconds, pace)
        capacity = found["capacity"]["accepted_per_second"]
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


def of_bundle(count: int, cache: Path, seconds: float, pace: Pace) -> dict[str, Any]:
    bundle, requests = make(count, cache), cache / f"requests-{count}.jsonl"
    index = json.loads((bundle / "manifest.json").read_bytes())["index"]
    words = ["-m", "serving_min", bundle, "--port", "0"]
    with running(words) as server:
        first = server.ready_seconds
    with running(words) as server:
        done = measured(server, requests, seconds, pace, full=True, wanted=WANTED.get(count))
        found = {"first_ready_seconds": first, **done}
    two = of_two_workers(bundle, requests, seconds, pace) if count == PEER_ITEMS else {}
    inside = stages(bundle, requests)
    spent = found["capacity"]["stage_microseconds"]
    whole = sum(spent.values())
    return {
        "items": count,
        "index": index,
        **found,
        **two,
        "engine_microseconds": inside,
        "glue_share": round(1 - sum(spent[stage] for stage in RECOMMENDING) / whole, 2),
        "not_native_share": round(1 - sum(inside[name] for name in NATIVE) / whole, 2),
    }


def of_two_workers(bundle: Path, requests: Path, seconds: float, pace: Pace) -> dict[str, Any]:
    if shutil.which("redis-server") is None:
        return {"two_workers": "redis-server is not installed"}
    with redis() as store:
        words = ["-m", "serving_min", bundle, "--port", "0", "--workers", "2", "--redis", store]
        with running(words, cores=(SERVER_CORE, CLIENT_CORE)) as server:
            return {"two_workers": measured(server, requests, seconds, pace, full=False)}


def of_peer(cache: Path, seconds: float, pace: Pace) -> dict[str, Any]:
    folder, requests = write_peer(PEER_ITEMS, cache), cache / f"requests-{PEER_ITEMS}.jsonl"
    words = ["-W", "ignore", "-m", "experiments.benchmarks.serving.peer", folder]
    with running(words, python=python_of("fastapi")) as server:
        return {"items": PEER_ITEMS, **measured(server, requests, seconds, pace, full=False)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--cache", type=Path, default=CACHE.parent / "serving")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait in all for the core to be ours")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the server and one for the load")
    given.cache.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "versions": versions(PACKAGES), "bundles": []}
    report["machine"]["stalls"] = [stalls()]
    with Pace(SERVER_CORE, given.patience) as pace:
        for count in given.items or TARGETS:
            report["bundles"].append(of_bundle(count, given.cache, given.seconds, pace))
            sys.stdout.write(json.dumps(report["bundles"][-1]) + "\n")
        if not given.no_peer:
            report["fastapi_torch_exact"] = of_peer(given.cache, given.seconds, pace)
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
