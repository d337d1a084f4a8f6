"""Preparation as an ordered list of named SQL steps.

    raw_events ── source's own steps ──> events (string ids)
        ── keys ──> filters ──> duplicates ──> k-core ──> events (integer keys)
        ── pairs ──> users, items (codes, first-seen dates, aggregates, attributes)
        ── codes ──> sessions ──> baskets ──> events (all numbers) = log.parquet

Strings leave the log early, so everything that looks at the whole of it moves integers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys_lab.data import columns
from recsys_lab.data.cleaning import PURCHASE, Cleaning
from recsys_lab.data.sources.base import sql_literal
from recsys_lab.data.step import Step

# What the log says about a user or an item. It tells the future, so models never see it.
AGGREGATES = ("n_events", "n_purchases", "last_seen")
ITEM_AGGREGATES = (*AGGREGATES, "n_users")
USER_AGGREGATES = (*AGGREGATES, "n_items")


def key_steps(cleaning: Cleaning, has: Sequence[str]) -> list[Step]:
    """Ids to integers, by the alphabet; the final codes come when the log is clean.

    ``has`` are the columns of ``events``; those that are missing are filled in.
    """
    given = {name: f"e.{name}" if name in has else "NULL" for name in columns.EVENT_COLUMNS}
    event = f"coalesce(CAST({given[columns.EVENT]} AS VARCHAR), {sql_literal(cleaning.default_event)})"
    return [
        _keys("user"),
        _keys("item"),
        Step(
            "ids",
            f"SELECT e.row_id, u.user_key, i.item_key, e.timestamp, {event} AS event,"
            f" CAST({given[columns.VALUE]} AS DOUBLE) AS value,"
            f" coalesce(CAST({given[columns.SESSION]} AS VARCHAR), '') AS session_id,"
            f" coalesce(CAST({given[columns.BASKET]} AS VARCHAR), '') AS basket_id"
            " FROM events e JOIN user_keys u ON e.user_id = u.user_id JOIN item_keys i ON e.item_id = i.item_id",
            "the user or item id is empty",
        ),
    ]


def filter_steps(cleaning: Cleaning) -> list[Step]:
    """Row by row: what may enter at all."""
    steps = [
        _filter(
            "times",
            f"timestamp BETWEEN {cleaning.earliest} AND {cleaning.latest}",
            "the time is missing, does not parse or is outside data.cleaning.earliest … latest",
        ),
    ]
    if cleaning.events is not None:
        kept = ", ".join(map(sql_literal, cleaning.events))
        steps.append(
            _filter("event types", f"event IN ({kept})", f"the event is not one of data.cleaning.events: {kept}")
        )
    if cleaning.min_value is not None:
        least = sql_literal(cleaning.min_value)
        steps.append(
            _filter("values", f"value >= {least}", f"the value is missing or below data.cleaning.min_value: {least}")
        )
    return steps


def core_steps(cleaning: Cleaning) -> list[Step]:
    """Duplicate events and the k-core."""
    steps = []
    if cleaning.duplicates == "drop":
        steps.append(
            Step(
                "duplicates",
                "SELECT row_id, user_key, item_key, timestamp, event, value, session_id, basket_id FROM (SELECT *,"
                " row_number() OVER (PARTITION BY user_key, item_key, timestamp, event ORDER BY row_id) AS copy"
                " FROM events) AS copies WHERE copy = 1",
                "an earlier row has the same user, item, event and second",
                scope="past",
            )
        )
    if cleaning.min_user_events > 1 or cleaning.min_item_events > 1:
        steps.append(
            Step(
                "k-core",
                "SELECT e.* FROM events e"
                f" JOIN (SELECT user_key FROM events GROUP BY user_key HAVING count(*) >= {cleaning.min_user_events})"
                " AS u ON e.user_key = u.user_key"
                f" JOIN (SELECT item_key FROM events GROUP BY item_key HAVING count(*) >= {cleaning.min_item_events})"
                " AS i ON e.item_key = i.item_key",
                f"the user has fewer than {cleaning.min_user_events} events (data.cleaning.min_user_events)"
                f" or the item fewer than {cleaning.min_item_events} (data.cleaning.min_item_events)",
                scope="whole_log",
                repeated=True,
            )
        )
    return steps


@dataclass(frozen=True)
class Attributes:
    """The columns of the raw catalogue and user table; None where the source has no such table."""

    items: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None


def entity_steps(cleaning: Cleaning, attributes: Attributes) -> list[Step]:
    """Users and items by first event then id, with aggregates and attributes.

    Items of the catalogue without an event follow last, by id, except under a k-core on items,
    which they do not pass. An item without a row in the catalogue has an id and nothing else.
    """
    whole_catalogue = attributes.items is not None and cleaning.min_item_events <= 1
    return [
        Step(
            "pairs",
            "SELECT user_key, item_key, count(*) AS n_events,"
            f" sum(CASE WHEN event = {sql_literal(PURCHASE)} THEN 1 ELSE 0 END) AS n_purchases,"
            " min(timestamp) AS first_seen, max(timestamp) AS last_seen FROM events GROUP BY user_key, item_key",
            table="pairs",
        ),
        _entities("user", "item", attributes.users, "LEFT"),
        _entities("item", "user", attributes.items, "FULL OUTER" if whole_catalogue else "LEFT"),
    ]


def log_steps(cleaning: Cleaning, *, has_sessions: bool, has_baskets: bool) -> list[Step]:
    """The final codes, event weights, sessions and baskets.

    Sessions and baskets that the log names are taken at its word, per user. Otherwise silence ends
    a session, and the purchases of a session are one basket; other events have none.
    """
    weights = " ".join(f"WHEN {sql_literal(event)} THEN {weight!r}" for event, weight in cleaning.event_weights.items())
    weight = f"CASE event {weights} ELSE 1.0 END" if weights else "1.0"
    purchase = f"CASE WHEN event = {sql_literal(PURCHASE)} THEN 1 ELSE 0 END"
    return [
        Step(
            "event types",
            "SELECT event, is_purchase, weight, CAST(row_number() OVER (ORDER BY weight, event) - 1 AS INTEGER)"
            f" AS event_code FROM (SELECT DISTINCT event, {purchase} AS is_purchase, CAST({weight} AS REAL) AS weight"
            " FROM events) AS kinds",
            table="event_names",
        ),
        Step(
            "codes",
            "SELECT e.row_id, u.user_code, i.item_code, e.timestamp, k.event_code, k.is_purchase, k.weight,"
            " CAST(coalesce(e.value, 1) AS REAL) AS value, e.session_id, e.basket_id FROM events e"
            " JOIN users u ON e.user_key = u.user_key JOIN items i ON e.item_key = i.item_key"
            " JOIN event_names k ON e.event = k.event",
        ),
        _silences(cleaning.session_gap),
        *_session_steps(has_sessions, has_baskets),
    ]


def _silences(gap: int) -> Step:
    """Numbers the parts between a user's silences from 1; events in a named session are in part 0.

    Named sessions may overlap in time, so silence cuts only the events outside them.
    """
    order = "PARTITION BY user_code, session_id ORDER BY timestamp, row_id"
    starts = (
        f"CASE WHEN session_id <> '' THEN 0 WHEN timestamp - lag(timestamp) OVER ({order}) <= {gap} THEN 0 ELSE 1 END"
    )
    return Step(
        "silences",
        f"SELECT *, CAST(sum(starts) OVER ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS INTEGER)"
        f" AS part FROM (SELECT *, {starts} AS starts FROM events) AS marked",
    )


def _session_steps(has_sessions: bool, has_baskets: bool) -> list[Step]:
    if has_sessions:
        steps = [_numbered("session", "user_code, session_id, part")]
        joins = "JOIN sessions s ON e.user_code = s.user_code AND e.session_id = s.session_id AND e.part = s.part"
        session = "s.session"
    else:
        steps = [_sessions_of_earlier_users()]
        joins = "JOIN sessions s ON e.user_code = s.user_code"
        session = "s.earlier + e.part"
    if has_baskets:
        steps.append(_numbered("basket", "user_code, basket_id", "WHERE basket_id <> ''"))
        joins += " LEFT JOIN baskets b ON e.user_code = b.user_code AND e.basket_id = b.basket_id"
        basket = "coalesce(b.basket, -1)"
    else:
        basket = f"CASE WHEN e.is_purchase = 1 THEN {session} ELSE -1 END"
    final = "e.row_id, e.user_code, e.item_code, e.timestamp, e.event_code, e.value, e.weight"
    sql = f"SELECT {final}, {session} AS session, {basket} AS basket FROM events e {joins}"
    return [*steps, Step("sessions and baskets", sql)]


def _sessions_of_earlier_users() -> Step:
    """What to add to a user's parts so that sessions are numbered through, from 0."""
    upto = "(ORDER BY user_code ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    return Step(
        "sessions per user",
        f"SELECT user_code, CAST(sum(parts) OVER {upto} - parts - 1 AS INTEGER) AS earlier"
        " FROM (SELECT user_code, max(part) AS parts FROM events GROUP BY user_code) AS counted",
        table="sessions",
    )


def _numbered(kind: str, key: str, where: str = "") -> Step:
    """Groups of a user's events, numbered through in the order they began."""
    return Step(
        f"{kind}s",
        f"SELECT {key}, CAST(row_number() OVER (ORDER BY user_code, started, first_row) - 1 AS INTEGER) AS {kind}"
        f" FROM (SELECT {key}, min(timestamp) AS started, min(row_id) AS first_row FROM events {where}"
        f" GROUP BY {key}) AS grouped",
        table=f"{kind}s",
    )


def _filter(name: str, condition: str, why: str) -> Step:
    return Step(name, f"SELECT * FROM events WHERE {condition}", why)


def _keys(kind: str) -> Step:
    return Step(
        f"{kind} keys",
        f"SELECT {kind}_id, CAST(row_number() OVER (ORDER BY {kind}_id) - 1 AS INTEGER) AS {kind}_key FROM"
        f" (SELECT DISTINCT {kind}_id FROM events WHERE {kind}_id <> '') AS ids",
        table=f"{kind}_keys",
    )


def _entities(kind: str, other: str, attributes: Sequence[str] | None, join: str) -> Step:
    aggregates = (*AGGREGATES, f"n_{other}s")
    seen = (
        f"SELECT k.{kind}_id, p.{kind}_key, sum(p.n_events) AS n_events, sum(p.n_purchases) AS n_purchases,"
        f" count(*) AS n_{other}s, min(p.first_seen) AS first_seen, max(p.last_seen) AS last_seen"
        f" FROM pairs p JOIN {kind}_keys k ON p.{kind}_key = k.{kind}_key GROUP BY k.{kind}_id, p.{kind}_key"
    )
    own = {f"{kind}_id", f"{kind}_key", f"{kind}_code", "row_id", columns.FIRST_SEEN, *aggregates}
    cell = "r.{}" if kind == "item" else "nullif(CAST(r.{0} AS VARCHAR), '') AS {0}"
    described = [cell.format(f'"{name}"') for name in attributes or () if name not in own]
    identity = f"s.{kind}_id"
    source = f"({seen}) AS s"
    if attributes is not None:
        identity = f"coalesce(s.{kind}_id, r.{kind}_id)"
        raw = f"(SELECT * FROM raw_{kind}s WHERE {kind}_id IS NOT NULL) AS r"
        source += f" {join} JOIN {raw} ON s.{kind}_id = r.{kind}_id"
    if kind == "item" and columns.AVAILABLE_FROM not in (attributes or ()):
        described.append(f"CAST(NULL AS BIGINT) AS {columns.AVAILABLE_FROM}")
    counts = ", ".join(f"CAST(coalesce(s.{name}, 0) AS BIGINT) AS {name}" for name in aggregates if name != "last_seen")
    cells = ", ".join([f"{identity} AS {kind}_id", f"s.{kind}_key", *described, counts, "s.first_seen", "s.last_seen"])
    return Step(
        f"{kind}s",
        f"SELECT *, CAST(row_number() OVER (ORDER BY CASE WHEN first_seen IS NULL THEN 1 ELSE 0 END, first_seen,"
        f" {kind}_id) - 1 AS INTEGER) AS {kind}_code FROM (SELECT {cells} FROM {source}) AS described",
        table=f"{kind}s",
    )
