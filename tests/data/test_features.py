"""Content vectors of catalogues small enough to see."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.features import content_matrix


def catalogue(**attributes: list[object]) -> Catalogue:
    size = len(next(iter(attributes.values())))
    return Catalogue(pd.DataFrame({"item_id": [f"i{code}" for code in range(size)], **attributes}))


def test_rows_are_unit_or_zero() -> None:
    matrix = content_matrix(
        catalogue(
            title=["Green tea", "Black tea", None, ""],
            category=["drinks", None, None, ""],
            price=[2.0, 3.0, np.nan, np.nan],
        )
    )
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(matrix.toarray(), axis=1), [1, 1, 0, 0], rtol=1e-6)


def test_a_catalogue_of_ids_has_no_content() -> None:
    assert content_matrix(Catalogue.of_ids(["a", "b"])).shape == (2, 0)


def test_words_shared_by_fewer_items_weigh_more() -> None:
    matrix = content_matrix(catalogue(title=["red cup", "red plate", "red plate of oak", "oak table"]))
    cosines = (matrix @ matrix.T).toarray()
    assert cosines[1, 2] > cosines[1, 0] > cosines[1, 3] == 0


def test_a_category_may_name_several() -> None:
    matrix = content_matrix(catalogue(category=["Comedy", "Comedy|Drama", "Drama", "War"]))
    cosines = (matrix @ matrix.T).toarray()
    half = np.sqrt(0.5)
    np.testing.assert_allclose(cosines, [[1, half, 0, 0], [half, 1, half, 0], [0, half, 1, 0], [0, 0, 0, 1]], rtol=1e-6)


def test_weights_are_the_lengths_of_the_parts() -> None:
    """Cosine = brand² / (category² + brand²) where only the brand is shared."""
    shop = catalogue(category=["a", "b"], brand=["x", "x"])
    matrix = content_matrix(shop, category_weight=2.0, brand_weight=1.0)
    assert (matrix @ matrix.T).toarray()[0, 1] == pytest.approx(1 / 5)


def test_prices_fall_into_quantile_buckets() -> None:
    """Five cheap and five dear items in two buckets: only the order of the prices counts."""
    matrix = content_matrix(catalogue(price=[1, 2, 3, 4, 5, 100, 200, 300, 400, 5_000]), price_buckets=2)
    assert (matrix @ matrix.T).toarray().tolist() == np.kron(np.eye(2), np.ones((5, 5))).tolist()


def test_one_price_for_all_is_one_bucket() -> None:
    matrix = content_matrix(catalogue(price=[3.0] * 4))
    np.testing.assert_allclose((matrix @ matrix.T).toarray(), 1)


def test_only_the_most_frequent_words_are_kept() -> None:
    assert content_matrix(catalogue(title=["tea cup", "tea pot", "tea"]), max_features=1).shape == (3, 1)
