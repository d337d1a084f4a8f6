from __future__ import annotations

from math import log

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.metrics.calibration import category_mix, miscalibration
from serving_min.queries import Queries
from serving_min.rerank.calibration import divergence

# by item code; the last one has no category, and 4 is half of each
CATALOGUE = Catalogue(
    pd.DataFrame({"item_id": list("abcdef"), "category": ["red", "red", "blue", "green", "red|blue", None]})
)


def test_by_hand() -> None:
    mix = category_mix(CATALOGUE)
    assert mix is not None
    queries = Queries.from_histories([[0, 1, 0, 2], [0, 2], [0], [5], [0], [4, 5]])
    lists = np.array([[1, 0, 1, 2], [0, 1, -1, -1], [3, 5, -1, -1], [0, 1, 2, 3], [-1] * 4, [0, 2, -1, -1]], np.int32)
    found = miscalibration(lists, queries, mix)
    all_red = 0.5 * log(0.5 / (0.99 + 0.005)) + 0.5 * log(0.5 / 0.005)
    np.testing.assert_allclose(found, [0, all_red, log(100), np.nan, np.nan, 0], atol=1e-12)


def test_it_is_the_divergence_that_the_re_ranker_lowers() -> None:
    mix = category_mix(CATALOGUE)
    assert mix is not None
    rng = np.random.default_rng(0)
    for _ in range(20):
        history, listed = rng.integers(0, 5, 6), rng.choice(6, 4, replace=False).astype(np.int32)
        mine, wanted = mix.wanted(history.astype(np.int32))
        shown = mix.shares(mix.labels[listed], mine).mean(axis=0)
        found = miscalibration(listed[None], Queries.from_histories([history.tolist()]), mix)
        assert found[0] == pytest.approx(float(divergence(wanted, shown, 0.01)))


def test_a_shop_without_categories_has_no_mix() -> None:
    assert category_mix(Catalogue.of_ids(["a", "b"])) is None
