"""TF-IDF and BM25 of a small matrix, by hand."""

import numpy as np
import pytest
from scipy import sparse

from recsys_lab.errors import ConfigError
from recsys_lab.models.weighting import weighted

COUNTS = np.array([[1, 4, 0], [1, 0, 0], [1, 0, 0]], np.float32)


def test_a_column_that_every_row_has_says_nothing() -> None:
    """idf = log(4 / (1 + holders)): 0 for the first column and log 2 for the second; √4 = 2."""
    found = weighted(sparse.csr_array(COUNTS), "tfidf").toarray()
    np.testing.assert_allclose(found, [[0, 2 * np.log(2), 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6)


def test_bm25_saturates_and_divides_by_length() -> None:
    """The first row sums to 5, the mean is 7 / 3: 4 · 2.2 / (4 + 1.2 · (.25 + .75 · 15 / 7)) · log 2."""
    found = weighted(sparse.csr_array(COUNTS), "bm25").toarray()
    assert found[0, 1] == pytest.approx(8.8 / (4 + 1.2 * (0.25 + 0.75 * 15 / 7)) * np.log(2))
    assert found.dtype == np.float32


def test_none_leaves_the_counts() -> None:
    np.testing.assert_array_equal(weighted(sparse.csr_array(COUNTS), "none").toarray(), COUNTS)


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="weighting: 'bm42' is unknown; use one of none, tfidf, bm25"):
        weighted(sparse.csr_array(COUNTS), "bm42")
