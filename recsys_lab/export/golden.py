"""``golden.jsonl``: requests of every kind, each with the exact bytes of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.export.requests import to_requests
from serving_min.engine import Engine
from serving_min.messages import Golden, Request
from serving_min.queries import Queries

TYPICAL = 8


def write_golden(engine: Engine, queries: Queries, catalogue: Catalogue, path: Path) -> None:
    """Some twenty requests made from the first of ``queries`` that have a history, answered by ``engine``.

    Every request says when it is asked, and has an id, so that the answers never change.
    """
    lines = []
    for number, asked in enumerate(golden_requests(engine, queries, catalogue)):
        request = msgspec.json.encode({**asked, "request_id": f"golden-{number}"})
        answer = engine.recommend([msgspec.json.decode(request, type=Request)])[0]
        lines.append(msgspec.json.encode(Golden(msgspec.Raw(request), msgspec.Raw(msgspec.json.encode(answer)))))
    path.write_bytes(b"\n".join(lines) + b"\n")


def golden_requests(engine: Engine, queries: Queries, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Typical histories, and what a client may vary: length, ids, k, exclusions, filters, the user."""
    some = queries.take(np.flatnonzero(queries.lengths > 0)[:TYPICAL])
    typical = to_requests(some, catalogue, engine.bundle.manifest.history)
    one = typical[0]
    now, history = one["now"], one["history"]
    ids = [event["item"] for event in history]
    stranger = {**history[0], "item": "no such item"}
    best = [shown.id for shown in engine.recommend([msgspec.convert(one, Request)])[0].items]
    return [
        *typical,
        {"history": [], "now": now},
        {"history": ids[-1:], "now": now},
        {"history": ids, "now": now},
        {"history": [stranger, *history], "now": now},
        {"history": [stranger], "now": now},
        {**one, "k": 1},
        {**one, "k": 50},
        {**one, "exclude": best[:3]},
        {**one, "exclude_seen": False},
        {**one, "exclude_seen": True},
        *({**one, "filters": filters} for filters in _filters(catalogue, best)),
    ]


def _filters(catalogue: Catalogue, best: list[str]) -> list[dict[str, Any]]:
    """Filters on what the shop has, each of which lets something through."""
    code = catalogue.codes[best[0]]
    filters: list[dict[str, Any]] = [{"available": True}]
    for name in (columns.CATEGORY, columns.BRAND):
        value = catalogue.strings(name)[code]
        if value:
            filters.append({name: [value]})
    prices = catalogue.numbers(columns.PRICE)
    if not np.isnan(prices).all():
        middle = float(np.nanmedian(prices))
        filters += [{"price": {"max": middle}}, {"price": {"min": middle}}]
    return filters
