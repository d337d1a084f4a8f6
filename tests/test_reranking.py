"""Rules on the lab's own lists: what a surface would do, measured before it is served."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab import pipeline
from recsys_lab.config import compose
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, RunError
from recsys_lab.models.base import Recommender
from recsys_lab.models.ease import EASE
from recsys_lab.models.popular import Popular
from recsys_lab.reranking import Reranking, facts, mmr, of_rules
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.messages import Request
from serving_min.queries import Queries

CONF = Path(__file__).resolve().parents[1] / "conf/rerank"
ITEMS = 40


def log() -> InteractionLog:
    """Item i is touched by users 0 … i, so the popular order is 39, 38, …"""
    pairs = [(user, item) for item in range(ITEMS) for user in range(item + 1)]
    users, items = np.array(pairs, np.int32).T
    return InteractionLog.from_events(users, items, np.arange(len(pairs)), n_users=ITEMS, n_items=ITEMS)


@pytest.fixture(scope="module")
def model() -> Popular:
    categories = ["many" if item >= 10 else f"c{item % 3}" for item in range(ITEMS)]
    frame = pd.DataFrame({"item_id": [str(item) for item in range(ITEMS)], "category": categories})
    fitted = Popular().fit(log(), catalogue=Catalogue(frame))
    assert isinstance(fitted, Popular)
    return fitted


QUERIES = Queries.from_histories([[0, 1], [39], []])


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_ranks(path: Path, model: Popular) -> None:
    reranking = compose([f"rerank={path.stem}"]).build("rerank")
    assert isinstance(reranking, Reranking)
    lists = reranking.rank(model, QUERIES, 5)
    assert lists.items.shape == (3, 5)
    assert (lists.items >= 0).all()
    for history, row in zip(([0, 1], [39], []), lists.items.tolist(), strict=True):
        assert len({*row, *history}) == 5 + len(history)


def test_a_mix_of_one_and_no_rules_are_the_model_s_own_lists(model: Popular) -> None:
    own = model.recommend(QUERIES, 7)
    for reranking in (Reranking(), mmr(mix=1)):
        lists = reranking.rank(model, QUERIES, 7)
        assert lists.items.tolist() == own.items.tolist()
        assert lists.scores.tolist() == own.scores.tolist()
        assert lists.filled.tolist() == own.filled.tolist()


def test_a_cap_looks_beyond_its_depth(model: Popular) -> None:
    """30 of the most popular are of one category; a list of 5 with at most one of each needs the other three."""
    reranking = of_rules(rules={"caps": {"category": 1}, "depth": 5})
    lists = reranking.rank(model, QUERIES, 4)
    assert lists.items[0].tolist() == [39, 9, 8, 7]
    assert lists.items[1].tolist() == [38, 9, 8, 7]


def test_filters_of_the_rules_narrow_the_catalogue(model: Popular) -> None:
    reranking = of_rules(rules={"filters": {"not_category": ["many"]}})
    assert reranking.rank(model, QUERIES, 3).items.tolist() == [[9, 8, 7], [9, 8, 7], [9, 8, 7]]
    wider = reranking.rank(model, QUERIES, 3, exclude_seen=False)
    assert wider.items.tolist() == [[9, 8, 7]] * 3


def test_new_items_come_by_lot_and_the_same_query_draws_the_same(model: Popular) -> None:
    reranking = of_rules(rules={"exploration": {"share": 0.4, "popularity_below": 6.0}})
    first, second = reranking.rank(model, QUERIES, 5), reranking.rank(model, QUERIES, 5)
    assert first.items.tolist() == second.items.tolist()
    assert ((first.items < 6).sum(axis=1) >= 2).all()


def test_a_run_s_bundle_recommends_as_the_run_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["data.n_users=200", "data.n_items=100", "data.n_events=4000", "split.cutoff=21d", "split.valid_window=21d"]
    config = compose([*small, "model=ease", "rerank=capped", "export.companions={}", "export.surfaces={}"])
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    run = pipeline.train(config, dataset, split)
    engine = Engine(Bundle.load(pipeline.export(config, run, dataset, split)))
    assert engine.bundle.surfaces["recommend"].rules == config.build("rerank").rules
    queries = split.test.queries.take(np.arange(5))
    lists = config.build("rerank").rank(Recommender.load(run.folder / "model"), queries, 10)
    for row, codes in enumerate(lists.items):
        start, end = queries.offsets[row : row + 2]
        history = [str(split.test.catalogue.ids[code]) for code in queries.items[start:end]]
        served = engine.recommend([Request(history=history)])[0].items
        assert [item.id for item in served] == [split.test.catalogue.ids[code] for code in codes]
        assert max(Counter(item.category for item in served).values()) <= 2


def test_a_bundle_is_of_the_run_s_own_data_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = [
        "data.n_users=200",
        "data.n_items=100",
        "data.n_events=4000",
        "split.cutoff=21d",
        "split.valid_window=null",
    ]
    config = compose([*small, "model=popular", "export.companions={}", "export.surfaces={}"])
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    run = pipeline.train(config, dataset, split)
    with pytest.raises(RunError, match="split: fingerprint"):
        pipeline.export(config, run, dataset, pipeline.make_split(compose([*small, "split.cutoff=14d"]), dataset))
    others = pipeline.prepare(compose([*small, "data.seed=8"]))
    with pytest.raises(RunError, match="data: fingerprint"):
        pipeline.export(config, run, others, split)


def test_vectors_of_a_model_that_has_them_are_what_makes_items_alike() -> None:
    from recsys_lab.models.als import ALS

    vectors = facts(ALS(factors=4, iterations=2).fit(log())).vectors
    assert vectors is not None
    assert vectors(np.array([3, 1], np.int32)).shape == (2, 4)
    assert facts(EASE().fit(log())).vectors is None


def test_rules_that_do_not_fit_the_catalogue_are_refused(model: Popular) -> None:
    with pytest.raises(BundleError, match=r"rules\.caps\.brand: the items have no brand"):
        of_rules(rules={"caps": {"brand": 1}}).rank(model, QUERIES, 3)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["rerank=mmr", "rerank.mix=1.5"], "rerank.mix: expected `float` <= 1.0"),
        (["rerank=capped", "rerank.category=0"], "rerank.category: expected `int` >= 1"),
        (["rerank=rules", "+rerank.rules.caps.category=0"], "rerank.rules.caps.category: expected `int` >= 1"),
        (["rerank=rules", "+rerank.rules.sort=true"], "rerank.rules: object contains unknown field `sort`"),
        (
            ["rerank=rules", "+rerank.rules.boosts=[{brand: own, from: soon}]"],
            r"rerank.rules.boosts\[0\].from: expected a date, YYYY-MM-DD$",
        ),
        (["rerank=mmr", "rerank.mix=much"], "rerank.mix: 'much' does not fit"),
    ],
)
def test_a_wrong_setting_is_named(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        compose(overrides).build("rerank")
