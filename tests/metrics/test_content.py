import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.metrics.content import content_vectors
from recsys_lab.metrics.lists import content_diversity


def two_shelves(size: int) -> Catalogue:
    """Even items are about tea, odd ones about bikes; every title has a word of its own besides."""
    about = ["green tea leaves cup", "road bike wheel pedal"]
    titles = [f"{about[item % 2]} word{item}" for item in range(size)]
    return Catalogue(pd.DataFrame({"item_id": [str(item) for item in range(size)], "title": titles}))


@pytest.mark.parametrize("size", [6, 40])  # kept as it is, and reduced
def test_a_mixed_list_is_more_diverse_than_one_shelf(size: int) -> None:
    vectors = content_vectors(two_shelves(size), width=8)
    assert vectors is not None
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    one_shelf, mixed = content_diversity(np.array([[0, 2, 4], [0, 1, 4]], np.int32), vectors)
    assert one_shelf < 0.6 * mixed


def test_the_reduction_is_seeded() -> None:
    first, again = (content_vectors(two_shelves(40), width=8, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_ids_alone_say_nothing() -> None:
    assert content_vectors(Catalogue.of_ids(["a", "b"])) is None
