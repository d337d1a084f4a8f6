import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.report.buckets import Buckets, of_equal_size


def test_groups_by_hand() -> None:
    buckets = of_equal_size(np.array([0, 1, 2, 3, 4, 1000, 0, 5]), groups=3)
    assert buckets.labels == ["none", "1–2", "3–4", "5–1,000"]
    assert buckets.codes.tolist() == [0, 1, 1, 2, 2, 3, 0, 3]
    assert buckets.sizes.tolist() == [2, 2, 2, 2]


def test_a_number_that_most_share_is_one_group() -> None:
    buckets = of_equal_size(np.array([1] * 90 + [7] * 10), groups=5)
    assert buckets.labels == ["1", "2–7"]
    assert buckets.sizes.tolist() == [90, 10]


def test_less_than_one_is_not_none() -> None:
    buckets = of_equal_size(np.array([0, 0.25, 1]))
    assert buckets.labels == ["none", "1"]
    assert buckets.codes.tolist() == [0, 1, 1]


def test_nobody_has_any() -> None:
    assert of_equal_size(np.zeros(3)).labels == ["none"]


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_every_query_is_in_the_group_that_its_label_names(values: list[float]) -> None:
    buckets = of_equal_size(np.array(values))
    assert buckets.sizes.min() > 0
    for few, code in zip(values, buckets.codes, strict=True):
        value = max(1, round(few)) if few else 0
        name = buckets.labels[code].replace("none", "0").replace(",", "")
        first, _, last = name.partition("–")
        assert int(first) <= value <= int(last or first)


def test_means_by_hand() -> None:
    buckets = Buckets(["few", "many"], np.array([0, 1, 0, 1]))
    users = np.arange(4)
    tables = {
        "a": pd.DataFrame({"user": users, "ndcg@10": [1.0, 0.5, 0.0, 0.5]}),
        "b": pd.DataFrame({"user": users, "ndcg@10": [0.2, 0.0, 0.2, 1.0]}),
    }
    means = buckets.means(tables, "ndcg@10")
    assert means["a"] == pytest.approx(np.array([[0.5, 0, 1], [0.5, 0.5, 0.5]]))
    assert means["b"] == pytest.approx(np.array([[0.2, 0.2, 0.2], [0.5, 0, 1]]))
