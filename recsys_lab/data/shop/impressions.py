"""What the shop's own recommender showed, with exact propensities, and what was clicked.

The logging policy is known: each week it counts the events of the four weeks before, and gives
item i the weight ``(1 - EXPLORATION) * softmax(SHARPNESS * log(1 + count))_i + EXPLORATION / items on
sale``. A page of ``POSITIONS`` places is filled from the top by drawing from these weights without
replacement (Plackett–Luce; Luce 1959, Plackett 1975). The logged propensity is the probability of the item at
its place given the ones above it. A click needs that the place is examined and that the user likes
the item (the position-based model; Richardson et al. 2007). Clicks are not part of the event log.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.assortment import Assortment
from recsys_lab.data.shop.choice import Choice, Ints
from recsys_lab.data.shop.opening_hours import DAY, START

WEEK = 7 * DAY
POSITIONS: Final = 6
EXPLORATION, SHARPNESS = 0.2, 0.7
REQUEST_SHARE = 0.5  # of the sessions, a page is shown as they begin
EXAMINATION: Final = {  # by place, from the top
    "home_desktop": (0.95, 0.8, 0.66, 0.54, 0.45, 0.38),
    "home_mobile": (0.9, 0.62, 0.44, 0.32, 0.23, 0.17),
}
SURFACES: Final = tuple(EXAMINATION)
CLICK_ODDS, CLICK_LIKING = -2.6, 1.1  # log-odds of a click on an examined item of average liking


def weights_by_week(stock: Assortment, items: Ints, times: Ints, n_weeks: int) -> NDArray[np.float64]:
    """The policy's weights, [weeks, I], each row a distribution; items not on sale as the week begins have 0."""
    week = (times - START) // WEEK
    counts = np.zeros((n_weeks, len(stock)))
    np.add.at(counts, (week, items), 1)
    begins = START + np.arange(n_weeks)[:, None] * WEEK
    on_sale = stock.on_sale(np.arange(len(stock))[None, :], begins)
    total = np.cumsum(counts, axis=0)
    recent = np.zeros_like(counts)
    recent[1:] = total[:-1]
    recent[5:] -= total[:-5]
    popular = np.where(on_sale, (1 + recent) ** SHARPNESS, 0.0)
    popular /= popular.sum(axis=1, keepdims=True)
    weights: NDArray[np.float64] = (1 - EXPLORATION) * popular + EXPLORATION * on_sale / on_sale.sum(
        axis=1, keepdims=True
    )
    return weights


def draw_pages(weights: NDArray[np.float64], week: Ints, rng: np.random.Generator) -> tuple[Ints, NDArray[np.float64]]:
    """Items and their propensities for requests in the given weeks, both [R, POSITIONS]."""
    items = np.empty((len(week), POSITIONS), np.int64)
    propensities = np.empty((len(week), POSITIONS))
    for this in np.unique(week):
        rows = np.flatnonzero(week == this)
        edges = np.cumsum(weights[this])
        left = np.ones(len(rows))  # weight of the items not yet shown
        for place in range(POSITIONS):
            drawn = np.empty(len(rows), np.int64)
            wanting = np.arange(len(rows))
            while len(wanting):  # redrawing what is above already is drawing from the rest
                drawn[wanting] = np.searchsorted(edges, rng.random(len(wanting)) * edges[-1], side="right")
                above = items[rows[wanting], :place]
                wanting = wanting[(above == drawn[wanting, None]).any(axis=1)]
            items[rows, place] = drawn
            propensities[rows, place] = weights[this, drawn] / left
            left -= weights[this, drawn]
    return items, propensities


def attraction(choice: Choice, users: Ints, times: Ints, items: Ints) -> NDArray[np.float64]:
    """Probability of a click once the item is examined, [N]."""
    return 1 / (1 + np.exp(-CLICK_ODDS - CLICK_LIKING * choice.liking(users, times, items)))


def show_pages(choice: Choice, log: pd.DataFrame) -> pd.DataFrame:
    """The impression log that goes with an event log, ids still being codes."""
    starts = log.drop_duplicates("session")
    starts = starts[choice.rng.random(len(starts)) < REQUEST_SHARE]
    users, times = starts["user"].to_numpy(), starts[columns.TIME].to_numpy()
    n_weeks = -(-choice.hours.days // 7)
    weights = weights_by_week(choice.assortment, log["item"].to_numpy(), log[columns.TIME].to_numpy(), n_weeks)
    items, propensities = draw_pages(weights, (times - START) // WEEK, choice.rng)

    request = np.repeat(np.arange(len(users)), POSITIONS)
    place = np.tile(np.arange(POSITIONS), len(users))
    surface = choice.shoppers.mobile[users[request]].astype(np.int64)
    examined = np.array([EXAMINATION[name] for name in SURFACES])[surface, place]
    likely = examined * attraction(choice, users[request], times[request], items.ravel())
    return pd.DataFrame(
        {
            "request": request,
            "user": users[request],
            columns.TIME: times[request],
            "surface": np.array(SURFACES, dtype=object)[surface],
            "position": place + 1,
            "item": items.ravel(),
            "propensity": propensities.ravel(),
            "clicked": choice.rng.random(len(request)) < likely,
        }
    )
