"""The sessions: every habit that was planted can be found in the events alone."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from recsys_lab.data.shop.generate import ShopData

DAY = 86_400


@pytest.fixture(scope="module")
def views(shop: ShopData) -> pd.DataFrame:
    """Views with their shelf, each user's in order."""
    table = shop.events[shop.events["event"] == "view"].copy()
    table["shelf"] = table["item_id"].map(shop.items.set_index("item_id")["subcategory"])
    return table.sort_values("user_id", kind="stable").reset_index(drop=True)


def test_the_funnel_narrows(shop: ShopData) -> None:
    share = shop.events["event"].value_counts(normalize=True)
    assert 0.78 < share["view"] < 0.9
    assert 0.06 < share["cart"] < 0.14
    assert 0.03 < share["purchase"] < share["cart"]


def test_in_a_session_an_item_is_viewed_then_carted_then_bought(shop: ShopData) -> None:
    first = shop.events.pivot_table(index=["session_id", "item_id"], columns="event", values="timestamp", aggfunc="min")
    assert (first["view"] < first["cart"])[first["cart"].notna()].all()
    assert (first["cart"] < first["purchase"])[first["purchase"].notna()].all()


def test_a_basket_is_what_a_session_bought_at_one_time(shop: ShopData) -> None:
    bought = shop.events[shop.events["event"] == "purchase"]
    assert bought["basket_id"].notna().all()
    assert shop.events.loc[shop.events["event"] != "purchase", "basket_id"].isna().all()
    baskets = bought.groupby("basket_id")
    assert (baskets["timestamp"].nunique() == 1).all()
    assert (baskets["session_id"].nunique() == 1).all()
    assert not bought.duplicated(["basket_id", "item_id"]).any()
    assert (baskets.size() > 1).mean() > 0.05


def test_popularity_is_skewed(shop: ShopData) -> None:
    counts = np.sort(shop.events["item_id"].value_counts().to_numpy())[::-1]
    assert 0.45 < counts[:80].sum() / counts.sum() < 0.85  # the top fifth of the catalogue
    head = np.log(counts[:100])
    assert np.corrcoef(np.log(np.arange(1, 101)), head)[0, 1] < -0.95


def test_items_trend(shop: ShopData) -> None:
    """Items that the truth sends up gain share on their shelf from the first half to the second."""
    middle = (shop.truth.facts["start"] + shop.truth.facts["end"]) // 2
    late = shop.events["timestamp"] >= middle
    steady = shop.items["available_from"].to_numpy() < shop.truth.facts["start"]
    steady = steady & (shop.truth.item_available_until > shop.truth.facts["end"])
    halves = [shop.events.loc[half, "item_id"].value_counts() for half in (~late, late)]
    before, after = (half.reindex(shop.items["item_id"], fill_value=0).to_numpy() for half in halves)
    steady &= before + after >= 50
    growth = pd.Series(np.log((after + 1) / (before + 1))[steady])
    growth -= growth.groupby(shop.truth.item_shelf[steady]).transform("mean")
    assert pearsonr(growth, shop.truth.item_trend[steady], alternative="greater").pvalue < 0.01


def test_complements_are_looked_for_after_the_cart_and_not_before(shop: ShopData, views: pd.DataFrame) -> None:
    """Of the views on the complement's shelf in the same session, far more follow the cart than precede it."""
    carted = shop.events[shop.events["event"] == "cart"].drop_duplicates(["session_id", "item_id"])
    shelf = carted["item_id"].map(shop.items.set_index("item_id")["subcategory"])
    carted = carted.assign(shelf=shelf.map(shop.truth.facts["complements"])).dropna(subset="shelf")
    met = carted.merge(views, on=["session_id", "shelf"], suffixes=("", "_view"))
    after = (met["timestamp_view"] > met["timestamp"]).sum()
    share = views["shelf"].value_counts(normalize=True)
    chance = carted["shelf"].map(share).sum() * views.groupby("session_id").size().mean()
    assert after > 2 * chance
    assert after > 2 * (met["timestamp_view"] < met["timestamp"]).sum()


def test_complements_are_looked_for_in_the_session_after_the_purchase(shop: ShopData, views: pd.DataFrame) -> None:
    shelf = shop.items.set_index("item_id")["subcategory"]
    bought = shop.events[shop.events["event"] == "purchase"].drop_duplicates(["session_id", "item_id"])
    wanted = bought.assign(shelf=bought["item_id"].map(shelf).map(shop.truth.facts["complements"]))
    first = views.drop_duplicates("session_id")
    later = first.assign(before=first.groupby("user_id")["session_id"].shift())
    met = wanted.dropna(subset="shelf").merge(later, left_on="session_id", right_on="before", suffixes=("", "_next"))
    found = (met["shelf"] == met["shelf_next"]).mean()
    assert found > 4 * met["shelf"].map(first["shelf"].value_counts(normalize=True)).mean()


def test_a_line_is_climbed_upwards(shop: ShopData, views: pd.DataFrame) -> None:
    code = {item: row for row, item in enumerate(shop.truth.facts["item_ids"])}
    items = views["item_id"].map(code).to_numpy()
    same = (views["user_id"].to_numpy()[1:] == views["user_id"].to_numpy()[:-1]) & (items[1:] != items[:-1])
    successor = shop.truth.item_successor
    up = (successor[items[:-1]] == items[1:])[same & (successor[items[:-1]] >= 0)].mean()
    down = (successor[items[1:]] == items[:-1])[same & (successor[items[1:]] >= 0)].mean()
    assert up > 0.2
    assert up > 2 * down


def test_a_session_stays_on_its_shelf_more_than_chance(views: pd.DataFrame) -> None:
    shelf, session = views["shelf"].to_numpy(), views["session_id"].to_numpy()
    within = session[1:] == session[:-1]
    chance = (views["shelf"].value_counts(normalize=True) ** 2).sum()
    assert (shelf[1:] == shelf[:-1])[within].mean() > 5 * chance


def test_consumables_are_bought_again_when_their_cycle_is_over(shop: ShopData) -> None:
    cycle = {shelf["name"]: shelf["cycle_days"] for shelf in shop.truth.facts["shelves"]}
    bought = shop.events[shop.events["event"] == "purchase"].copy()
    bought["cycle"] = bought["item_id"].map(shop.items.set_index("item_id")["subcategory"]).map(cycle)
    gap = bought.groupby(["user_id", "item_id"])["timestamp"].diff() / DAY
    again = (gap / bought["cycle"])[(bought["cycle"] > 0) & gap.notna()]
    assert len(again) > 100
    assert ((again > 0.75) & (again < 1.35)).mean() > 0.6
    lasting = bought["cycle"] == 0
    assert gap[lasting].notna().sum() / lasting.sum() < 0.15


def test_categories_have_their_season(shop: ShopData) -> None:
    """Each category's share of the views rises towards its day of the year: garden things to May, toys to December."""
    category = shop.events["item_id"].map(shop.items.set_index("item_id")["category"])
    part = (shop.events["timestamp"] - shop.truth.facts["start"]) // (30 * DAY)
    share = np.log(pd.crosstab(part, category, normalize="index"))
    days = 6 + 15 + 30 * np.arange(6)  # the middle of each part
    peaks = np.array([shop.truth.facts["season"]["peak_day_of_year"][name] for name in share.columns])
    wave = np.cos(2 * np.pi * (days[:, None] - peaks) / 365.25)
    correlation = np.corrcoef((wave - wave.mean(axis=0)).ravel(), (share - share.mean()).to_numpy().ravel())[0, 1]
    assert correlation > 0.6


def test_weekends_and_evenings_are_busy(shop: ShopData) -> None:
    starts = shop.events.drop_duplicates("session_id")["timestamp"] - shop.truth.facts["start"]
    by_hour = (starts % DAY // 3600).value_counts()
    by_day = (starts // DAY % 7).value_counts()
    assert by_hour[20] > 4 * by_hour[3]
    assert by_day[6] > 1.2 * by_day[2]  # the period begins on a Monday
