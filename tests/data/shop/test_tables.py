"""What a source must hand over, and sizes near the settings."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.shop.generate import ShopData, generate

DAY = 86_400


def test_sizes_are_near_the_settings(shop: ShopData) -> None:
    assert len(shop.items) == 400
    assert len(shop.users) == 800
    assert len(shop.events) == pytest.approx(40_000, rel=0.1)
    assert shop.events["user_id"].nunique() == 800  # everybody came at least once
    length = (shop.events["timestamp"].max() - shop.events["timestamp"].min()) / DAY
    assert 179 < length <= 180


def test_events_are_in_the_order_of_time_and_name_known_ids(shop: ShopData) -> None:
    assert shop.events["timestamp"].is_monotonic_increasing
    assert set(shop.events["item_id"]) <= set(shop.items["item_id"])
    assert set(shop.impressions["item_id"]) <= set(shop.items["item_id"])
    assert set(shop.impressions["user_id"]) <= set(shop.users["user_id"])
    assert shop.items["item_id"].is_unique
    assert shop.users["user_id"].is_unique


def test_a_session_is_one_user_without_long_pauses(shop: ShopData) -> None:
    assert (shop.events.groupby("session_id")["user_id"].nunique() == 1).all()
    ordered = shop.events.sort_values(["user_id", "timestamp"], kind="stable")
    pause = ordered.groupby("user_id")["timestamp"].diff()
    same = ordered["session_id"] == ordered.groupby("user_id")["session_id"].shift()
    assert pause[same].max() < 30 * 60 < pause[~same].min()


def test_same_settings_same_tables_other_seed_other_tables() -> None:
    size = {"n_users": 60, "n_items": 96, "n_events": 600, "days": 28}
    one, same, other = generate(**size, seed=1), generate(**size, seed=1), generate(**size, seed=2)
    for table in ("events", "items", "users", "impressions"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(same, table), check_exact=True)
        assert not getattr(one, table).equals(getattr(other, table))
    assert one.truth.taste_end.tobytes() == same.truth.taste_end.tobytes()


def test_more_users_leave_the_items_alone() -> None:
    few = generate(n_users=50, n_items=96, n_events=600, days=28, seed=1)
    more = generate(n_users=80, n_items=96, n_events=600, days=28, seed=1)
    pd.testing.assert_frame_equal(few.items, more.items)
    np.testing.assert_array_equal(few.truth.item_vectors, more.truth.item_vectors)
