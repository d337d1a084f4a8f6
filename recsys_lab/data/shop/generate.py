"""The shop from its settings: items, users, what they did, what they were shown, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.shop.assortment import ITEM_ID, Assortment, stock
from recsys_lab.data.shop.behaviour import browse
from recsys_lab.data.shop.choice import IN_SIGHT, ITEM_TASTE, SHELF_TASTE, Choice
from recsys_lab.data.shop.event_log import write_log
from recsys_lab.data.shop.habits import Habits, Reason
from recsys_lab.data.shop.impressions import (
    CLICK_LIKING,
    CLICK_ODDS,
    EXAMINATION,
    EXPLORATION,
    REQUEST_SHARE,
    SHARPNESS,
    show_pages,
)
from recsys_lab.data.shop.opening_hours import BY_HOUR, BY_WEEKDAY, SEASON_STRENGTH, START, OpeningHours
from recsys_lab.data.shop.shoppers import USER_ID, Shoppers, welcome
from recsys_lab.data.shop.truth import Truth
from recsys_lab.data.shop.vocabulary import PEAK_DAY, SHELVES

IDS: Final = {
    "user": (columns.USER, USER_ID),
    "item": (columns.ITEM, ITEM_ID),
    "session": (columns.SESSION, "s{:07d}"),
    "basket": (columns.BASKET, "b{:07d}"),
    "request": ("request_id", "r{:07d}"),
}


@dataclass(frozen=True)
class ShopData:
    """The raw tables (``events`` in the order of time, row number = row_id) and the truth behind them."""

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    impressions: pd.DataFrame
    truth: Truth


def generate(*, n_users: int, n_items: int, n_events: int, days: int, seed: int) -> ShopData:
    """Each part draws from a stream of its own, so that a change in one leaves the others' draws alone."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    hours, habits = OpeningHours(days), Habits()
    assortment = stock(n_items, days, streams[0])
    shoppers = welcome(n_users, hours, streams[1])
    visits = browse(Choice(assortment, shoppers, hours, streams[2]), habits, n_events)
    log, view = write_log(visits, hours.end)
    pages = show_pages(Choice(assortment, shoppers, hours, streams[3]), log)
    return ShopData(
        events=_named(log),
        items=assortment.frame,
        users=shoppers.frame,
        impressions=_named(pages),
        truth=_truth(assortment, shoppers, hours, habits, visits.reason[view].astype(np.int8)),
    )


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ids where the generator had codes; code -1 becomes a missing id."""
    named = {}
    for column in map(str, table):
        name, form = IDS.get(column, (column, ""))
        codes = table[column].to_numpy()
        named[name] = _ids(form, codes.max(initial=-1) + 1).array.take(codes, allow_fill=True) if form else codes
    return pd.DataFrame(named)


def _ids(form: str, count: int) -> pd.Series[str]:
    return pd.Series([form.format(code) for code in range(count)], dtype="str")


def _truth(
    assortment: Assortment, shoppers: Shoppers, hours: OpeningHours, habits: Habits, reasons: NDArray[np.int8]
) -> Truth:
    ids = assortment.frame[columns.ITEM]
    facts = {
        "item_ids": list(ids),
        "user_ids": list(shoppers.frame[columns.USER]),
        "reasons": [reason.name.lower() for reason in Reason],
        "shelves": [{"category": shelf.category, "name": shelf.name, "cycle_days": shelf.cycle} for shelf in SHELVES],
        "complements": {shelf.name: shelf.goes_with for shelf in SHELVES if shelf.goes_with},  # then look for
        "substitutes": {shelf.name: list(ids[assortment.shelf == code]) for code, shelf in enumerate(SHELVES)},
        "habits": asdict(habits),
        "season": {"peak_day_of_year": PEAK_DAY, "strength": SEASON_STRENGTH},
        "by_weekday": BY_WEEKDAY,
        "by_hour": BY_HOUR,
        "start": START,
        "end": hours.end,
        "choice": {"shelf_taste": SHELF_TASTE, "item_taste": ITEM_TASTE, "in_sight": IN_SIGHT},
        "logging_policy": {"exploration": EXPLORATION, "sharpness": SHARPNESS, "request_share": REQUEST_SHARE},
        "clicks": {"examination": EXAMINATION, "odds": CLICK_ODDS, "liking": CLICK_LIKING},
    }
    return Truth(
        item_vectors=assortment.vectors,
        item_appeal=assortment.appeal,
        item_trend=assortment.trend,
        item_dearness=assortment.dearness,
        item_shelf=assortment.shelf,
        item_successor=assortment.successor,
        item_available_until=assortment.available_until,
        taste_start=shoppers.taste_start,
        taste_end=shoppers.taste_end,
        user_segment=shoppers.segment,
        user_activity=shoppers.activity,
        user_thrift=shoppers.thrift,
        event_reason=reasons,
        facts=facts,
    )
