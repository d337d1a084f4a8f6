"""Popularity by segment on a bundle of six items, whose lists can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.manifest import read_manifest
from serving_min.messages import Answer, Filters, Liked, Request
from serving_min.rerank import TopK
from serving_min.segments import behind
from tests.serving_min.handmade import NOW, seal, write_bundle
from tests.serving_min.process import running

# of all users: B 6, D 5, F 4, C 3, E 3, A 1; F is no candidate
DE, UK = (0, 1), (0, 2)
TABLES = {DE: [(4, 2.0), (5, 1.5), (0, 1.0)], UK: [(2, 0.5)]}  # E F A, and C
BOTH = [{"source": "trending", "weight": 0.5}, {"source": "segment", "to": "newcomers"}]
SURFACES: dict[str, Any] = {
    "push": {"retrievers": [{"source": "model"}]},
    "home": {"retrievers": [{"source": "model"}, *BOTH]},
    "as-before": {"retrievers": [{"source": "model"}, BOTH[0]]},
    "your-country": {"retrievers": [{"source": "segment"}], "fallback": []},
    "product": {"retrievers": [], "needs": "item", "seen": "keep"},
    "sorted": {"retrievers": [], "rules": {"boosts": [{"brand": "nobody's", "factor": 2}], "depth": 5}},
    "world": {"retrievers": [], "fallback": ["popular"]},
}
GERMAN, BRITISH, SWEDISH = {"country": "DE"}, {"country": "UK"}, {"country": "SE"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments") / "bundle"
    return write_bundle(
        folder, "neighbours", companions={"trending": "static"}, surfaces=SURFACES, segments=TABLES, exclude_seen=False
    )


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine(Bundle.load(folder), clock=lambda: NOW)


def ask(engine: Engine, surface: str, **fields: Any) -> Answer:
    return engine.recommend([Request(**fields)], surface)[0]


def shown(answer: Answer) -> list[tuple[str, str]]:
    return [(item.id, item.reason) for item in answer.items]


def ids(answer: Answer) -> str:
    return "".join(item.id for item in answer.items)


def test_a_newcomer_sees_their_segment_then_what_all_like(engine: Engine) -> None:
    answer = ask(engine, "push", user=GERMAN, k=4)
    segment = "popular in segment"
    assert shown(answer) == [("E", segment), ("A", segment), ("B", "popular"), ("D", "popular")]
    assert answer.fallback == "empty history"
    assert ids(ask(engine, "push", user=BRITISH, k=4)) == "CBDE"
    stranger = ask(engine, "push", history=["no such item"], user=GERMAN, k=1)
    assert (ids(stranger), stranger.fallback) == ("E", "history has only unknown items")


@pytest.mark.parametrize("user", [{}, SWEDISH, {"country": ""}, {"planet": "DE"}])
def test_who_is_in_no_segment_gets_what_all_like(engine: Engine, user: dict[str, str]) -> None:
    answer = ask(engine, "push", user=user, k=3)
    assert shown(answer) == [(item, "popular") for item in "BDC"]


def test_exclusions_and_filters_hold(engine: Engine) -> None:
    assert ids(ask(engine, "push", user=GERMAN, exclude=["E"], k=2)) == "AB"
    assert ids(ask(engine, "push", user=GERMAN, filters=Filters(category=["blue"]), k=5)) == "ED"
    assert ids(ask(engine, "push", user=GERMAN, filters=Filters(not_brand=["y"]), k=3)) == "ADC"
    assert ids(ask(engine, "push", user=GERMAN, items=["B", "A", "D"], k=3)) == "ABD"


def test_what_the_model_says_comes_first(engine: Engine) -> None:
    # of A: B .5, C .25
    answer = ask(engine, "push", history=["A"], user=GERMAN, exclude_seen=True, k=4)
    assert shown(answer) == [("B", "model"), ("C", "model"), ("E", "popular in segment"), ("D", "popular")]
    assert answer.fallback is None


def test_the_category_goes_before_the_segment(engine: Engine) -> None:
    answer = ask(engine, "product", item="B", user=GERMAN, k=3)
    assert shown(answer) == [(item, "popular in category") for item in "CA"] + [("E", "popular in segment")]
    liked = ask(engine, "push", liked=Liked(categories=["red"]), user=GERMAN, exclude_seen=True, k=4)
    assert ids(liked) == "ABCE"


def test_a_surface_chooses_its_fallbacks(engine: Engine) -> None:
    assert ids(ask(engine, "world", user=GERMAN, k=2)) == "BD"
    assert ids(ask(engine, "recommend", user=GERMAN, k=2)) == "BD"  # as it was evaluated


def test_the_retriever_speaks_to_newcomers_alone_where_told_so(engine: Engine) -> None:
    # trending E C B D A at half, and of Germans E A: E 1/61 + .5/61, A 1/62 + .5/64, then C
    answer = ask(engine, "home", user=GERMAN, k=3)
    assert shown(answer) == [("E", "segment"), ("A", "segment"), ("C", "trending")]
    assert answer.items[0].score == pytest.approx(1.5 / 61, rel=1e-5)
    assert answer.fallback == "empty history"
    for request in ({"history": ["A"]}, {"history": ["A", "D"]}, {"history": ["D"], "k": 2}):
        told = ask(engine, "home", user=GERMAN, **request)
        assert shown(told) == shown(ask(engine, "as-before", user=GERMAN, **request))
    assert shown(ask(engine, "home", k=3)) == shown(ask(engine, "as-before", k=3))


def test_a_list_of_one_s_country(engine: Engine) -> None:
    answer = ask(engine, "your-country", history=["A"], user=GERMAN)
    assert (shown(answer), answer.fallback) == ([("E", "segment"), ("A", "segment")], None)
    assert ids(ask(engine, "your-country", user=BRITISH)) == "C"
    silent = ask(engine, "your-country")
    assert (silent.items, silent.fallback) == ([], "the model has no opinion")
    assert engine.bundle.surfaces["your-country"].personal
    assert not engine.bundle.surfaces["product"].personal


def test_rules_that_order_by_score_keep_the_segment_first(engine: Engine) -> None:
    answer = ask(engine, "sorted", user=GERMAN, k=4)
    assert ids(answer) == "EABD"
    assert [item.score for item in answer.items] == pytest.approx([2, 1, 1, 5 / 6], rel=1e-5)
    assert ids(ask(engine, "sorted", k=4)) == "BDCE"


def test_scores_behind_are_scaled_only_where_they_would_be_above() -> None:
    def listed(*scores: float) -> TopK:
        return TopK(np.arange(len(scores))[None], np.array([scores], np.float32), np.ones((1, len(scores)), np.bool_))

    assert behind(listed(4, 2, 8, 4), 2).scores.tolist() == [[4, 2, 2, 1]]
    for untouched in (listed(4, 2, 2, 1), listed(0, 0, 8, 4), listed(4, 2)):
        assert behind(untouched, 2) is untouched
    assert behind(listed(4, 2), 0).scores.tolist() == [[4, 2]]


def test_over_http(folder: Path) -> None:
    with running(folder) as server, httpx.Client(base_url=server.address) as client:
        answer = client.post("/v1/push", json={"user": {"country": "DE", "device": "mobile"}, "k": 2}).json()
        assert [(item["id"], item["reason"]) for item in answer["items"]] == [(i, "popular in segment") for i in "EA"]
        assert answer["fallback"] == "empty history"
        other = client.post("/v1/push", json={"user": BRITISH, "k": 2}).json()
        assert [item["id"] for item in other["items"]] == ["C", "B"]
        # who asks for an item alone says nothing of a user
        assert [item["id"] for item in client.get("/v1/product/B", params={"k": 3}).json()["items"]] == ["C", "A", "D"]
        assert client.get("/v1/your-country/B").status_code == 422
        described = client.get("/v1/model").json()["segments"]
        assert described == {"attributes": ["country"], "size": 2, "users": 2, "items": 4}


def test_a_bundle_without_segments_says_nothing_of_them(bundles: dict[str, Path]) -> None:
    engine = Engine(Bundle.load(bundles["neighbours"]), clock=lambda: NOW)
    answer = ask(engine, "similar", item="C", user=GERMAN, k=4)
    assert [reason for _, reason in shown(answer)] == ["popular in category"] * 2 + ["popular"] * 2


def changed(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with np.load(folder / "segments.npz") as stored:
            kept = {**stored, **changes}
        np.savez(folder / "segments.npz", **{name: array for name, array in kept.items() if array is not None})

    return spoil


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int32)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "segments.npz").write_bytes(b"\0garbage"), "segments.npz: "),
        (changed(scores=None), "no array scores"),
        (changed(values=np.array([1, 2])), "values is int64 [2], not int32"),
        (changed(values=ints(1)), "not of the manifest's 2 segments"),
        (changed(attributes=ints(0, 1)), "attribute 1, the manifest names 1"),
        (changed(attributes=ints(-1, 0)), "attribute -1, the manifest names 1"),
        (changed(values=ints(0, 2)), "value 0 of country, which has 3"),
        (changed(values=ints(1, 3)), "value 3 of country, which has 3"),
        (changed(values=ints(1, 1)), "country 'DE' twice"),
        (changed(offsets=np.array([0, 4, 4])), "offsets do not rise from 0"),
        (changed(offsets=np.array([1, 3, 4])), "offsets do not rise from 0"),
        (changed(offsets=np.array([0, 3, 9])), "a segment of more than 4 items"),
        (changed(offsets=np.array([0, 3, 5])), "offsets, items and scores are not of one length"),
        (changed(items=ints(4, 5, 6, 2)), "item codes outside 0 … 5"),
        (changed(items=ints(4, 5, 4, 2)), "an item twice in country 'DE'"),
        (changed(scores=np.array([2, 3, 1, 1], np.float32)), "country 'DE' is not the best first"),
        (changed(scores=np.array([2, 1, 0, 1], np.float32)), "scores are not all finite and above 0"),
        (changed(scores=np.array([np.inf, 1, 1, 1], np.float32)), "scores are not all finite and above 0"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    copy = write_bundle(tmp_path / "bundle", "static", segments=TABLES)
    manifest = read_manifest(copy)
    spoil(copy)
    seal(copy, manifest)
    with pytest.raises(BundleError) as raised:
        Bundle.load(copy)
    assert says in str(raised.value)
    assert "segments.npz: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_the_manifest_says_must_be_there(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", "static", segments=TABLES)
    manifest = read_manifest(folder)
    assert manifest.segments is not None
    planets = msgspec.structs.replace(manifest.segments, attributes=("planet",))
    (folder / "manifest.json").write_bytes(msgspec.structs.replace(manifest, segments=planets).to_json())
    with pytest.raises(BundleError, match=r"segments by \['planet'\]; history.attributes are \['country'\]"):
        Bundle.load(folder)
    (folder / "segments.npz").unlink()
    seal(folder, manifest)
    with pytest.raises(BundleError, match=r"files does not list segments\.npz"):
        Bundle.load(folder)


def test_a_surface_cannot_ask_for_segments_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"your-country asks \['segment'\]; there are"):
        write_bundle(tmp_path / "bundle", "static", surfaces={"your-country": SURFACES["your-country"]})
