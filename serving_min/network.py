"""A neural second stage: one ONNX graph that scores the candidates of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.ranking import Table


@dataclass(frozen=True)
class Network:
    """``session`` takes those of ``rows`` [1, C, F], ``items`` [1, C] and ``history`` [1, L] that ``inputs`` names, the
    latter being the latest ``max_length`` events, and gives ``score`` [1, C]."""

    session: Any
    inputs: tuple[str, ...]
    max_length: int

    def score(self, table: Table) -> NDArray[np.float32]:
        scores = [np.zeros(0, np.float32)]
        for given in table.given(self.max_length):  # alone, for a score must not depend on the batch
            if given["items"].size:
                scores.append(self.session.run(["score"], {name: given[name] for name in self.inputs})[0][0])
        return np.concatenate(scores)
