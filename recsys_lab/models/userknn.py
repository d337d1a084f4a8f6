"""User-KNN: users who touched what the history holds say what else they touched.

Herlocker et al., "An algorithmic framework for performing collaborative filtering", SIGIR 1999, §5; shrinkage as in
Bell & Koren, "Scalable collaborative filtering", ICDM 2007, §3. The formula is with the code that scores,
``serving_min.users``.

Shapes: S users, I items, N touches.
"""

from __future__ import annotations

import numpy as np

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.sessions import SessionModel
from recsys_lab.models.weighting import Weighting, rarity, weighted
from serving_min.manifest import SessionIndex
from serving_min.sessions import Sessions
from serving_min.users import Users


class UserKNN(SessionModel):
    """The ``neighbours`` users of the greatest cosine with the history vote for their items, each with the cosine.

    ``shrinkage`` is added to the cosine's denominator: it holds down users who share little. ``counts`` says what a
    user's item counts, as in ``InteractionLog.matrix``, and ``weighting`` what becomes of it; a distinct item of the
    history counts once, times the same idf. A touch that weighs nothing, as of an item that everybody has under
    ``tfidf`` and ``bm25``, is left out, and so is a user left with a single item. Of each item's users, and of all
    found, only the ``recent`` latest are looked at (None: all), which bounds the time of an answer on a large log.

    A training user asked with their own history is their own nearest neighbour, who can only repeat what is in it.
    """

    def __init__(
        self,
        *,
        neighbours: int = 200,
        shrinkage: float = 0.0,
        counts: Counts = "binary",
        weighting: Weighting = "none",
        recent: int | None = None,
    ) -> None:
        for name, value in (("neighbours", neighbours), ("recent", recent)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}: {value} leaves no user; use 1 or more")
        if not 0 <= shrinkage < np.inf:
            raise ConfigError(f"shrinkage: {shrinkage} cannot be added to a product of lengths; use 0 or more")
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.counts: Counts = counts
        self.weighting: Weighting = weighting
        self.recent = recent

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        touches = train.matrix(self.counts)
        asks = np.ones(train.n_items) if self.weighting == "none" else rarity(touches)
        vectors = weighted(touches, self.weighting)
        users = np.flatnonzero(np.diff(vectors.indptr) > 1)
        users = users[np.argsort(train.times[train.offsets[users + 1] - 1], kind="stable")]
        vectors = vectors[users]
        self._use(
            {
                "offsets": vectors.indptr.astype(np.int64),
                "items": vectors.indices.astype(np.int32),
                "weights": np.ones(train.n_items, np.float32),
                "asks": asks.astype(np.float32),
                "values": vectors.data.astype(np.float32),
            }
        )

    def _index(self, tables: Arrays) -> Sessions:
        size, n_items = len(tables["offsets"]) - 1, len(tables["weights"])
        recent = self.recent or max(1, size)
        settings = SessionIndex(size, n_items, recent, self.neighbours, gap=None, shrinkage=float(self.shrinkage))
        past = Sessions.index(tables["offsets"], tables["items"], tables["weights"], self.candidates, settings)
        return Users.of(past, tables["asks"], tables["values"])
