"""The one authority for column names, in raw tables and in prepared ones.

A source hands over up to three raw tables. Only the columns marked * must be there.

    raw_events   user_id*, item_id*, timestamp*, event, value, session_id, basket_id
    raw_items    item_id*, title, text, category, brand, price, image, text_vector, image_vector,
                 available_from, …
    raw_users    user_id*, any attributes

Ids are strings, ``timestamp`` and ``available_from`` integer epoch seconds (UTC), ``event``
one of a source's own names (view, click, cart, purchase, rating …), ``value`` a number such
as a quantity or a rating. The prepared log replaces ids by dense int32 codes.
"""

from typing import Final

USER: Final = "user_id"
ITEM: Final = "item_id"
TIME: Final = "timestamp"
EVENT: Final = "event"
VALUE: Final = "value"
SESSION: Final = "session_id"
BASKET: Final = "basket_id"

TITLE: Final = "title"
TEXT: Final = "text"
CATEGORY: Final = "category"
BRAND: Final = "brand"
PRICE: Final = "price"
IMAGE: Final = "image"
TEXT_VECTOR: Final = "text_vector"  # list of numbers, of the same length for all items that have one
IMAGE_VECTOR: Final = "image_vector"  # likewise
AVAILABLE_FROM: Final = "available_from"
MARKET: Final = "market"  # where it is sold, with bars between: "DE|FR"
MIN_AGE: Final = "min_age"  # years that a buyer must have
MARGIN: Final = "margin"  # what one sale earns
STOCK: Final = "stock"  # pieces

EVENT_COLUMNS: Final = (USER, ITEM, TIME, EVENT, VALUE, SESSION, BASKET)
REQUIRED_EVENT_COLUMNS: Final = (USER, ITEM, TIME)
ITEM_COLUMNS: Final = (ITEM, TITLE, TEXT, CATEGORY, BRAND, PRICE, IMAGE, AVAILABLE_FROM, MARKET, MIN_AGE, MARGIN, STOCK)

# Columns of the prepared log.parquet, all numbers, ordered by user, time and source row.
USER_CODE: Final = "user"
ITEM_CODE: Final = "item"
EVENT_CODE: Final = "event_code"
WEIGHT: Final = "weight"
SESSION_CODE: Final = "session"
BASKET_CODE: Final = "basket"
FIRST_SEEN: Final = "first_seen"
