"""A rule about what is not there is told of, with what may have been meant."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.export.unknown_names import warn_of_unknown_names
from serving_min.surfaces import Surface
from tests.export.planted import SETTINGS, export, fitted, planted_fold, smallest_of_each_kind

CATALOGUE = Catalogue(
    pd.DataFrame(
        {
            "item_id": [f"i{code:05}" for code in range(12)],
            "category": ["Drama|Comedy", "", None, *["Western"] * 9],
            "brand": [f"brand {code}" for code in range(12)],
            "market": ["DE|AT"] * 12,
        }
    )
)


def said(settings: dict[str, Any], caplog: pytest.LogCaptureFixture, *, events: tuple[str, ...] = ("view",)) -> str:
    surface = msgspec.convert({"retrievers": [{"source": "model"}], **settings}, Surface)
    with caplog.at_level(logging.WARNING):
        warn_of_unknown_names({"home": surface}, CATALOGUE, events)
    return caplog.text


@pytest.mark.parametrize(
    ("rules", "warning"),
    [
        (
            {"pins": [{"item": "i0003", "position": 1}, {"item": "i00004", "position": 2}]},
            "surface home: rules.pins names items that are not there: 'i0003' (did you mean 'i00003'?)",
        ),
        ({"boosts": [{"item": "what"}]}, "rules.boosts names items that are not there: 'what'"),
        (
            {"boosts": [{"category": "DRAMA"}]},
            "rules.boosts names categories that are not there: 'DRAMA' (did you mean 'D",
        ),
        ({"boosts": [{"brand": "brand  3"}]}, "rules.boosts names brands that are not there: 'brand  3' (did you mean"),
        (
            {"filters": {"category": ["Comedy", "opera"]}},
            "rules.filters.category names categories that are not there: 'op",
        ),
        ({"filters": {"not_category": ["Westren"]}}, "rules.filters.not_category names categories that are not there"),
        ({"filters": {"brand": ["x"]}}, "rules.filters.brand names brands that are not there: 'x'"),
        ({"filters": {"not_brand": ["x"]}}, "rules.filters.not_brand names brands that are not there: 'x'"),
        ({"filters": {"market": "FR"}}, "names markets that are not there: 'FR'; there are AT, DE, DE|AT"),
    ],
)
def test_a_name_that_is_not_there(rules: dict[str, Any], warning: str, caplog: pytest.LogCaptureFixture) -> None:
    assert warning in said({"rules": rules}, caplog)


def test_names_that_are_there(caplog: pytest.LogCaptureFixture) -> None:
    rules = {
        "pins": [{"item": "i00003", "position": 1}],
        "boosts": [{"item": "i00001"}, {"category": "Drama"}, {"category": "Drama|Comedy"}, {"brand": "brand 3"}],
        "filters": {"category": ["Comedy"], "not_brand": ["brand 1"], "market": "AT"},
    }
    assert said({"rules": rules, "events": ["buy"]}, caplog, events=("view", "buy")) == ""


def test_many_names_are_not_all_shown(caplog: pytest.LogCaptureFixture) -> None:
    pins = [{"item": f"shoe {number}", "position": number} for number in range(1, 9)]
    assert said({"rules": {"pins": pins}}, caplog).endswith("'shoe 4', 'shoe 5' and 3 more\n")


def test_kinds_of_events_where_there_are_several(caplog: pytest.LogCaptureFixture) -> None:
    assert said({"events": ["purchase"]}, caplog) == ""
    told = said({"events": ["purchase"]}, caplog, events=("view", "buy"))
    assert "surface home: events names kinds of events that are not there: 'purchase'; there are buy, view" in told


def test_an_export_says_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fold = planted_fold()
    pinned = {"retrievers": [{"source": "model"}], "rules": {"pins": [{"item": "item7", "position": 1}]}}
    with caplog.at_level(logging.WARNING):
        export(
            fitted(smallest_of_each_kind()["static"], fold),
            fold,
            tmp_path,
            settings={**SETTINGS, "surfaces": {"home": pinned}},
        )
    assert "surface home: rules.pins names items that are not there: 'item7' (did you mean 'item-7'?)" in caplog.text
