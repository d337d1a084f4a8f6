"""Rules as requests meet them: in the answers of a bundle's surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from serving_min.asks import Ask, Asked
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.messages import Answer, Filters, Request
from serving_min.rerank.facts import Facts
from serving_min.retrieval import Findings, Retrieval
from tests.serving_min.handmade import NOW, write_bundle

MODEL = [{"source": "model"}]
RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "pinned": {"pins": [{"item": "E", "position": 1}, {"item": "F", "position": 2}]},
    "boosted": {"boosts": [{"brand": "y", "factor": 10.0}]},
    "exploring": {"exploration": {"share": 1.0, "popularity_below": 3.5}},  # A, C and E are little known
    "grown-up": {"filters": {"not_category": ["blue"]}},
    "capped": {"caps": {"category": 1}, "depth": 1},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    surfaces = {name: {"retrievers": MODEL, "seen": "keep", "rules": rules} for name, rules in RULES.items()}
    return Engine(Bundle.load(write_bundle(tmp_path_factory.mktemp("rules") / "bundle", "vector", surfaces=surfaces)))


def answer(engine: Engine, surface: str, k: int = 3, **asked: Any) -> Answer:
    return engine.recommend([Request(history=["A"], k=k, now=NOW, **asked)], surface)[0]


def ids(answer: Answer) -> list[str]:
    return [item.id for item in answer.items]


def test_pins_stand_where_they_are_put_though_the_model_does_not_know_them(engine: Engine) -> None:
    assert ids(answer(engine, "plain")) == ["A", "B", "C"]
    pinned = answer(engine, "pinned")
    assert ids(pinned) == ["E", "F", "A"]
    assert [item.reason for item in pinned.items] == ["pinned", "pinned", "model"]
    assert ids(answer(engine, "pinned", exclude=["E"])) == ["A", "F", "B"]
    assert ids(answer(engine, "pinned", filters=Filters(brand=["x"]))) == ["A", "F", "C"]


def test_boosts_change_the_order(engine: Engine) -> None:
    assert ids(answer(engine, "boosted")) == ["B", "A", "C"]


def test_what_is_drawn_follows_from_the_request_s_id(engine: Engine) -> None:
    """A is there already, and little known; B gives way to C or E."""
    asked = [Asked(Request(history=["A"], k=2, now=NOW, request_id=str(name)), "exploring") for name in range(20)]
    first, again = engine.answer(asked), engine.answer(asked)
    assert [ids(served.answer) for served in first] == [ids(served.answer) for served in again]
    assert {tuple(ids(served.answer)) for served in first} == {("A", "C"), ("A", "E")}
    for served in first:
        assert served.ranked.propensity.tolist() == [1, 0.5]
        assert [item.reason for item in served.answer.items] == ["model", "new"]


def test_the_rules_filters_hold_besides_the_request_s(engine: Engine) -> None:
    assert set(ids(answer(engine, "grown-up", k=6))) == {"A", "B", "C"}
    assert ids(answer(engine, "grown-up", k=6, filters=Filters(category=["blue"]))) == []


def test_those_that_have_to_look_again_do_so_together(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    find, sizes = Retrieval.find, []

    def counted(retrieval: Retrieval, asks: Sequence[Ask]) -> list[Findings]:
        sizes.append(len(asks))
        return find(retrieval, asks)

    histories = ["A"], ["C"], ["A", "D"], ["E"]
    asked = [Asked(Request(history=list(history), k=2, now=NOW), "capped") for history in histories]
    alone = [engine.answer([one])[0].answer for one in asked]
    monkeypatch.setattr(Retrieval, "find", counted)
    assert [served.answer for served in engine.answer(asked)] == alone
    assert sizes[0] == 4
    assert len(sizes) < 4
    assert sum(sizes) > 4


def test_a_further_look_that_comes_too_late_is_no_secret(engine: Engine) -> None:
    times = iter([0.0, 1.0, 1.0, 1.0])
    late = Engine(engine.bundle, timer=lambda: next(times))
    asked = Asked(Request(history=["A"], k=2, now=NOW), "capped", until=0.5)
    said = late.answer([asked])[0].answer
    assert said.fallback == "the deadline has passed"
    assert [item.reason for item in said.items] == ["model", "popular"]
    assert engine.answer([replace(asked, until=None)])[0].answer.fallback is None


def test_a_bundle_whose_rules_do_not_fit_its_items_is_refused(tmp_path: Path) -> None:
    surfaces = {"home": {"retrievers": MODEL, "rules": {"weights": {"margin": 1.0}}}}
    with pytest.raises(BundleError, match=r"^surface home: rules\.weights\.margin: the items have no margin"):
        write_bundle(tmp_path / "bundle", "vector", surfaces=surfaces)


@pytest.mark.parametrize(("kind", "vectors"), [("vector", True), ("neighbours", False), ("static", False)])
def test_what_items_are_alike_by(bundles: dict[str, Path], kind: str, vectors: bool) -> None:
    assert (Facts.of(Bundle.load(bundles[kind])).vectors is not None) == vectors
