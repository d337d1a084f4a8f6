"""Sessions: in each round every user who is still there views one item, until the period is over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.shop.choice import Choice, Ints
from recsys_lab.data.shop.crowd import Crowd
from recsys_lab.data.shop.habits import Habits, Reason


@dataclass(frozen=True)
class Visits:
    """V views, each user's in the order of time. Sessions are numbered per user."""

    user: Ints
    session: Ints
    item: Ints
    time: Ints  # epoch seconds
    stay: Ints  # seconds spent, 6 at least
    carted: NDArray[np.bool_]
    paid: NDArray[np.bool_]  # bought when the session ended
    reason: Ints


def browse(choice: Choice, habits: Habits, n_events: int) -> Visits:
    """Simulate the period; about ``n_events`` events come of it."""
    shoppers, hours, rng = choice.shoppers, choice.hours, choice.rng
    crowd = Crowd(choice, habits, n_events / habits.events_per_session)
    bonus = np.array(habits.cart_bonus)
    users = np.arange(len(shoppers))
    chances = np.zeros((len(users), len(Reason)))
    rounds = []
    while len(users):
        now = crowd.now[users]
        drawn = (rng.random((len(users), 1)) >= np.cumsum(chances, axis=1)).sum(axis=1)
        item, reason = crowd.pick(users, np.minimum(drawn, Reason.FRESH))
        odds = habits.cart_odds + habits.cart_liking * choice.preference(users, now, item) + bonus[reason]
        carted = rng.random(len(users)) < 1 / (1 + np.exp(-odds))
        stay = 6 + rng.exponential(45, len(users)).astype(np.int64)
        paid = carted & crowd.buying[users]
        rounds.append((users, crowd.session[users], item, now, stay, carted, paid, reason))
        crowd.remember(users, item, reason, carted)

        crowd.now[users] += stay
        leaves = rng.random(len(users)) < shoppers.leaving[users]
        chances = np.empty((len(users), len(Reason)))
        chances[leaves], chances[~leaves] = crowd.leave(users[leaves]), crowd.stay(users[~leaves])
        open_still = crowd.now[users] < hours.end
        users, chances = users[open_still], chances[open_still]
    return Visits(*(np.concatenate(column) for column in zip(*rounds, strict=True)))
