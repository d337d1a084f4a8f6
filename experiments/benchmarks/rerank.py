"""What variety costs: accuracy against diversity, coverage and calibration by re-ranker and mix, and its CPU time.

    python -m experiments.benchmarks.rerank --data FOLDER [--prepared FOLDER]

MovieLens 100K, each user's last rating asked for, categories being first genres. ALS has vectors to be alike by, EASE
only the genre. All mixes are measured on the validation part; of each re-ranker the smallest mix that keeps 97 % of
NDCG@10 there is then asked on the test part, against the untouched lists (paired sign-flip test). Times are those of
one query on generated candidates, the quickest of 40 rounds. Writes reports/benchmarks/rerank.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.benchmarks import peers
from recsys_lab import pipeline
from recsys_lab.config import Config
from recsys_lab.data.fold import Split
from recsys_lab.evaluation import Evaluation, evaluate, rank
from recsys_lab.metrics.content import content_vectors
from recsys_lab.metrics.significance import sign_flip_test
from recsys_lab.models.base import Recommender
from recsys_lab.reranking import Reranking
from recsys_lab.tuning.trial import validation_only
from serving_min.bounds import Bounds
from serving_min.items import Items
from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Found
from serving_min.rerank.reranker import Reranker
from serving_min.rules import Boost, Calibrated, Caps, Dpp, Exploration, Mmr, Pin, Rules

REPORT = Path(__file__).resolve().parents[2] / "reports/benchmarks/rerank.json"
MODELS, MIXES, KEPT, K = ("als", "ease"), (0.95, 0.9, 0.8, 0.7, 0.5, 0.3), 0.97, 10
SHOWN = ("ndcg", "recall", "category_diversity", "content_diversity", "coverage", "novelty", "miscalibration")


def rerankings() -> dict[str, Reranking]:
    """By name; mixes of one re-ranker in falling order."""
    kinds = {"mmr": Mmr, "dpp": Dpp, "calibrated": Calibrated}
    varied = {f"{name} {mix}": Rules(variety=kind(mix)) for name, kind in kinds.items() for mix in MIXES}
    capped = {f"at most {most} of a genre": Rules(caps=Caps(category=most)) for most in (3, 2, 1)}
    return {name: Reranking(rules) for name, rules in {"none": Rules(), **varied, **capped}.items()}


def measured(config: Config, model: Recommender, split: Split, reranking: Reranking) -> tuple[Evaluation, float]:
    """The metrics, and CPU microseconds per query with everything that is not re-ranking."""
    started = time.process_time()
    lists = rank(model, split.test, K, split.exclude_seen, reranking)
    taken = (time.process_time() - started) / len(split.test) * 1e6
    content = content_vectors(split.test.catalogue)
    return evaluate(lists, split.test, cutoffs=[K], seed=config["seed"], content=content), taken


def means(found: Evaluation) -> dict[str, float]:
    return {name: round(found.summary[f"{name}@{K}"]["mean"], 4) for name in SHOWN}


def trade_offs(config: Config, split: Split) -> dict[str, Any]:
    """Of one model, on the validation part; and the chosen mixes on the test part."""
    choices = rerankings()
    asked = validation_only(split)
    model = pipeline.fit(config, asked)
    validation = {name: means(measured(config, model, asked, reranking)[0]) for name, reranking in choices.items()}
    enough = KEPT * validation["none"]["ndcg"]
    kept = {
        name.split()[0]: name for name, values in validation.items() if values["ndcg"] >= enough
    }  # the last of each
    model = pipeline.fit(config, split)
    untouched, _ = measured(config, model, split, choices["none"])
    test: dict[str, Any] = {"none": means(untouched)}
    for name in kept.values():
        if name != "none":
            found, _ = measured(config, model, split, choices[name])
            lost = (found.per_query[f"ndcg@{K}"] - untouched.per_query[f"ndcg@{K}"]).to_numpy(np.float64)
            p = float(sign_flip_test(lost[:, None], clusters=split.test.users)[0])
            test[name] = {**means(found), "ndcg_difference": round(float(lost.mean()), 4), "p": round(p, 4)}
    return {"validation": validation, "test": test}


def microseconds(rules: Rules, candidates: int, k: int, *, vectors: bool = True) -> float:
    """CPU time of one list, of 20,000 items with 64-d vectors, 30 categories and 200 brands."""
    rng = np.random.default_rng(0)
    size = 20_000
    columns = {
        "item_id": [str(code) for code in range(size)],
        "category": [f"c{code}" for code in rng.integers(0, 30, size)],
        "brand": [f"b{code}" for code in rng.integers(0, 200, size)],
        "available_from": pa.array(rng.integers(0, 100 * 86_400, size), pa.int64()),
    }
    table = rng.normal(size=(size, 64)).astype(np.float32)
    items = Items.of(pa.table(columns), Path("generated"))
    facts = Facts(items, np.zeros(size, np.float32), table.__getitem__ if vectors else None)
    reranker = Reranker(rules, facts)
    codes = rng.choice(size, candidates, replace=False).astype(np.int32)
    scores = -np.sort(-rng.normal(size=candidates)).astype(np.float32)
    found = Found(codes, scores, np.zeros(candidates, np.bool_), ["model"] * candidates)
    history, now = rng.integers(0, size, 20).astype(np.int32), 100 * 86_400
    asked = reranker.asks(Bounds(k, np.zeros(0, np.int32)), now)
    rounds = []
    for _ in range(40):
        started = time.process_time_ns()
        for _ in range(25):
            reranker.rank(found, asked, k, now=now, history=history)
        rounds.append((time.process_time_ns() - started) / 25_000)
    return round(min(rounds), 1)


def times() -> dict[str, float]:
    boosts = (Boost(category="c3", factor=2), Boost(brand="b7", add=0.1), Boost(item="9", factor=3))
    caps = Caps(category=2, brand=1)
    return {
        "nothing, 100 candidates, list of 10": microseconds(Rules(), 100, 10),
        "caps, 100, 10": microseconds(Rules(caps=caps), 100, 10),
        "caps and boosts, 100, 10": microseconds(Rules(caps=caps, boosts=boosts), 100, 10),
        "a pin, 100, 10": microseconds(Rules(pins=(Pin(item="5", position=2),)), 100, 10),
        "a fifth of 400 new items, 100, 10": microseconds(Rules(exploration=Exploration(0.2, days=2)), 100, 10),
        "mmr by vectors, 200, 10": microseconds(Rules(variety=Mmr()), 200, 10),
        "mmr by labels, 200, 10": microseconds(Rules(variety=Mmr()), 200, 10, vectors=False),
        "dpp by vectors, 200, 10": microseconds(Rules(variety=Dpp()), 200, 10),
        "dpp by vectors, 200, 20": microseconds(Rules(variety=Dpp()), 200, 20),
        "calibrated, 200, 10": microseconds(Rules(variety=Calibrated()), 200, 10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of MovieLens 100K as RecBole has it")
    parser.add_argument("--prepared", default="experiments/prepared")
    chosen = parser.parse_args()
    said = ["experiment=movielens-100k", f"data.path={chosen.data}", f"paths.prepared={chosen.prepared}"]
    config = pipeline.compose(said)
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    report = {
        "data": dataset.name,
        "queries": len(split.test),
        "candidates": Rules().depth,
        "list": K,
        "models": {name: trade_offs(config.for_model(name), split) for name in MODELS},
        "cpu_microseconds": times(),
        "machine": peers.machine(),
        "versions": peers.versions(["numpy"]),
    }
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
