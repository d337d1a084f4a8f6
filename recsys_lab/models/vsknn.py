"""V-SkNN over an inverted index (VMIS-kNN): past sessions like the running one say what comes next.

Ludewig & Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018, §3.3; Kersbergen, Sprangers &
Schelter, "Serenade", SIGMOD 2022, §3. The formula is with the code that scores, ``serving_min.sessions``.
"""

from __future__ import annotations

import numpy as np

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.cooccurrence import item_sets
from recsys_lab.models.sessions import SessionModel
from serving_min.manifest import SessionIndex
from serving_min.sessions import Sessions


class VSkNN(SessionModel):
    """The ``neighbours`` most similar of the ``recent`` latest sessions vote for their items.

    Of the running session the latest ``length`` distinct items ask; ``gap`` seconds of silence begin a new one
    (None: the whole history is one session). ``idf`` lets an item's vote grow with log(sessions / its sessions).
    Past sessions are the log's own, cut to their latest ``longest`` distinct items; those of one item say nothing.
    """

    def __init__(
        self,
        *,
        neighbours: int = 100,
        recent: int = 500,
        length: int = 10,
        gap: int | None = 1800,
        idf: bool = True,
        longest: int = 100,
    ) -> None:
        counts = {"neighbours": neighbours, "recent": recent, "length": length, "gap": gap, "longest": longest - 1}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name}: {value} is too small; use {2 if name == 'longest' else 1} or more")
        self.neighbours = neighbours
        self.recent = recent
        self.length = length
        self.gap = gap
        self.idf = idf
        self.longest = longest

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        sets = item_sets(train.sessions, train, longest=self.longest, least=2)
        weights = np.ones(train.n_items, np.float32)
        if self.idf:
            weights = np.log(max(1, len(sets)) / np.maximum(sets.counts(), 1)).astype(np.float32)
        self._use({"offsets": sets.offsets, "items": sets.items, "weights": weights})

    def _index(self, tables: Arrays) -> Sessions:
        settings = SessionIndex(len(tables["offsets"]) - 1, self.length, self.recent, self.neighbours, self.gap)
        return Sessions.index(tables["offsets"], tables["items"], tables["weights"], self.candidates, settings)
