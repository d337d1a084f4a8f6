"""What a log and a catalogue tell a ranker about each item."""

from __future__ import annotations

import numpy as np

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.models.base import recent_popularity
from serving_min.features import HALF_LIVES, NEVER, ItemFacts
from serving_min.recency import SECONDS_PER_DAY

PRIOR = 5.0  # buyers whom every item is credited with, who come back as often as all do


def item_facts(log: InteractionLog, catalogue: Catalogue) -> ItemFacts:
    """Nothing later than the log is known, so a model fitted at a cutoff sees what it saw then."""
    first, last = np.full(log.n_items, np.iinfo(np.int64).max), np.full(log.n_items, -1, np.int64)
    np.minimum.at(first, log.items, log.times)
    np.maximum.at(last, log.items, log.times)
    first[last < 0] = -1

    # one row for each moment of a user with an item, ordered by user, item and time
    order = np.lexsort((log.times, log.items, log.users))
    users, items, times = log.users[order], log.items[order], log.times[order]
    same = (np.diff(users) == 0) & (np.diff(items) == 0)
    later = same & (np.diff(times) > 0)
    buyers = np.bincount(items[np.append(True, ~same)], minlength=log.n_items)
    pairs = users[1:][later].astype(np.int64) * log.n_items + items[1:][later]
    returned = np.bincount(np.unique(pairs) % log.n_items, minlength=log.n_items)
    returns = np.bincount(items[1:][later], minlength=log.n_items)
    waited = np.bincount(items[1:][later], np.diff(times)[later] / SECONDS_PER_DAY, log.n_items)
    usual = returned.sum() / max(1, buyers.sum())
    return ItemFacts(
        popularity=np.column_stack([recent_popularity(log, half_life_days=days) for days in HALF_LIVES]),
        first=first,
        last=last,
        buyers=buyers.astype(np.float32),
        again=((returned + PRIOR * usual) / (buyers + PRIOR)).astype(np.float32),
        gap=np.where(returns > 0, waited / np.maximum(returns, 1), NEVER).astype(np.float32),
        price=np.nan_to_num(catalogue.numbers(columns.PRICE)).astype(np.float32),
    )
