"""What in a data set deserves a second look before anybody trusts a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset

MOST_TIES = 0.05  # share of events in the same second as another of their user
MOST_EVENTS_A_DAY = 1_000  # of a human
FEWEST_ITEMS = 50
MOST_SINGLES = 0.5  # share of users with one event
MOST_OF_ONE_ITEM = 0.2  # share of events
MOST_DROPPED = 0.2  # share of rows that preparation dropped
FEWEST_DAYS = 56  # two windows of four weeks: validation and test
DAY = 86_400


def warnings(dataset: Dataset) -> tuple[str, ...]:
    """One sentence for everything that is out of the ordinary, with its number."""
    found = (*_order(dataset), *_users(dataset), *_items(dataset), *_rows(dataset))
    return tuple(sentence for sentence in found if sentence)


def _order(dataset: Dataset) -> list[str]:
    log = dataset.log
    if dataset.order_only:
        return ["the log has an order and no clock: only leave-one-out splits fit"]
    same = (np.diff(log.users) == 0) & (np.diff(log.times) == 0)
    tied = int(np.count_nonzero(np.append(same, False) | np.append(False, same)))
    days = (int(log.times.max()) - int(log.times.min())) / DAY
    return [
        f"{_share(tied, len(log))} of the events share user and second with another: their order is only the file's"
        if tied > MOST_TIES * len(log)
        else "",
        f"the log spans {days:.1f} days: too short for two windows of 28 days" if days < FEWEST_DAYS else "",
    ]


def _users(dataset: Dataset) -> list[str]:
    log = dataset.log
    lengths = np.diff(log.offsets)
    singles, users = int((lengths == 1).sum()), int((lengths > 0).sum())
    found = [
        f"{_share(singles, users)} of the users have a single event: nothing to learn from or to ask about"
        if singles > MOST_SINGLES * users
        else ""
    ]
    if not dataset.order_only:
        busy = len(np.unique(log.users[_busy_days(dataset)]))
        found.append(f"{busy:,} users have more than {MOST_EVENTS_A_DAY:,} events in one day: robots?" if busy else "")
    return found


def _busy_days(dataset: Dataset) -> NDArray[np.int64]:
    """A row of the log for each user and day with too many events."""
    log = dataset.log
    begins = np.flatnonzero(np.append(True, (np.diff(log.users) != 0) | (np.diff(log.times // DAY) != 0)))
    lengths = np.diff(np.append(begins, len(log)))
    return begins[lengths > MOST_EVENTS_A_DAY]


def _items(dataset: Dataset) -> list[str]:
    log, catalogue = dataset.log, dataset.catalogue
    counts = log.item_counts()
    seen, top = int((counts > 0).sum()), int(counts.max())
    text = np.zeros(len(catalogue), np.bool_)
    for name in (columns.TITLE, columns.TEXT, columns.CATEGORY):
        text |= catalogue.strings(name) != ""
    bare = int((~text).sum())
    early = int((log.times < catalogue.numbers(columns.AVAILABLE_FROM)[log.items]).sum())
    return [
        f"only {seen:,} items have events: any model looks good on so few" if seen < FEWEST_ITEMS else "",
        f"{_share(top, len(log))} of the events are on one item, {catalogue.ids[counts.argmax()]!r}"
        if top > MOST_OF_ONE_ITEM * len(log) and seen > 1
        else "",
        f"{_share(bare, len(catalogue))} of the items have no title, text or category: content models cannot tell them"
        if bare
        else "",
        f"{early:,} events come before their item's available_from" if early else "",
    ]


def _rows(dataset: Dataset) -> list[str]:
    steps = [step for step in dataset.lineage.steps if step.table == "events"]
    dropped = sum(step.dropped for step in steps)
    if not steps or dropped <= MOST_DROPPED * steps[0].rows_in:
        return []
    return [f"preparation dropped {_share(dropped, steps[0].rows_in)} of the rows"]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"
