"""What adapting to the running session is worth: test sessions replayed event by event through the server.

    python -m experiments.benchmarks.adaptation --trivago FOLDER [--sessions 1500]

A session's events go to ``/v1/events`` one by one. Before each one that is to be predicted the server is asked twice:
as it is (``adapting``), and with the history as it was when the session began (``frozen``). The server's real routes,
in this process, and a bundle on disk. Two data sets:

- the generated shop: lists of 10 for users with a history; the target is an item that is new to the user. Neither list
  may hold what the session has touched, so that what is measured is what the model makes of the session.
- trivago (RecSys Challenge 2019, the first day): ``/v1/rank`` (the model alone) and ``/v1/search`` (blended with the
  order in which trivago showed them) order the hotels shown; the target is the one clicked. The model saw the sessions
  of the first 70 % of the day. A frozen history is an empty one here: popularity for ``rank``, trivago's order for
  ``search``.

Writes reports/benchmarks/adaptation.json: the mean reciprocal rank (0 below place 10 for the shop) by the number of
events seen in the session, the difference with a 95 % interval (bootstrap over sessions).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.adaptation_sessions import Session, Step, shop, trivago
from recsys_lab.models.base import Recommender
from recsys_lab.models.repeat import Repeat
from recsys_lab.models.vsknn import VSkNN
from serving_min.app import create_app
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.shop import Shop

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/adaptation.json"
BUCKETS = ((0, 0), (1, 1), (2, 3), (4, 7), (8, 15), (16, 99))
SHOWN = 10
ARMS = ("adapting", "frozen")
# Chosen on the sessions between 50 % and 70 % of trivago's day: minutes make an event old, not weeks
HOTEL_MODELS: dict[str, Recommender] = {
    "vsknn": VSkNN(gap=None),
    "repeat": Repeat(days=0.002, exponent=1, rebuy=0, trend=0),
}
BLENDED = {
    "search": {
        "retrievers": [{"source": "given"}, {"source": "model", "weight": 2.0}],
        "needs": "items",
        "seen": "keep",
        "by": "scores",
    }
}


@dataclass(frozen=True)
class Outcome:
    """One prediction: reciprocal ranks by arm, after ``seen`` events of session ``session``."""

    session: int
    seen: int
    ranks: dict[str, float]


class Clock:
    """The replay's own time."""

    now = 0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serving(bundle: Path, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    server = Shop(Engine(Bundle.load(bundle), clock=clock))
    await server.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(server)), base_url="http://shop") as client:
        yield client
    await server.stop()


async def replay(bundle: Path, sessions: Sequence[Session], surface: str) -> list[Outcome]:
    clock, outcomes = Clock(), []
    async with serving(bundle, clock) as client:
        for number, session in enumerate(sessions):
            for seen, step in enumerate(session.steps):
                clock.now = step.time
                if step.asked:
                    touched = [earlier.item for earlier in session.steps[:seen]]
                    common = question(session, step, touched)
                    asked = {"adapting": {**common, "user_id": session.user}, "frozen": common}
                    ranks = {arm: await reciprocal_rank(client, surface, asked[arm], step.item) for arm in ARMS}
                    if step.among:
                        ranks["as shown"] = 1 / (1 + step.among.index(step.item))
                    outcomes.append(Outcome(number, seen, ranks))
                event = {"id": f"{number}-{seen}", "user": session.user, "item": step.item, "event": step.event}
                response = await client.post("/v1/events", json={"events": [{**event, "time": step.time}]})
                assert response.json()["accepted"] == 1, response.text
    return outcomes


def question(session: Session, step: Step, touched: list[str]) -> dict[str, Any]:
    if step.among:
        return {"items": step.among}
    return {"history": session.past, "exclude": touched, "k": SHOWN}


async def reciprocal_rank(client: httpx.AsyncClient, surface: str, body: dict[str, Any], target: str) -> float:
    response = await client.post(f"/v1/{surface}", json=body)
    response.raise_for_status()
    ids = [item["id"] for item in response.json()["items"]]
    return 1 / (1 + ids.index(target)) if target in ids else 0.0


def summary(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each bucket of events seen, and one for all."""
    rows = []
    for low, high in (*BUCKETS, (0, 99)):
        chosen = [outcome for outcome in outcomes if low <= outcome.seen <= high]
        if not chosen:
            continue
        means = {arm: round(float(np.mean([one.ranks[arm] for one in chosen])), 4) for arm in chosen[0].ranks}
        difference, interval = gain(chosen)
        label = "all" if (low, high) == (0, 99) else f"{low}" if low == high else f"{low} to {min(high, 30)}"
        row = {"events seen": label, "predictions": len(chosen), "mrr": means}
        rows.append({**row, "adapting minus frozen": difference, "95 % interval": interval})
    return rows


def gain(outcomes: Sequence[Outcome], draws: int = 2_000) -> tuple[float, list[float]]:
    """The mean difference between the arms; the sessions are drawn again for its interval."""
    _, owner = np.unique([one.session for one in outcomes], return_inverse=True)
    differences = np.array([one.ranks["adapting"] - one.ranks["frozen"] for one in outcomes])
    sums, sizes = np.bincount(owner, differences), np.bincount(owner)
    drawn = np.random.default_rng(7).integers(len(sums), size=(draws, len(sums)))
    interval = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return round(float(differences.mean()), 4), [round(bound, 4) for bound in interval.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trivago", type=Path, help="the folder of sessions_day1.parquet; left out without it")
    parser.add_argument("--sessions", type=int, default=1_500, help="at most so many of each data set")
    parser.add_argument("--models", nargs="+", default=["ease", "sasrec"], help="of the shop")
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for model in given.models:
            epochs = ["model.max_epochs=12"] if model == "sasrec" else []
            bundle, sessions = shop(Path(scratch), model, given.sessions, epochs)
            results[f"shop, {model}"] = measured(bundle, sessions, "recommend")
        if given.trivago is not None:
            for name, trained in HOTEL_MODELS.items():
                folder = Path(scratch) / name
                bundle, sessions = trivago(folder, given.trivago, trained, given.sessions, surfaces=BLENDED)
                for surface in ("rank", "search"):
                    results[f"trivago, {name}, {surface}"] = measured(bundle, sessions, surface)
    shown = ("httpx", "msgspec", "numpy", "onnxruntime", "starlette", "torch")
    report = {"results": results, "machine": peers.machine(), "versions": peers.versions(shown)}
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(given.report.read_text())


def measured(bundle: Path, sessions: Sequence[Session], surface: str) -> dict[str, Any]:
    began = time.process_time()
    outcomes = asyncio.run(replay(bundle, sessions, surface))
    seconds = round(time.process_time() - began, 1)
    return {"sessions": len(sessions), "cpu_seconds": seconds, "by events seen": summary(outcomes)}


if __name__ == "__main__":
    main()
