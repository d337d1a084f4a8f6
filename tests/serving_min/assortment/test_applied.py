"""Items that came later are answered for as if they had always been there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from serving_min.assortment.applied import Embedder, applied
from serving_min.assortment.changes import Assortment, Changes, ItemEntry
from serving_min.assortment.vectors import Grown
from serving_min.bounds import Bounds
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.messages import Event, Filters, PriceRange, Request
from serving_min.queries import Queries
from serving_min.vectors import Vectors
from tests.serving_min.handmade import NOW, write_bundle, write_neighbours, write_vectors

LATER = 1_800_000_000  # after the bundles' `created`
OLD, NEW, WIDTH = 300, 40, 6


class Given(Embedder):
    """Instead of an item tower."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.given = vectors

    def vectors(self, _: Bundle, entries: Sequence[ItemEntry]) -> list[NDArray[np.float32] | None]:
        return list(self.given[: len(entries)])


def said(*entries: ItemEntry, **more: Any) -> Assortment:
    return Assortment().after(Changes(entries, time=LATER, **more))


def catalogue(rng: np.random.Generator) -> pa.Table:
    size = OLD + NEW
    return pa.table(
        {
            "item_id": [f"i{n}" for n in range(size)],
            "title": [f"title {n}" if n % 3 else None for n in range(size)],
            "category": [f"c{n % 7}" if n % 5 else None for n in range(size)],
            "brand": [f"b{n % 11 if n < OLD else n % 13}" for n in range(size)],
            "price": [float(n % 17) if n % 4 else None for n in range(size)],
            "available_from": pa.array([NOW + int(rng.integers(-9, 9)) for _ in range(size)], pa.int64()),
        }
    )


def entries(table: pa.Table) -> list[ItemEntry]:
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    return [msgspec.convert({"id": row.pop("item_id"), **row}, ItemEntry) for row in rows]


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
def test_the_same_answers_as_a_bundle_that_always_knew_them(tmp_path: Path, factory: str) -> None:
    rng = np.random.default_rng(1)
    table, vectors = catalogue(rng), rng.normal(size=(OLD + NEW, WIDTH)).astype(np.float32)
    popularity = rng.integers(0, 50, OLD).astype(np.float32)

    def bundle(size: int, scores: NDArray[np.float32]) -> Bundle:
        def model(folder: Path) -> Any:
            return write_vectors(folder, vectors[:size], size, factory=factory)

        part = table.slice(0, size)
        folder = write_bundle(tmp_path / str(size), "vector", table=part, popularity=scores, model=model, golden=[])
        return Bundle.load(folder)

    grown = applied(bundle(OLD, popularity), said(*entries(table.slice(OLD))), Given(vectors[OLD:]))
    native = bundle(OLD + NEW, grown.popularity)
    if factory != "Flat":  # both look everywhere: what is compared is not their recall
        native.model.index.nprobe = grown.model.index.index.nprobe = 8  # type: ignore[union-attr]
    requests = []
    for _ in range(150):
        ids: list[str | Event] = [f"i{code}" for code in rng.integers(0, OLD, rng.integers(0, 6)).tolist()]
        filters = Filters(
            category=[f"c{rng.integers(7)}"] if rng.random() < 0.3 else None,
            not_brand=[f"b{rng.integers(13)}"] if rng.random() < 0.3 else None,
            price=PriceRange(max=float(rng.integers(17))) if rng.random() < 0.3 else None,
            available=bool(rng.random() < 0.3),
        )
        k = int(rng.integers(1, 60))
        exclude = [f"i{code}" for code in rng.integers(0, OLD + NEW, 3).tolist()]
        requests.append(Request(history=ids, k=k, filters=filters, exclude=exclude, now=NOW, item=f"i{OLD + k % NEW}"))
    for surface in ("recommend", "similar"):
        ours, theirs = (Engine(one).recommend(requests, surface) for one in (grown, native))
        assert ours == theirs
    shown = {item.id for answer in ours for item in answer.items}
    assert {f"i{code}" for code in range(OLD, OLD + NEW)} & shown, "new items are among them"


@pytest.fixture
def grown(bundles: dict[str, Path]) -> Callable[..., Engine]:
    """An engine of the six handmade items and of what is said; a tower that makes all new items [2.5, 0]."""

    def make(kind: str, assortment: Assortment) -> Engine:
        tower = Given(np.tile(np.array([2.5, 0], np.float32), (10, 1)))
        return Engine(applied(Bundle.load(bundles[kind]), assortment, tower), clock=lambda: NOW)

    return make


def request(**fields: Any) -> Request:
    return Request(**fields)


def ids(engine: Engine, surface: str = "recommend", **fields: Any) -> list[str]:
    return [item.id for item in engine.recommend([Request(**fields)], surface)[0].items]


def test_a_new_item_stands_where_its_vector_puts_it(grown: Callable[..., Engine]) -> None:
    engine = grown("vector", said(ItemEntry("G", title="Grape", category="red", brand="z", price=7.5)))
    answer = engine.recommend([Request(history=["A"], k=4, exclude_seen=False)])[0]
    assert [item.id for item in answer.items] == ["A", "G", "B", "C"], "9, 7.5, 6, 3"
    assert msgspec.to_builtins(answer.items[1]) == {
        "id": "G",
        "score": 7.5,
        "reason": "model",
        "title": "Grape",
        "category": "red",
        "brand": "z",
        "price": 7.5,
    }
    assert ids(engine, history=["A"], k=9, filters=Filters(brand=["z"])) == ["G"]
    assert set(ids(engine, "similar", item="G", k=3)) == {"A", "B", "C"}
    assert engine.bundle.popularity[6] == pytest.approx((1 + 6 + 3) / 3), "the mean of the red ones"


def test_a_new_item_of_a_history_is_excluded_and_says_no_more(grown: Callable[..., Engine]) -> None:
    engine = grown("vector", said(ItemEntry("G", category="red")))
    both, one = (engine.recommend([request(history=history, k=5)])[0] for history in (["A", "G"], ["A"]))
    assert both.unknown_items == []
    assert [item.id for item in both.items] == [item.id for item in one.items if item.id != "G"][:5]
    alone = engine.recommend([Request(history=["G"], k=2)])[0]
    assert alone.fallback == "the model has no opinion"
    assert "G" not in [item.id for item in alone.items]


@pytest.mark.parametrize("kind", ["neighbours", "sessions", "static"])
def test_models_without_vectors_show_it_by_its_popularity(grown: Callable[..., Engine], kind: str) -> None:
    engine = grown(kind, said(ItemEntry("G", category="red")))
    plain = grown(kind, Assortment())
    history = ["A", "G", "B"]
    answer = engine.recommend([request(history=history, k=9)])[0]
    assert answer.unknown_items == []
    model = [item for item in answer.items if item.reason == "model"]
    assert model == [item for item in plain.recommend([Request(history=["A", "B"])])[0].items if item.reason == "model"]
    assert ids(engine, history=[], k=9) == ["B", "D", "G", "C", "E", "A"], "6, 5, 3⅓, 3, 3, 1"
    assert ids(engine, "similar", item="G", k=2) == ["B", "C"], "the most popular red ones"
    assert ids(engine, "rank", items=["G", "A", "new"], history=["B"])[-1] == "new"


@pytest.mark.parametrize("kind", ["vector", "neighbours", "sessions", "static"])
def test_what_is_hidden_is_in_no_list(grown: Callable[..., Engine], kind: str) -> None:
    engine = grown(kind, said(hide=("A", "D", "no such item")))
    assert not {"A", "D"} & set(ids(engine, history=["B"], k=9))
    assert not {"A", "D"} & set(ids(engine, history=[], k=9))
    assert not {"A", "D"} & set(ids(engine, history=["B"], k=9, filters=Filters(price=PriceRange(max=30))))
    assert not {"A", "D"} & set(ids(engine, "similar", item="B", k=9))
    assert ids(engine, "rank", items=["A", "C", "B"], history=[]) == ["B", "C"]
    shown = grown(kind, said(hide=("A",)).after(Changes(show=("A",))))
    assert ids(shown, history=["B"], k=9) == ids(grown(kind, Assortment()), history=["B"], k=9)


def test_an_item_of_the_bundle_changes_and_keeps_its_vector(grown: Callable[..., Engine]) -> None:
    change = ItemEntry("B", title="Blue Ball", category="blue", price=99.0)
    engine = grown("vector", said(change))
    answer = engine.recommend([Request(history=["A"], k=1)])[0].items[0]
    assert (answer.id, answer.title, answer.category, answer.price) == ("B", "Blue Ball", "blue", 99.0)
    assert isinstance(answer.brand, msgspec.UnsetType), "an entry is whole: what it does not say is unknown"
    assert "B" in ids(engine, history=["A"], filters=Filters(category=["blue"]))
    assert engine.bundle.known is None
    before = Assortment().after(Changes((change,), time=NOW))  # NOW is before the bundle was made
    assert ids(grown("vector", before), history=["A"], filters=Filters(category=["red"]), k=1) == ["B"]


def test_a_history_with_a_new_item_may_reach_an_encoder_of_vectors(tmp_path: Path) -> None:
    """Such an encoder takes whatever vector an item has, so a new one counts like any other."""
    model = Bundle.load(write_bundle(tmp_path / "b", "vector")).model
    assert isinstance(model, Vectors)
    new = np.array([[0, 7]], np.float32)
    seen, nobody = [], np.zeros(0, np.int32)

    class Hearing:
        def run(self, _: list[str], inputs: dict[str, Any]) -> Any:
            seen.extend(inputs["vectors"].tolist())
            return [np.ones((2, 2), np.float32)]

    hears = replace(model, encoder=Hearing(), inputs=("vectors", "places"))
    heard = Grown.from_model(hears, 6, np.array([6], np.int32), new)
    heard.best(Queries.from_histories([[0, 6, 5], [1]]), [Bounds(1, nobody), Bounds(1, nobody)])
    assert seen == [[3, 0], [0, 7], [0, 0], [2, 0]], "A's, the new one's, F has none, B's"


def test_neighbours_of_many_new_items_are_not_asked_for(tmp_path: Path) -> None:
    table = catalogue(np.random.default_rng(2)).slice(0, OLD)
    folder = write_bundle(
        tmp_path / "b",
        "neighbours",
        table=table,
        popularity=np.ones(OLD, np.float32),
        model=lambda folder: write_neighbours(folder, {OLD - 1: [(0, 1.0)]}, OLD),
        golden=[],
    )
    engine = Engine(applied(Bundle.load(folder), said(*(ItemEntry(f"n{n}") for n in range(NEW))), Embedder()))
    assert ids(engine, history=[f"n{NEW - 1}", f"i{OLD - 1}"], k=1) == ["i0"]
