"""The logging policy: propensities are what they claim to be, and so estimates from them hold."""

import numpy as np
import pytest

from recsys_lab.data.shop.assortment import stock
from recsys_lab.data.shop.choice import Choice
from recsys_lab.data.shop.generate import ShopData
from recsys_lab.data.shop.impressions import EXAMINATION, POSITIONS, attraction, draw_pages, weights_by_week
from recsys_lab.data.shop.opening_hours import DAY, START, OpeningHours
from recsys_lab.data.shop.shoppers import welcome

WEIGHTS = np.array([[0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0], [0.02, 0.08, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3]])


def test_first_places_are_drawn_as_often_as_the_propensity_says() -> None:
    items, propensities = draw_pages(WEIGHTS[1:], np.zeros(40_000, np.int64), np.random.default_rng(0))
    np.testing.assert_allclose(propensities[:, 0], WEIGHTS[1, items[:, 0]])
    frequency = np.bincount(items[:, 0], minlength=8) / len(items)
    np.testing.assert_allclose(frequency, WEIGHTS[1], atol=4 * np.sqrt(0.25 / 40_000))


def test_lower_places_are_drawn_from_what_is_left() -> None:
    items, propensities = draw_pages(WEIGHTS[1:], np.zeros(60_000, np.int64), np.random.default_rng(1))
    below = items[:, 0] == 7
    np.testing.assert_allclose(propensities[below, 1], WEIGHTS[1, items[below, 1]] / 0.7)
    frequency = np.bincount(items[below, 1], minlength=8) / below.sum()
    expected = np.append(WEIGHTS[1, :7] / 0.7, 0)
    np.testing.assert_allclose(frequency, expected, atol=4 * np.sqrt(0.25 / below.sum()))


def test_a_page_shows_nothing_twice(shop: ShopData) -> None:
    assert not shop.impressions.duplicated(["request_id", "item_id"]).any()
    assert (shop.impressions.groupby("request_id")["position"].apply(list).map(tuple) == tuple(range(1, 7))).all()


def test_the_policy_knows_only_the_weeks_before() -> None:
    assortment = stock(96, 28, np.random.default_rng(0))
    always = np.flatnonzero((assortment.available_from < START) & (assortment.available_until > START + 28 * DAY))[:2]
    early, late = always
    items = np.repeat([early, late], 50)
    times = np.repeat([START + DAY, START + 15 * DAY], 50)
    weights = weights_by_week(assortment, items, times, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[0, early] == weights[0, late]
    assert weights[1, early] > 2 * weights[1, late]
    assert weights[3, early] == pytest.approx(weights[3, late])


def test_what_is_not_on_sale_is_not_shown(shop: ShopData) -> None:
    arrival = shop.items.set_index("item_id")["available_from"]
    assert (shop.impressions["timestamp"] >= shop.impressions["item_id"].map(arrival)).all()


def test_lower_places_and_small_screens_are_clicked_less(shop: ShopData) -> None:
    rate = shop.impressions.groupby(["surface", "position"])["clicked"].mean()
    for surface in EXAMINATION:
        assert rate[surface, 1] > 1.5 * rate[surface, POSITIONS]
    assert rate["home_desktop", 5] > rate["home_mobile", 5]


def test_the_truth_gives_the_click_rates(shop: ShopData) -> None:
    """Observed clicks against examination × attraction from the saved truth, within four errors."""
    facts = shop.truth.facts["clicks"]
    users = shop.impressions["user_id"].str[1:].astype(int).to_numpy()
    items = shop.impressions["item_id"].str[1:].astype(int).to_numpy()
    liking = shop.truth.liking(users, items, shop.impressions["timestamp"].to_numpy())
    examined = [
        facts["examination"][surface][position - 1]
        for surface, position in zip(shop.impressions["surface"], shop.impressions["position"], strict=True)
    ]
    likely = np.array(examined) / (1 + np.exp(-facts["odds"] - facts["liking"] * liking))
    error = np.sqrt((likely * (1 - likely)).sum())
    assert abs(shop.impressions["clicked"].sum() - likely.sum()) < 4 * error


def test_inverse_propensity_finds_the_click_rate_of_another_policy() -> None:
    """The value of showing uniformly at the top place, from logs of the popularity policy."""
    rng = np.random.default_rng(5)
    hours = OpeningHours(28)
    choice = Choice(stock(96, 28, rng), welcome(200, hours, rng), hours, rng)
    on_sale = np.flatnonzero(choice.assortment.on_sale(np.arange(96), np.array(START)))
    everyone, everything = (grid.ravel() for grid in np.meshgrid(np.arange(200), on_sale))
    likely = attraction(choice, everyone, np.full(len(everyone), START), everything).reshape(len(on_sale), 200)
    truth = likely.mean()  # of showing each item on sale equally often

    weights = np.zeros((1, 96))
    weights[0, on_sale] = likely.mean(axis=1) ** 2 / (likely.mean(axis=1) ** 2).sum()
    users, now = rng.integers(0, 200, 40_000), np.full(40_000, START)
    items, propensities = draw_pages(weights, np.zeros(40_000, np.int64), rng)
    clicked = rng.random(40_000) < attraction(choice, users, now, items[:, 0])
    terms = clicked / len(on_sale) / propensities[:, 0]
    error = terms.std() / np.sqrt(len(terms))
    assert abs(terms.mean() - truth) < 4 * error < 0.1 * truth
    assert abs(clicked.mean() - truth) > 4 * error  # what the logs say without the weights
