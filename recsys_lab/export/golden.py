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
from serving_min.messages import MOST_EVENTS, Golden, Request
from serving_min.queries import Queries
from serving_min.surfaces import RECOMMEND

TYPICAL = 8


def write_golden(engine: Engine, queries: Queries, catalogue: Catalogue, path: Path) -> None:
    """Some twenty requests made from the first of ``queries`` that have a history, answered by ``engine``.

    Every request says when it is asked, and has an id, so that the answers never change.
    """
    lines = []
    asked = [(RECOMMEND, request) for request in golden_requests(engine, queries, catalogue)]
    asked += _of_surfaces(engine, queries, catalogue)
    for number, (surface, body) in enumerate(asked):
        request = msgspec.json.encode({**body, "request_id": f"golden-{number}"})
        answer = msgspec.json.encode(engine.recommend([msgspec.json.decode(request, type=Request)], surface)[0])
        lines.append(msgspec.json.encode(Golden(msgspec.Raw(request), msgspec.Raw(answer), surface)))
    path.write_bytes(b"\n".join(lines) + b"\n")


def _of_surfaces(engine: Engine, queries: Queries, catalogue: Catalogue) -> list[tuple[str, dict[str, Any]]]:
    """One request to each of the other surfaces, with all that any of them needs."""
    one = to_requests(queries.take(np.flatnonzero(queries.lengths > 0)[:1]), catalogue, engine.bundle.manifest.history)
    ids = [event["item"] for event in one[0]["history"]]
    found = [shown.id for shown in engine.recommend([msgspec.convert({**one[0], "k": 5}, Request)])[0].items]
    body = {**one[0], "item": ids[-1], "cart": ids[-2:], "items": [*found, "no such item"], "liked": {"items": ids[:1]}}
    asked = [(name, body) for name in sorted(engine.bundle.surfaces) if name != RECOMMEND]
    return asked + _of_segments(engine, one[0]["now"])


def _of_segments(engine: Engine, now: int) -> list[tuple[str, dict[str, Any]]]:
    """A newcomer of the first segment, on each surface that has something to say to them."""
    for column, value in engine.bundle.segments.tables:
        name, values = engine.bundle.manifest.history.attributes[column]
        body = {"history": [], "user": {name: values[value]}, "now": now}
        return [(name, body) for name, surface in sorted(engine.bundle.surfaces.items()) if surface.by_segment]
    return []


def golden_requests(engine: Engine, queries: Queries, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Typical histories, and what a client may vary: length, ids, k, exclusions, filters, the user."""
    some = queries.take(np.flatnonzero(queries.lengths > 0)[:TYPICAL]).last(MOST_EVENTS - 1)  # room for a stranger
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
    """Filters on what the shop has, each of which lets something through; without a ``best`` item on less of it."""
    filters: list[dict[str, Any]] = [{"available": True}]
    for name in (columns.CATEGORY, columns.BRAND):
        labels = catalogue.strings(name)[[catalogue.codes[item] for item in best[:1]]]
        filters += [{name: [label]} for label in labels if label]
    prices = catalogue.numbers(columns.PRICE)
    if not np.isnan(prices).all():
        middle = float(np.nanmedian(prices))
        filters += [{"price": {"max": middle}}, {"price": {"min": middle}}]
    return filters
