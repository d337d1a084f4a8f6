"""The catalogue: new arrivals, prices, and text that tells which items are alike."""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from recsys_lab.data.shop.generate import ShopData


def test_items_come_and_go_and_are_never_seen_outside_their_time(shop: ShopData) -> None:
    items = shop.items.set_index("item_id")
    start = shop.truth.facts["start"]
    assert 0.12 < (items["available_from"] > start).mean() < 0.22
    first_seen = shop.events.groupby("item_id")["timestamp"].min()
    assert (first_seen >= items["available_from"].reindex(first_seen.index)).all()

    until = dict(zip(shop.truth.facts["item_ids"], shop.truth.item_available_until, strict=True))
    last_view = shop.events[shop.events["event"] == "view"].groupby("item_id")["timestamp"].max()
    assert all(last < until[item] for item, last in last_view.items())
    assert 0.02 < (shop.truth.item_available_until < shop.truth.facts["end"]).mean() < 0.12


def test_new_arrivals_find_buyers(shop: ShopData) -> None:
    arrived = shop.items[shop.items["available_from"] > shop.truth.facts["start"]]
    seen = shop.events["item_id"].isin(arrived["item_id"]).mean()
    assert 0.05 < seen < 0.3


def test_every_category_has_four_shelves_and_every_shelf_two_items(shop: ShopData) -> None:
    shelves = shop.items.groupby("category")["subcategory"].nunique()
    assert len(shelves) == 12
    assert (shelves == 4).all()
    assert shop.items["subcategory"].value_counts().min() >= 2


def test_prices_lie_around_their_shelf(shop: ShopData) -> None:
    logs = np.log(shop.items["price"])
    within = logs.groupby(shop.items["subcategory"]).transform("mean")
    assert (logs - within).var() < 0.5 * logs.var()
    assert 0.2 < (logs - within).std() < 0.8


def test_neighbours_by_text_are_neighbours_in_the_truth(shop: ShopData) -> None:
    text = TfidfVectorizer().fit_transform(shop.items["title"] + " " + shop.items["text"])
    alike = (text @ text.T).toarray()
    np.fill_diagonal(alike, -1)
    nearest = np.argsort(-alike, axis=1)[:, :5]
    vectors = shop.truth.item_vectors / np.linalg.norm(shop.truth.item_vectors, axis=1, keepdims=True)
    cosine = vectors @ vectors.T
    assert np.take_along_axis(cosine, nearest, 1).mean() > 0.6 > 0.2 > cosine.mean()


def test_text_also_tells_items_of_one_shelf_apart(shop: ShopData) -> None:
    """Not only the shelf's noun: brand and style words go with the vectors too."""
    text = TfidfVectorizer().fit_transform(shop.items["title"] + " " + shop.items["text"])
    alike = (text @ text.T).toarray()
    vectors, shelf = shop.truth.item_vectors, shop.truth.item_shelf
    own = vectors - np.stack([vectors[shelf == code].mean(axis=0) for code in range(48)])[shelf]
    pairs = np.triu(shelf[:, None] == shelf[None, :], 1)
    assert np.corrcoef(alike[pairs], (own @ own.T)[pairs])[0, 1] > 0.3
