"""How the model's lists look on the export's queries, so that the server can tell when they change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.export.requests import to_requests
from serving_min.asks import Asked
from serving_min.drift import Reference, Spread, own_part
from serving_min.engine import Engine
from serving_min.messages import Request
from serving_min.queries import Queries
from serving_min.surfaces import RECOMMEND

K = 10  # of each list: what people see


def write_drift(engine: Engine, queries: Queries, catalogue: Catalogue, path: Path) -> None:
    """``drift.json``, unless the model has no opinion on any of ``queries``."""
    found = []
    for _, block in queries.batches(256):
        bodies = to_requests(block, catalogue, engine.bundle.manifest.history)
        asked = [Asked(msgspec.convert({**body, "k": K}, Request), RECOMMEND) for body in bodies]
        found += [own for served in engine.answer(asked) if (own := own_part(served)) is not None]
    if not found:
        return
    codes = np.concatenate([codes[:K] for codes, _ in found])
    scores = np.concatenate([scores[:K] for _, scores in found])
    popularity = engine.bundle.popularity[codes]
    reference = Reference(K, len(found), Spread.of(scores), Spread.of(popularity), len(np.unique(codes)))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(reference), indent=2) + b"\n")
