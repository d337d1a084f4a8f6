from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from recsys_lab.data.shop.generate import ShopData
from recsys_lab.data.shop.truth import Truth
from recsys_lab.errors import SourceError


def test_saved_and_read_back(shop: ShopData, tmp_path: Path) -> None:
    shop.truth.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"truth.npz", "truth.json"}
    again = Truth.load(tmp_path)
    for field in fields(Truth):
        if field.name != "facts":
            np.testing.assert_array_equal(getattr(again, field.name), getattr(shop.truth, field.name))
    assert again.facts["complements"] == shop.truth.facts["complements"]
    assert again.facts["habits"]["memory_days"] == shop.truth.facts["habits"]["memory_days"]


def test_other_data_have_no_truth(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no truth\.npz"):
        Truth.load(tmp_path)


def test_reasons_stand_by_row(shop: ShopData) -> None:
    reasons = shop.truth.facts["reasons"]
    assert len(shop.truth.event_reason) == len(shop.events)
    steps = shop.truth.event_reason == reasons.index("next_step")
    views = (shop.events["event"] == "view").to_numpy()
    code = {item: row for row, item in enumerate(shop.truth.facts["item_ids"])}
    reached = shop.events["item_id"].map(code).to_numpy()[steps & views]
    assert set(reached) <= set(shop.truth.item_successor)


def test_complements_are_directional(shop: ShopData) -> None:
    goes_with = shop.truth.facts["complements"]
    assert len(goes_with) > 20
    assert all(goes_with.get(other) != shelf for shelf, other in goes_with.items())
