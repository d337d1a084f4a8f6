"""What a request costs inside the engine, in microseconds of CPU, by stage; batches of 16, as under load.

python -m experiments.benchmarks.serving.stages BUNDLE REQUESTS.jsonl
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.messages import Request
from serving_min.vectors import Vectors

BATCH, ASKED, ROUNDS = 16, 1_024, 3


class Watch:
    """Adds up the CPU time of the calls that go through it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            result = function(*arguments, **named)
            self.spent[name] = self.spent.get(name, 0.0) + time.thread_time() - began
            return result

        return timed


class Timed:
    """Something whose method ``name`` is watched."""

    def __init__(self, inner: Any, watch: Watch, method: str, name: str) -> None:
        self._inner = inner
        setattr(self, method, watch.around(name, getattr(inner, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __len__(self) -> int:
        return len(self._inner)


def main() -> None:
    engine = Engine(Bundle.load(sys.argv[1], verify=False))
    engine.own_this_thread()
    model = engine.bundle.model
    if not isinstance(model, Vectors):
        raise SystemExit(f"{sys.argv[1]}: not a bundle of a vector model")
    watch = Watch()
    for field, method, name in (
        ("encoder", "run", "encode"),
        ("index", "search", "search"),
        ("vectors", "scores", "score"),
    ):
        object.__setattr__(model, field, Timed(getattr(model, field), watch, method, name))
    bodies = Path(sys.argv[2]).read_bytes().splitlines()[:ASKED]
    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        watch.spent = {}
        began = time.thread_time()
        requests = [decode(body) for body in bodies]
        decoded = time.thread_time()
        answers = [engine.recommend(requests[start : start + BATCH]) for start in range(0, len(requests), BATCH)]
        answered = time.thread_time()
        for batch in answers:
            for answer in batch:
                encode(answer)
        ended = time.thread_time()
        inside = sum(watch.spent.values())
        spent = {
            "decode json": decoded - began,
            **watch.spent,
            "rest": answered - decoded - inside,
            "encode json": ended - answered,
        }
        if not best or sum(spent.values()) < sum(best.values()):
            best = spent
    sys.stdout.write(json.dumps({name: round(seconds / len(bodies) * 1e6, 1) for name, seconds in best.items()}) + "\n")


if __name__ == "__main__":
    main()
