"""Surfaces as configured become surfaces that a bundle can have."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from recsys_lab.config import compose
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.errors import ConfigError
from recsys_lab.export.companions import companion_names, fit_companions
from recsys_lab.export.surfaces import check_sources, read_surfaces
from recsys_lab.models.hybrid import Hybrid
from recsys_lab.models.popular import Popular
from tests.export.planted import export, fitted, planted_fold

BARE = Catalogue.of_ids(["A", "B"])
HOME: dict[str, Any] = {"home": {"retrievers": [{"source": "model"}, {"source": "trending"}]}}


def test_a_retriever_without_its_companion_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        surfaces = read_surfaces(HOME, [], BARE)
    assert [asked.source for asked in surfaces["home"].retrievers] == ["model"]
    assert "surface home goes without trending" in caplog.text
    assert [asked.source for asked in read_surfaces(HOME, ["trending"], BARE)["home"].retrievers][1] == "trending"
    assert set(surfaces) == {"home", "recommend", "similar", "rank"}


def test_caps_on_what_the_items_lack_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    settings = {"home": {"retrievers": [], "rules": {"caps": {"category": 2, "brand": 1}}}}
    with caplog.at_level(logging.WARNING):
        surfaces = read_surfaces(settings, [], BARE)
    assert surfaces["home"].rules.caps.category is None
    assert "goes without its cap by category and brand" in caplog.text


def test_the_default_list_to_buy_again_is_of_purchases() -> None:
    surfaces = read_surfaces(compose([])["export"]["surfaces"], [], BARE)
    assert {name for name, surface in surfaces.items() if surface.events} == {"buy-again"}
    assert surfaces["buy-again"].events == ("purchase",)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"Home Page": {"retrievers": []}}, "'Home Page' is no name for a route"),
        ({"events": {"retrievers": []}}, "no surface can be called 'events', /v1/events is another route"),
        ({"home": {"retrievers": [], "fallback": ["luck"]}}, "Invalid enum value 'luck'"),
        ({"home": {"retriever": []}}, "export.surfaces.home: Object contains unknown field `retriever`"),
        ({"home": 3}, "export.surfaces.home: Expected `object`, got `int`"),
        (
            {"home": {"retrievers": [], "rules": {"pins": [{"item": "A", "position": 1, "until": "12/24"}]}}},
            "export.surfaces.home: Expected a date, YYYY-MM-DD - at `$.rules.pins[0].until`",
        ),
        ({3: {"retrievers": []}}, "'3' is no name for a route"),
        (3, "export.surfaces: 3 names none; write {home: "),
    ],
)
def test_what_is_no_surface(settings: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=r"export\.surfaces") as raised:
        read_surfaces(settings, [], BARE)
    assert says in str(raised.value)


def test_a_surface_with_nothing_left_shows_its_fallback(caplog: pytest.LogCaptureFixture) -> None:
    surfaces = read_surfaces({"cart": {"retrievers": [{"source": "pairs"}]}, "top": {"retrievers": []}}, [], BARE)
    assert surfaces["cart"].retrievers == ()
    assert "surface cart has no retriever left and shows its fallback alone" in caplog.text
    assert "surface top" not in caplog.text


def test_a_source_that_no_bundle_has() -> None:
    every = ("model", "similar", "given", "popular", "segment", "trending")
    check_sources({"home": {"retrievers": [{"source": source} for source in every]}}, ["trending"])
    with pytest.raises(ConfigError, match=r"export\.surfaces\.home: 'nope' is no source; .* segment, trending$"):
        check_sources({"home": {"retrievers": [{"source": "model"}, {"source": "nope"}]}}, ["trending"])


@pytest.mark.parametrize("taken", ["export.companions=null", "~export.companions", "~export.companions.trending"])
def test_surfaces_may_ask_companions_that_were_taken_away(taken: str) -> None:
    config = compose([taken, "+export.surfaces.late={retrievers: [{source: trending}]}"])
    check_sources(config["export"]["surfaces"], companion_names(config))


def test_surfaces_may_ask_companions_of_one_s_own() -> None:
    late = "+export.companions.late={model: popular, half_life_days: 2.0}"
    assert companion_names(compose([late])) == ["bought_together", "also_viewed", "buy_again", "trending", "late"]


@pytest.mark.parametrize("name", ["trending-week", "1st", "été", "../up", "", "model", "popular", "segment"])
def test_a_name_that_no_companion_can_have(name: str, tmp_path: Path) -> None:
    fold = planted_fold()
    model = fitted(Popular(), fold)
    with pytest.raises(ConfigError, match=rf"export\.companions: {name!r} is "):
        export(model, fold, tmp_path, companions={name: model})
    assert list(tmp_path.iterdir()) == []


def test_a_companion_is_not_called_as_a_member(tmp_path: Path) -> None:
    fold = planted_fold()
    model = fitted(Hybrid(members={"both": Popular()}, weights="equal"), fold)
    with pytest.raises(ConfigError, match=r"export\.companions: 'both' is a member of the exported model"):
        export(model, fold, tmp_path, companions={"both": fitted(Popular(), fold)})


def test_a_companion_s_name_is_checked_before_any_is_fitted() -> None:
    with pytest.raises(ConfigError, match=r"export\.companions: 'late-week' is no name; use letters"):
        companion_names(compose(["+export.companions.late-week={model: popular}"]))


def test_companions_are_fitted_with_their_own_settings() -> None:
    config = compose(["+export.companions.late={model: popular, half_life_days: 2.0}"])
    companions = fit_companions(config, planted_fold())
    assert companions["late"].params()["half_life_days"] == 2.0


@pytest.mark.parametrize("taken", ["export.companions=null", "~export.companions"])
def test_all_companions_may_be_taken_away(taken: str) -> None:
    assert fit_companions(compose([taken]), planted_fold()) == {}


def test_the_default_companions_are_models_that_exist() -> None:
    config = compose([])
    assert set(config["export"]["companions"]) == {"bought_together", "also_viewed", "buy_again", "trending"}
    for settings in config["export"]["companions"].values():
        config.for_model(settings["model"]).build("model")


def test_a_companion_that_names_no_model() -> None:
    with pytest.raises(ConfigError, match=r"export.companions.late: 3 names no model"):
        fit_companions(compose(["+export.companions.late=3"]), planted_fold())
