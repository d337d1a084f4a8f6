"""What surfaces name and the data do not have: such a rule does nothing, or lets nothing through, in silence."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from serving_min.content import categories_in
from serving_min.surfaces import Surface

LOG = logging.getLogger(__name__)
SHOWN = 5  # wrong names in one warning, and right ones where there are no more
MOST_COMPARED = 20_000  # names that a wrong one is compared with; a million take seconds
CALLED = {
    columns.ITEM: "items",
    columns.CATEGORY: "categories",
    columns.BRAND: "brands",
    columns.MARKET: "markets",
    columns.EVENT: "kinds of events",
}


def warn_of_unknown_names(surfaces: Mapping[str, Surface], catalogue: Catalogue, events: Sequence[str]) -> None:
    """A warning for each setting that names items, categories, brands, markets or kinds of ``events`` that there are
    not, with what may have been meant. It is no error, since items may come later.

    Where all events are of one kind, none is missed.
    """
    known: dict[str, Collection[str]] = {columns.ITEM: catalogue.codes, columns.EVENT: events}
    for surface, settings in surfaces.items():
        for setting, column, names in _named(settings):
            if not names or (column == columns.EVENT and len(events) < 2):
                continue
            if column not in known:
                known[column] = _labels(catalogue, column)
            if unknown := [name for name in dict.fromkeys(names) if name not in known[column]]:
                told = _told(unknown, known[column])
                LOG.warning("surface %s: %s names %s that are not there: %s", surface, setting, CALLED[column], told)


def _named(surface: Surface) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Each setting, the column that it is about, and the values that it names."""
    rules = surface.rules
    yield "events", columns.EVENT, surface.events
    yield "rules.pins", columns.ITEM, [pin.item for pin in rules.pins]
    for field, column in (("item", columns.ITEM), ("category", columns.CATEGORY), ("brand", columns.BRAND)):
        named = [getattr(boost, field) for boost in rules.boosts]
        yield "rules.boosts", column, [name for name in named if name is not None]
    for column in (columns.CATEGORY, columns.BRAND):
        for field in (column, f"not_{column}"):
            yield f"rules.filters.{field}", column, getattr(rules.filters, field) or []
    yield "rules.filters.market", columns.MARKET, [] if rules.filters.market is None else [rules.filters.market]


def _labels(catalogue: Catalogue, column: str) -> set[str]:
    """The column's values, and the parts of those that name several."""
    values = {str(value) for value in catalogue.strings(column)} - {""}
    return values.union(*map(categories_in, values))


def _told(unknown: Sequence[str], known: Collection[str]) -> str:
    alike = {name.casefold(): name for name in known} if len(known) <= MOST_COMPARED else {}
    told = []
    for name in unknown[:SHOWN]:
        near = get_close_matches(name.casefold(), alike, n=1)
        told.append(f"{name!r} (did you mean {alike[near[0]]!r}?)" if near else repr(name))
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    there = f"; there are {', '.join(sorted(known))}" if 0 < len(known) <= SHOWN else ""
    return ", ".join(told) + more + there
