"""Content: items whose catalogue entries read alike, for histories of any items, cold ones too.

TF-IDF and labels as in ``data/features.py``, reduced by latent semantic analysis (Deerwester et
al., "Indexing by latent semantic analysis", JASIS 1990) so that vectors are dense and short; beside them
stand, where there are any, the sentence embedding of the texts and the image's vector.
Shapes: I items, D dimensions, B batch, T padded length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.features import content_matrix
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.text_vectors import catalogue_texts
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.base import Arrays, VectorModel
from serving_min.content import unit

if TYPE_CHECKING:
    from recsys_lab.nn.recency_mean import RecencyMean


class Content(VectorModel):
    """The cosine between an item and the recency-weighted mean of the history's items.

    An event's weight halves with every ``half_life_events`` after it. Nothing is learned from
    the log but the fallback, so an item that nobody touched is recommended like any other; only
    items without any content are no candidates. ``fit`` raises ModelError when all are.

    A weight is the length of its part where that of the words is 1. ``text_model`` is the folder of a
    sentence embedding model as ``data/text_vectors.py`` reads it; without one such vectors may stand in the catalogue's
    column ``text_vector``, as those of images do in ``image_vector``.
    """

    vectors: NDArray[np.float32]  # [I, D], unit or zero rows

    def __init__(
        self,
        *,
        dimensions: int = 256,
        half_life_events: float = 20.0,
        max_history: int = 100,
        max_features: int = 20_000,
        category_weight: float = 0.7,
        brand_weight: float = 0.5,
        price_weight: float = 0.3,
        price_buckets: int = 10,
        text_model: str | None = None,
        text_vector_weight: float = 1.0,
        image_weight: float = 0.5,
        seed: int = 42,
    ) -> None:
        for name, value in (
            ("dimensions", dimensions),
            ("half_life_events", half_life_events),
            ("max_history", max_history),
            ("max_features", max_features),
            ("price_buckets", price_buckets),
        ):
            if not value > 0:
                raise ConfigError(f"{name}: {value} cannot work; use a positive number")
        self.dimensions = dimensions
        self.half_life_events = half_life_events
        self.max_history = max_history
        self.max_features = max_features
        self.category_weight = category_weight
        self.brand_weight = brand_weight
        self.price_weight = price_weight
        self.price_buckets = price_buckets
        self.text_model = text_model
        self.text_vector_weight = text_vector_weight
        self.image_weight = image_weight
        self.seed = seed

    def item_vectors(self) -> NDArray[np.float32]:
        return self.vectors

    def query_module(self) -> RecencyMean:
        from recsys_lab.nn.recency_mean import RecencyMean

        return RecencyMean(self.vectors, half_life=self.half_life_events)

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        self.vectors = unit(
            np.concatenate(
                [
                    self._words_and_labels(catalogue),
                    self.text_vector_weight * catalogue_texts(catalogue, self.text_model),
                    self.image_weight * unit(catalogue.vectors(columns.IMAGE_VECTOR)),
                ],
                axis=1,
            )
        )
        self.candidates = (self.vectors != 0).any(axis=1)
        if not self.candidates.any():
            raise ModelError(
                "content: no item has a title, text, category, brand or price, nor a text_vector or image_vector; "
                "map one of these columns in the data source, or leave this model out"
            )

    def _words_and_labels(self, catalogue: Catalogue) -> NDArray[np.float32]:
        from sklearn.decomposition import TruncatedSVD

        content = content_matrix(
            catalogue,
            max_features=self.max_features,
            category_weight=self.category_weight,
            brand_weight=self.brand_weight,
            price_weight=self.price_weight,
            price_buckets=self.price_buckets,
        )
        if min(content.shape) <= self.dimensions:
            return unit(content.toarray())
        return unit(TruncatedSVD(self.dimensions, random_state=self.seed).fit_transform(content))

    def _arrays(self) -> Arrays:
        return {"vectors": self.vectors}

    def _restore(self, arrays: Arrays) -> None:
        self.vectors = arrays["vectors"]
