"""The users' state of mind: what each did last, wants next, and when it will be back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.shop.choice import Choice, Ints
from recsys_lab.data.shop.habits import Habits, Reason
from recsys_lab.data.shop.opening_hours import DAY, HOUR
from recsys_lab.data.shop.vocabulary import GOES_WITH, SHELVES

NOTHING = -1
ERRANDS = 6  # consumables that a user keeps in mind
CYCLE = np.array([shelf.cycle for shelf in SHELVES])
COMPLEMENT_SHELF = np.array(GOES_WITH)


class Crowd:
    """Arrays over the U users, changed in place; methods take the N users that act now."""

    def __init__(self, choice: Choice, habits: Habits, n_sessions: float) -> None:
        self.choice, self.habits, self.rng = choice, habits, choice.rng
        shoppers, hours = choice.shoppers, choice.hours
        U = len(shoppers)
        self.now = shoppers.first_visit.copy()
        self.session = np.zeros(U, np.int64)
        self.item = np.full(U, NOTHING)  # last viewed
        self.buying = self.rng.random(U) < habits.buying_session
        self.carted = np.full(U, NOTHING)  # what a complement is still wanted for
        self.paid = np.zeros(U, np.bool_)  # … and whether it will be bought in this session
        self.due = np.full((U, ERRANDS), np.inf)  # when a consumable is used up; inf = free slot
        self.due_item = np.full((U, ERRANDS), NOTHING)
        left = np.diff(hours.busy_time(np.stack([self.now, np.full(U, hours.end)])), axis=0)[0]
        self.pace = shoppers.activity * (n_sessions - U) / (shoppers.activity * left).sum()  # sessions per busy day

    def leave(self, users: Ints) -> NDArray[np.float64]:
        """End these users' sessions and go to their next visits: the chance of each reason there, [N, 6]."""
        hours, habits = self.choice.hours, self.habits
        before = self.now[users]
        pause = self.rng.exponential(1 / self.pace[users])
        at_leisure = hours.clock_time(hours.busy_time(before + HOUR) + pause)
        errand = self.due[users].min(axis=1)
        restock = errand < at_leisure
        self.now[users] = np.where(restock, np.maximum(errand, before + HOUR), at_leisure).astype(np.int64)
        self.session[users] += 1
        self.carted[users[~self.paid[users]]] = NOTHING  # what was paid is remembered for one more session
        self.paid[users] = False
        self.buying[users] = restock | (self.rng.random(len(users)) < habits.buying_session)

        fade = np.exp(-(self.now[users] - before) / DAY / habits.memory_days)
        return self._chances(
            users,
            restock,
            habits.complement_later,
            habits.next_step_at_start * fade,
            habits.return_at_start * fade,
            habits.substitute_at_start * fade,
        )

    def stay(self, users: Ints) -> NDArray[np.float64]:
        """The chance of each reason for one more view in the session, [N, 6]."""
        habits = self.habits
        return self._chances(users, 0.0, habits.complement, habits.next_step, 0.0, habits.substitute)

    def pick(self, users: Ints, reason: Ints) -> tuple[Ints, Ints]:
        """The item that each user views now, and the reason; what is not on sale is substituted."""
        stock, now, last = self.choice.assortment, self.now[users], self.item[users]
        slot = self.due[users].argmin(axis=1)
        item = np.select(
            [reason == Reason.RESTOCK, reason == Reason.NEXT_STEP, reason == Reason.RETURN],
            [self.due_item[users, slot], stock.successor[last], last],
            NOTHING,
        )
        restocked = reason == Reason.RESTOCK
        self.due[users[restocked], slot[restocked]] = np.inf

        gone = (item != NOTHING) & ~stock.on_sale(item, now)
        reason = np.where(gone, Reason.SUBSTITUTE, reason)
        source = self.carted[users]
        complement = reason == Reason.COMPLEMENT
        shelf = np.where(complement, COMPLEMENT_SHELF[stock.shelf[source]], stock.shelf[np.where(gone, item, last)])
        fresh = np.flatnonzero(reason == Reason.FRESH)
        shelf[fresh] = self.choice.shelf(users[fresh], now[fresh])
        open_choice = np.flatnonzero((item == NOTHING) | gone)
        brand = np.where(complement, stock.brand[source], NOTHING)
        item[open_choice] = self.choice.item(
            users[open_choice],
            now[open_choice],
            shelf[open_choice],
            brand=brand[open_choice],
            besides=last[open_choice],
        )
        return item, reason

    def remember(self, users: Ints, item: Ints, reason: Ints, carted: NDArray[np.bool_]) -> None:
        """Keep the view in mind: a complement to find, a consumable that will be used up."""
        shelf = self.choice.assortment.shelf[item]
        paid = carted & self.buying[users]
        self.carted[users[reason == Reason.COMPLEMENT]] = NOTHING
        wanting = carted & (COMPLEMENT_SHELF[shelf] != NOTHING)
        self.carted[users[wanting]] = item[wanting]
        self.paid[users[wanting]] = paid[wanting]
        self.item[users] = item

        again = paid & (CYCLE[shelf] > 0) & (self.rng.random(len(users)) < self.habits.restocks)
        users, item, shelf = users[again], item[again], shelf[again]
        lasts = CYCLE[shelf] * np.exp(self.habits.cycle_spread * self.rng.standard_normal(len(users)))
        same = self.due_item[users] == item[:, None]
        slot = np.where(same.any(axis=1), same.argmax(axis=1), self.due[users].argmax(axis=1))
        self.due[users, slot] = self.now[users] + lasts * DAY
        self.due_item[users, slot] = item

    def _chances(self, users: Ints, *chances: NDArray[np.float64] | NDArray[np.bool_] | float) -> NDArray[np.float64]:
        """Chances in the order of Reason; an occasion that a user does not have has none."""
        table = np.zeros((len(users), len(Reason)))
        for reason, chance in zip(Reason, chances, strict=False):  # all but FRESH, which takes the rest
            table[:, reason] = chance
        table[:, Reason.COMPLEMENT] *= self.carted[users] != NOTHING
        table[:, Reason.NEXT_STEP] *= self.choice.assortment.successor[self.item[users]] != NOTHING
        return table
