"""What models share that answer from past sessions or users: one index, in the lab and in the server."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from recsys_lab.models.base import Arrays, Recommender
from serving_min.queries import Queries
from serving_min.sessions import Sessions


class SessionModel(Recommender):
    """``_fit`` ends with ``_use(tables)``: the arrays of ``sessions.npz``, as ``export/README.md`` describes them."""

    kind = "sessions"

    tables: Arrays
    sessions: Sessions

    @abstractmethod
    def _index(self, tables: Arrays) -> Sessions:
        """The tables made ready to be asked with the model's settings."""

    def score(self, queries: Queries) -> NDArray[np.float32]:
        scores = np.full((len(queries), len(self.candidates)), -np.inf, np.float32)
        for row, running in enumerate(self.sessions.running(queries)):
            codes, opinions = self.sessions.opinions(running)
            scores[row, codes] = opinions
        return scores

    def _use(self, tables: Arrays) -> None:
        self.tables = tables
        self.sessions = self._index(tables)

    def _arrays(self) -> Arrays:
        return self.tables

    def _restore(self, arrays: Arrays) -> None:
        self._use(arrays)
