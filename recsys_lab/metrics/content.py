"""Item vectors from text and attributes, to measure how varied a list is in content."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue


@lru_cache(maxsize=2)  # the models of a comparison share one catalogue
def content_vectors(catalogue: Catalogue, width: int = 64, seed: int = 0) -> NDArray[np.float32] | None:
    """Unit vectors [I, width] by truncated SVD of the TF-IDF matrix; None where items have no content.

    The SVD brings words that occur together close, and makes the sum of a list's vectors cheap.
    An item without any content has the zero vector. A narrow vocabulary gives fewer columns.
    Deerwester et al. (1990), Indexing by Latent Semantic Analysis, JASIS 41(6).
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    from recsys_lab.data.features import content_matrix

    features = content_matrix(catalogue)
    if features.nnz == 0:
        return None
    if min(features.shape) <= width:
        dense: NDArray[np.float32] = features.toarray()
        return dense
    reduced = TruncatedSVD(width, random_state=seed).fit_transform(features)
    vectors: NDArray[np.float32] = normalize(reduced).astype(np.float32)
    return vectors
