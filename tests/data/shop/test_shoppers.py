"""The users: attributes that hint at taste, tastes that drift, few who come often."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.shop.generate import ShopData


def test_a_few_users_make_most_of_the_events(shop: ShopData) -> None:
    counts = shop.events["user_id"].value_counts().to_numpy()
    assert counts[:80].sum() > 0.3 * counts.sum()  # the busiest tenth
    assert np.quantile(counts, 0.25) < 15


def test_new_users_arrive_until_the_end(shop: ShopData) -> None:
    first = shop.events.groupby("user_id")["timestamp"].min()
    share = (first - shop.truth.facts["start"]) / (shop.truth.facts["end"] - shop.truth.facts["start"])
    assert 0.01 < (share > 1 - 21 / 180).mean() < 0.2
    assert (share < 0.1).mean() > 0.15


@pytest.mark.parametrize("attribute", ["country", "device", "age_band"])
def test_attributes_tell_something_about_what_is_viewed(shop: ShopData, attribute: str) -> None:
    """Groups by attribute differ more in their mix of categories than groups dealt out at random."""
    category = shop.events["item_id"].map(shop.items.set_index("item_id")["category"])
    mix = np.sqrt(pd.crosstab(shop.events["user_id"], category, normalize="index").to_numpy())
    codes, _ = pd.factorize(shop.users.sort_values("user_id")[attribute])

    def spread(groups: np.ndarray) -> float:
        members = np.eye(groups.max() + 1)[groups]
        means = (members.T @ mix) / members.sum(axis=0)[:, None]
        return float((members.sum(axis=0) * ((means - mix.mean(axis=0)) ** 2).sum(axis=1)).sum())

    rng = np.random.default_rng(0)
    assert spread(codes) > max(spread(rng.permutation(codes)) for _ in range(99))


def test_interests_drift(shop: ShopData) -> None:
    """What a user views resembles the third of the period before it more than the one before that."""
    truth = shop.truth
    third = (
        (shop.events["timestamp"] - truth.facts["start"]) * 3 // (truth.facts["end"] - truth.facts["start"])
    ).to_numpy()
    shelves = shop.events["item_id"].map(shop.items.set_index("item_id")["subcategory"])
    table = pd.crosstab([shop.events["user_id"], third], shelves)
    regulars = [user for user, rows in table.groupby(level=0) if len(rows) == 3 and rows.sum(axis=1).min() >= 15]
    assert len(regulars) > 50

    def likeness(one: int, other: int) -> float:
        a, b = (np.sqrt(table.loc[[(user, part) for user in regulars]].to_numpy()) for part in (one, other))
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        return float(cosine.mean())

    assert likeness(1, 2) > likeness(0, 2) + 0.04
