"""What counting, keeping and guarding add to a request, in CPU time of one thread.

    python -m experiments.benchmarks.serving.operations BUNDLE [--repeats 500]

Writes reports/benchmarks/operations.json. The requests are the bundle's golden ones; each part is called alone, in a
loop. Keys are made only where answers are kept, or of requests of few events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from experiments.benchmarks import peers
from serving_min.asks import Asked
from serving_min.cache import Cache, CacheSettings
from serving_min.engine import Engine
from serving_min.fleet.deployment import Answered
from serving_min.given import Fingerprints, Given, weigh
from serving_min.guard import Gate, Guard
from serving_min.keys import Key, Keys, hashed
from serving_min.laps import lap, timed
from serving_min.messages import Golden, Request
from serving_min.observation import Observation
from serving_min.verification import verified

REPORT = Path(__file__).resolve().parents[3] / "reports/benchmarks/operations.json"
SECRET = "a secret of this benchmark"
ROUNDS = 40
STAGES = 7  # laps of a vector bundle


def requests_of(folder: Path) -> list[Asked]:
    lines = (folder / "golden.jsonl").read_bytes().splitlines()
    golden = [msgspec.json.decode(line, type=Golden) for line in lines]
    return [Asked(msgspec.json.decode(one.request, type=Request), one.surface) for one in golden]


def answered(engine: Engine, asked: list[Asked]) -> list[Answered]:
    """Each alone in its batch, which costs most."""
    found = []
    for one in asked:
        batch = timed()
        (served,) = engine.answer([one])
        found.append(Answered(served, msgspec.json.encode(served.answer), engine, batch))
    return found


class Measured:
    """CPU microseconds of a call: the least of ``ROUNDS`` means, since others use the machine too, less the loop's."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats

    def plain(self, call: Callable[[int], object]) -> float:
        return self._least(call) - self._least(lambda _: None)

    def awaited(self, call: Callable[[int], Awaitable[object]]) -> float:
        async def nothing(_: int) -> None: ...

        async def least(call: Callable[[int], Awaitable[object]]) -> float:
            means = []
            for _ in range(ROUNDS):
                began = time.process_time()
                for number in range(self.repeats):
                    await call(number)
                means.append((time.process_time() - began) / self.repeats * 1e6)
            return min(means)

        return asyncio.run(least(call)) - asyncio.run(least(nothing))

    def _least(self, call: Callable[[int], object]) -> float:
        means = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for number in range(self.repeats):
                call(number)
            means.append((time.process_time() - began) / self.repeats * 1e6)
        return min(means)


def measure(folder: Path, repeats: int) -> dict[str, float]:
    engine = verified(folder)
    asked = requests_of(folder)
    made = answered(engine, asked)
    observation, fingerprints, measured = Observation(), Fingerprints(kept=True), Measured(repeats)
    keys = [fingerprints.of(engine, one) or b"" for one in asked]
    kept: Cache[Given] = Cache(CacheSettings(seconds=3_600), weigh)
    never: Cache[Given] = Cache(CacheSettings(), weigh)
    given = [Given(one.served.answer, None, one.body, one.batch) for one in made]
    one_of = [*zip(made, asked, given, keys, strict=True)]
    size = len(one_of)

    async def give(number: int) -> Given:
        return given[number % size]

    async def app(*_: Any) -> Any: ...

    secrets = [Key(f"key {number}", hashed(str(number)), ("read",), rate=1e9) for number in range(9)]
    guard = Guard(app, Gate(Keys((*secrets, Key("ours", hashed(SECRET), ("read",), rate=1e9)))))
    headers = [(b"authorization", f"Bearer {SECRET}".encode())]
    scope = {"type": "http", "path": "/v1/home", "headers": headers, "query_string": b""}

    def observe(number: int) -> None:
        one, request, answer, _ = one_of[number % size]
        one.batch.surfaces.clear()
        observation.made(one)
        observation.given(answer, request.request, "miss", 0.001)

    def laps(_: int) -> None:
        timed()
        for _ in range(STAGES):
            lap("retrieve")

    return {
        "metrics of a request in a batch of its own": measured.plain(observe),
        "the same in a batch of many": measured.plain(lambda n: _in_company(observation, one_of[n % size])),
        "laps of a batch": measured.plain(laps),
        "key of a request": measured.plain(lambda n: fingerprints.of(engine, asked[n % size])),
        "answer for another request": measured.plain(lambda n: given[n % size].body("an id of a request")),
        "cache: kept": measured.awaited(lambda n: kept.get(keys[n % size], lambda: give(n))),
        "cache: off, nobody else asks the same": measured.awaited(lambda n: never.get(keys[n % size], lambda: give(n))),
        "key of ten checked, with a rate": measured.awaited(lambda _: guard(dict(scope), app, app)),
        "page of metrics": Measured(5).plain(lambda _: observation.exposition.page("")),
    }


def _in_company(observation: Observation, one: tuple[Answered, Asked, Given, bytes]) -> None:
    answered, asked, given, _ = one
    answered.batch.surfaces.add(given.answer.surface)
    observation.made(answered)
    observation.given(given, asked.request, "miss", 0.001)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    microseconds = {name: round(value, 2) for name, value in measure(given.bundle, given.repeats).items()}
    histories = [len(asked.request.history) for asked in requests_of(given.bundle)]
    report = {
        "CPU microseconds": microseconds,
        "events in a history, median": sorted(histories)[len(histories) // 2],
        "machine": peers.machine(),
        "versions": peers.versions(("msgspec", "numpy", "prometheus_client")),
    }
    given.report.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
