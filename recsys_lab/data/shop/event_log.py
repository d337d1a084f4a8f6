"""From visits to the shop's event log: views, carts, and purchases as the session ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.behaviour import Visits
from recsys_lab.data.shop.choice import Ints

EVENTS = ("view", "cart", "purchase")
VIEW, CART, PURCHASE = range(3)
PAYING = 30  # seconds between the last view and the purchase


def write_log(visits: Visits, end: int) -> tuple[pd.DataFrame, Ints]:
    """The events before ``end`` in the order of time, ids still being codes, and the view behind each.

    A cart falls into the stay at its view. What is paid in a session is one basket, bought at one
    time; an item that was put in the cart twice is one purchase with ``value`` 2.
    """
    session = number_sessions(visits)
    leaving = np.zeros(session.max() + 1, np.int64)
    np.maximum.at(leaving, session, visits.time + visits.stay)
    viewed, carted = np.arange(len(session)), np.flatnonzero(visits.carted)
    paid = np.flatnonzero(visits.paid)
    _, first, quantity = np.unique(
        np.stack([session[paid], visits.item[paid]]), axis=1, return_index=True, return_counts=True
    )
    paid = paid[first]

    view = np.concatenate([viewed, carted, paid])
    kind = np.repeat([VIEW, CART, PURCHASE], [len(viewed), len(carted), len(paid)])
    time = np.concatenate([visits.time, (visits.time + visits.stay // 2)[carted], leaving[session[paid]] + PAYING])
    value = np.concatenate([np.ones(len(viewed) + len(carted)), quantity])
    order = np.lexsort((kind, view, time))
    order = order[time[order] < end]
    view, kind = view[order], kind[order]
    log = pd.DataFrame(
        {
            "user": visits.user[view],
            "item": visits.item[view],
            columns.TIME: time[order],
            columns.EVENT: np.array(EVENTS, dtype=object)[kind],
            columns.VALUE: value[order],
            "session": session[view],
            "basket": np.where(kind == PURCHASE, session[view], -1),
        }
    )
    return log, view


def number_sessions(visits: Visits) -> Ints:
    """Session number of each view, [V], in the order in which the sessions began."""
    _, first, session = np.unique(
        np.stack([visits.user, visits.session]), axis=1, return_index=True, return_inverse=True
    )
    begins = visits.time[first]  # a user's views lie in the order of time
    numbers: NDArray[np.int64] = np.argsort(np.lexsort((first, begins)))
    return numbers[session]
