"""What is popular in a segment, reckoned by hand, and in a bundle that was written and read."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.export.segments import Segments, find_segments
from recsys_lab.export.settings import ExportSettings
from recsys_lab.models.base import Recommender
from recsys_lab.models.popular import Popular
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.messages import Answer, Request
from tests.export.planted import DAY, ITEMS, SETTINGS, MeanVector, Together, export, fitted, planted_fold

FOLD = planted_fold()
NOW = 100 * DAY
A, B, C = 0, 1, 2
COUNTRY, DEVICE = ("country", ("", "DE", "UK")), ("device", ("", "phone"))
EVENTS = [  # user, item, days ago
    (0, A, 30),
    (0, B, 0),
    (1, B, 0),
    (2, C, 0),
    (3, A, 0),
]


def literal_log() -> InteractionLog:
    """Users 0 and 1 are German, 2 British, nothing is known of 3; 4 is German and never came. 2 and 3 have phones."""
    users, items, ages = (np.array(column) for column in zip(*EVENTS, strict=True))
    log = InteractionLog.from_events(users, items, NOW - ages * DAY, n_users=5, n_items=3)
    attributes = np.array([[1, 0], [1, 0], [2, 1], [0, 1], [1, 0]], np.int32)
    return replace(log, attributes=attributes, attribute_names=(COUNTRY, DEVICE))


def tables(segments: Segments | None) -> dict[tuple[int, int], list[tuple[int, float]]]:
    if segments is None:
        return {}
    return {
        (table.attribute, table.value): list(zip(table.items.tolist(), table.scores.tolist(), strict=True))
        for table in segments.tables
    }


def found(model: Recommender | None = None, **settings: Any) -> dict[tuple[int, int], list[tuple[int, float]]]:
    log = literal_log()
    model = model or Together()
    model.fit(log, catalogue=Catalogue.of_ids(["A", "B", "C"]))
    return tables(find_segments(model, log, ExportSettings.read({"segment_users": 1, **settings})))


def test_events_of_a_segments_users_halve_in_thirty_days() -> None:
    assert found() == {(0, 1): [(B, 2.0), (A, 0.5)], (0, 2): [(C, 1.0)]}


def test_a_segment_of_too_few_users_has_no_table() -> None:
    assert found(segment_users=2) == {(0, 1): [(B, 2.0), (A, 0.5)]}
    assert found(segment_users=3) == {}  # the third German never came


def test_only_the_best_are_kept_and_ties_go_to_the_lower_code() -> None:
    assert found(segment_items=1)[0, 1] == [(B, 2.0)]
    assert found(segments=["device"]) == {(0, 1): [(A, 1.0), (C, 1.0)]}


def test_attributes_speak_in_the_order_given() -> None:
    both = found(segments=["device", "country"])
    assert list(both) == [(0, 1), (1, 1), (1, 2)]
    assert both[1, 2] == [(C, 1.0)]


@pytest.mark.parametrize("segments", [None, [], ["planet"]])
def test_no_segments(segments: list[str] | None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert found(segments=segments) == {}
    told = "no segments by ['planet'], which users do not have; they have ['country', 'device']" in caplog.text
    assert told == (segments == ["planet"])


def test_a_popular_model_counts_in_its_own_way() -> None:
    assert found(Popular(half_life_days=None))[0, 1] == [(B, 2.0), (A, 1.0)]
    assert found(Popular(window_days=10.0))[0, 1] == [(B, 2.0)]


def test_what_the_model_may_not_recommend_is_left_out() -> None:
    log = literal_log()
    model = Together().fit(log)
    model.candidates = np.array([True, False, True])
    settings = ExportSettings.read({"segment_users": 1})
    assert tables(find_segments(model, log, settings))[0, 1] == [(A, 0.5)]


def test_segments_and_the_unknown_add_up_to_the_fallback() -> None:
    model = fitted(Together(), FOLD)
    unknown = FOLD.train.where(FOLD.train.attributes[FOLD.train.users, 0] == 0)
    total = np.zeros(ITEMS)
    segments = find_segments(model, FOLD.train, ExportSettings(segment_users=1))
    assert segments is not None
    for table in segments.tables:
        total[table.items] += table.scores
    ages = (FOLD.train.times.max() - unknown.times) / DAY
    total += np.bincount(unknown.items, np.exp2(-ages / 30), minlength=ITEMS)
    assert total == pytest.approx(model.popularity, rel=1e-5)


def test_settings_that_cannot_work() -> None:
    for wrong in ({"segment_users": 0}, {"segment_items": 0}, {"segments": ["x", "x"]}):
        with pytest.raises(ConfigError, match=r"export\.segment"):
            ExportSettings.read(wrong)
    with pytest.raises(ConfigError, match=r"'country' is no list; write \[country\]"):
        ExportSettings.read({"segments": "country"})


SURFACES: dict[str, Any] = {
    "push": {"retrievers": [{"source": "model"}]},
    "home": {"retrievers": [{"source": "model"}, {"source": "segment", "to": "newcomers"}]},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {**SETTINGS, "segment_users": 30, "segment_items": 50, "surfaces": SURFACES}
    return export(fitted(MeanVector(), FOLD), FOLD, tmp_path_factory.mktemp("bundles"), settings=settings)


def asked(engine: Engine, surface: str, **user: str) -> Answer:
    return engine.recommend([Request(user=user, now=FOLD.cutoff)], surface)[0]


def test_a_bundle_has_what_was_found(written: Path) -> None:
    bundle = Bundle.load(written)
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["segments"] == {"attributes": ["country"], "size": 2, "users": 30, "items": 50}
    expected = find_segments(fitted(MeanVector(), FOLD), FOLD.train, ExportSettings(segment_users=30, segment_items=50))
    assert expected is not None
    assert list(bundle.segments.tables) == [(0, 1), (0, 2)]
    for table in expected.tables:
        items, scores = bundle.segments.tables[0, table.value]
        assert items.tolist() == table.items.tolist()
        assert scores.tolist() == table.scores.tolist()


def test_newcomers_from_two_countries_get_different_lists(written: Path) -> None:
    engine = Engine(Bundle.load(written))
    for surface, reason in (("push", "popular in segment"), ("home", "segment")):
        lists = {country: asked(engine, surface, country=country) for country in ("at", "de")}
        assert {item.reason for answer in lists.values() for item in answer.items} == {reason}
        assert {answer.fallback for answer in lists.values()} == {"empty history"}
        assert [item.id for item in lists["at"].items] != [item.id for item in lists["de"].items]
    assert {item.reason for item in asked(engine, "push", country="se").items} == {"popular"}
    assert asked(engine, "recommend", country="de").items == asked(engine, "recommend").items


def test_golden_requests_ask_for_a_newcomer(written: Path) -> None:
    golden = [json.loads(line) for line in (written / "golden.jsonl").read_text().splitlines()]
    newcomers = [
        pair for pair in golden if pair["request"].get("user") == {"country": "at"} and not pair["request"]["history"]
    ]
    assert [pair["surface"] for pair in newcomers] == ["home", "push"]


def test_without_segments_a_surface_goes_without_their_retriever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {**SETTINGS, "segments": None, "surfaces": SURFACES}
    folder = export(fitted(Together(), FOLD), FOLD, tmp_path, settings=settings)
    bundle = Bundle.load(folder)
    assert bundle.manifest.segments is None
    assert not (folder / "segments.npz").exists()
    assert [asked.source for asked in bundle.surfaces["home"].retrievers] == ["model"]
    assert "surface home goes without segment" in caplog.text
