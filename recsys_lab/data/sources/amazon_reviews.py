"""Amazon reviews as JSON lines, in the field names of the 2014, 2018 and 2023 editions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, existing, sql_literal
from recsys_lab.data.sources.json_lines import first_object, json_relation, untyped_relation
from recsys_lab.data.sources.known_names import PACKINGS, column_named
from recsys_lab.data.sources.tables import create_table, epoch_seconds, files_at, number, text_id
from recsys_lab.errors import ConfigError

if TYPE_CHECKING:
    import duckdb

NAMES = {
    columns.USER: ("reviewerID", "user_id"),
    columns.ITEM: ("parent_asin", "asin"),
    columns.VALUE: ("overall", "rating"),
    columns.TIME: ("unixReviewTime", "timestamp"),
}
ENTITIES = {"&quot;": '"', "&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&amp;": "&"}
ITEM_FIELDS = (
    *("asin", "parent_asin", "title", "feature", "features", "description", "categories", "category", "main_category"),
    *("brand", "store", "price", "imUrl", "imageURLHighRes", "imageURL", "images"),
)
FIRST_PRICE = r"^\s*(?:from )?\$?\s*([\d,]*\.?\d+)"
CATEGORIES = (  # ["A", "B"], or in 2014 [["A", "B"], ["C"]], of which the first path
    "CASE WHEN json_type(categories, '$[0]') = 'ARRAY' THEN categories ->> '$[0][*]'"
    " ELSE coalesce(categories, category) ->> '$[*]' END"
)
IMAGE = "coalesce(imUrl ->> '$', imageURLHighRes ->> '$[0]', imageURL ->> '$[0]', images ->> '$[0].large')"


class AmazonReviews(Source):
    """Reviews as events of type "rating", value = stars; times are in seconds (2014, 2018) or ms (2023).

    ``path`` is one file, or a folder of which every .json and .jsonl is read, all of one edition.
    An item is the ``parent_asin`` where there is one, since the metadata of 2023 describe those.
    What reviewers wrote is not used as item text: it comes after the purchase.

    ``meta_path`` is the metadata file (the 2014 edition's Python literals are read too). Text loses its
    HTML, a title that is page script is blank, a price is the first number in "$1,299.00 - $1,500.00".
    ``category`` is level ``category_level`` of the item's categories, or its last if it has fewer; level 1
    tells little in files of one department. ``text`` holds features, description and all categories. Of
    several rows of one item the first counts. The metadata are as of the crawl, which is after all the
    reviews: price and wording may have been others at the time.
    """

    def __init__(
        self, path: str | Path | None = None, *, meta_path: str | Path | None = None, category_level: int = 2
    ) -> None:
        if category_level < 1:
            raise ConfigError(f"data.category_level: {category_level} is no level; use 1 or more")
        self.path = path
        self.meta_path = meta_path
        self.category_level = category_level

    def files(self) -> list[Path]:
        reviews = self._reviews()
        return reviews if self.meta_path is None else [*reviews, self._metadata()]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        files = self._reviews()
        found = first_object(files[0])
        given = {name: column_named(found, names, path=files[0]) for name, names in NAMES.items()}
        expressions = {
            columns.USER: text_id(given[columns.USER]),
            columns.ITEM: text_id(given[columns.ITEM]),
            columns.TIME: epoch_seconds(given[columns.TIME]),
            columns.VALUE: number(given[columns.VALUE]),
            columns.EVENT: "'rating'",
        }
        relation = json_relation(files, dict.fromkeys(given.values(), "VARCHAR"))
        create_table(connection, "raw_events", relation, expressions, path=files[0], times_from=given[columns.TIME])
        if self.meta_path is not None:
            self._load_items(connection)

    def _reviews(self) -> list[Path]:
        return files_at(self.path, [f".{kind}{packing}" for kind in ("json", "jsonl") for packing in PACKINGS])

    def _metadata(self) -> Path:
        return existing(self.meta_path, argument="data.meta_path")

    def _load_items(self, connection: duckdb.DuckDBPyConnection) -> None:
        path = self._metadata()
        item = column_named(first_object(path), NAMES[columns.ITEM], path=path)
        records = untyped_relation(connection, path, ITEM_FIELDS)
        category = f"coalesce(path[{self.category_level}], path[-1], main_category ->> '$')"
        words = [_text("feature"), _text("features"), _text("description"), "array_to_string(path, ' ')"]
        expressions = {
            columns.ITEM: text_id(f"{item} ->> '$'"),
            columns.TITLE: f"CASE WHEN {_text('title')} NOT LIKE '%getTime%' THEN {_plain(_text('title'))} END",
            columns.TEXT: _plain(f"concat_ws(' ', {', '.join(words)})"),
            columns.CATEGORY: _plain(category),
            columns.BRAND: _plain(f"regexp_replace(coalesce({_text('brand')}, {_text('store')}), '^by\\s*\\n', '')"),
            columns.PRICE: _number(f"regexp_extract({_text('price')}, '{FIRST_PRICE}', 1)"),
            columns.IMAGE: IMAGE,
        }
        relation = f"(SELECT *, {CATEGORIES} AS path FROM {records})"
        create_table(connection, "raw_items", relation, expressions, path=path)
        connection.execute(
            "CREATE OR REPLACE TABLE raw_items AS SELECT * FROM raw_items"
            " QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY row_id) = 1"
        )


def _text(field: str) -> str:
    """SQL of a field that holds a text or a list of texts."""
    joined = f"array_to_string({field} ->> '$[*]', ' ')"
    return f"CASE json_type({field}) WHEN 'ARRAY' THEN {joined} ELSE {field} ->> '$' END"


def _number(text: str) -> str:
    return f"TRY_CAST(replace({text}, ',', '') AS DOUBLE)"


def _plain(text: str) -> str:
    """SQL of a text without tags, entities and runs of blanks; NULL where nothing is left."""
    bare = f"regexp_replace({text}, '<[^>]*>', ' ', 'g')"
    for entity, character in ENTITIES.items():
        bare = f"replace({bare}, {sql_literal(entity)}, {sql_literal(character)})"
    return f"nullif(trim(regexp_replace({bare}, '\\s+', ' ', 'g')), '')"
