"""Features by item code, and the clock, on values that can be checked by eye."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.nn.features import PRICE_BUCKETS, ItemFeatures, hour_and_weekday, price_buckets


def test_labels_and_what_is_known() -> None:
    catalogue = Catalogue(
        pd.DataFrame(
            {
                "item_id": list("abcd"),
                "title": ["green tea", None, None, None],
                "category": ["drinks", None, "tools", None],
                "price": [None, 2.0, None, None],
            }
        )
    )
    features = ItemFeatures.of(catalogue, width=2, seed=0)
    assert features.labels[:, 0].tolist() == [1, 0, 2, 0]
    assert features.sizes == (3, 1, PRICE_BUCKETS + 1)
    assert features.known.tolist() == [True, True, True, False]
    assert features.text.shape == (4, 2)


def test_ids_alone_have_no_text() -> None:
    features = ItemFeatures.of(Catalogue.of_ids(["a", "b"]), width=8, seed=0)
    assert features.text.shape == (2, 0)
    assert not features.known.any()


def test_prices_fall_into_equally_full_buckets() -> None:
    prices = np.append(np.arange(1.0, 101.0), np.nan)
    assert np.bincount(price_buckets(prices)).tolist() == [1, *[10] * 10]
    assert price_buckets(np.array([np.nan])).tolist() == [0]


def test_the_clock() -> None:
    moments = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 11, 23, 16, 59, 59, tzinfo=UTC)]
    hour, weekday = hour_and_weekday(torch.tensor([int(moment.timestamp()) for moment in moments]))
    assert hour.tolist() == [moment.hour for moment in moments]
    assert weekday.tolist() == [moment.weekday() for moment in moments]
