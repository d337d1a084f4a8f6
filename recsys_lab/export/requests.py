"""Queries as a shop would send them: ids, names and seconds instead of codes."""

from __future__ import annotations

from typing import Any

from recsys_lab.data.catalogue import Catalogue
from serving_min.manifest import History
from serving_min.messages import MOST_EVENTS
from serving_min.queries import Queries


def to_requests(queries: Queries, catalogue: Catalogue, vocabulary: History) -> list[dict[str, Any]]:
    """The body of ``POST /v1/recommend`` for each query, with its history, ``user`` and ``now``.

    No request may hold more than 10,000 events; of longer histories it has the latest.
    """
    queries = queries.last(MOST_EVENTS)
    requests = []
    for row, (start, end) in enumerate(zip(queries.offsets[:-1], queries.offsets[1:], strict=True)):
        history = [
            {
                "item": str(catalogue.ids[queries.items[place]]),
                "event": vocabulary.events[queries.events[place]],
                "time": int(queries.times[place]),
            }
            for place in range(start, end)
        ]
        user = {
            name: values[code]
            for (name, values), code in zip(vocabulary.attributes, queries.attributes[row], strict=True)
            if code > 0
        }
        requests.append({"history": history, "user": user, "now": int(queries.now[row])})
    return requests
