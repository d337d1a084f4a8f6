"""MovieLens in each of its layouts: 100k, 1m and 10m, and the CSV editions (small, 20m, 25m, 32m)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, sql_literal
from recsys_lab.data.sources.known_names import column_named, file_beside, file_named, unpacked_name
from recsys_lab.data.sources.tables import columns_of, create_events, create_table, csv_relation, text_id
from recsys_lab.errors import SourceError

if TYPE_CHECKING:
    import duckdb

GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
NO_GENRE = ("", "unknown", "(no genres listed)")
NAMES = {
    columns.USER: ("user_id", "userId"),
    columns.ITEM: ("item_id", "movieId"),
    columns.VALUE: ("value", "rating"),
    columns.TIME: ("timestamp",),
}


@dataclass(frozen=True)
class Layout:
    """How one edition writes its files; ``None`` for columns that the file's own header names."""

    ratings: str
    movies: str
    users: str | None = None
    delimiters: tuple[str, str] = (",", ",")  # of the ratings, and of movies and users
    rating_columns: tuple[str, ...] | None = None
    movie_columns: tuple[str, ...] | None = None
    user_columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"


CSV = Layout(ratings="ratings.csv", movies="movies.csv")
DAT = Layout(
    ratings="ratings.dat",
    movies="movies.dat",
    users="users.dat",
    delimiters=("::", "::"),
    rating_columns=("user_id", "item_id", "value", "timestamp"),
    movie_columns=("item_id", "title", "genres"),
    user_columns=("user_id", "gender", "age", "occupation", "zip"),
    encoding="latin-1",
)
TAB = Layout(
    ratings="u.data",
    movies="u.item",
    users="u.user",
    delimiters=("\t", "|"),
    rating_columns=("user_id", "item_id", "value", "timestamp"),
    movie_columns=("item_id", "title", "released", "released_on_video", "imdb", *GENRES_100K),
    user_columns=("user_id", "age", "gender", "occupation", "zip"),
    encoding="latin-1",
)
LAYOUTS = {layout.ratings: layout for layout in (CSV, DAT, TAB)}


class MovieLens(Source):
    """Ratings as events of type "rating", value = the rating; the layout is told by the file names.

    ``path`` is the folder, or the ratings file beside the others. A movie has its title with the
    year as written, ``year``, all genres as ``text``, and its first genre as ``category``, since
    diversity and slices need one. Users have gender, age and occupation, as coded, where the edition
    knows them; the zip code stays out. Tags stay out too: users wrote them later than most ratings,
    so as item text they would carry the future past a cutoff.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path

    def files(self) -> list[Path]:
        ratings, movies, users = self._found()
        return [ratings, movies, *([users] if users else [])]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        ratings, movies, users = self._found()
        layout = LAYOUTS[unpacked_name(ratings)]
        _load_ratings(connection, layout, ratings)
        is_10m = layout is DAT and users is None  # the only edition of .dat files in UTF-8
        _load_movies(connection, layout, movies, encoding="utf-8" if is_10m else layout.encoding)
        if users is not None:
            _load_users(connection, layout, users)

    def _found(self) -> tuple[Path, Path, Path | None]:
        ratings = file_named(self.path, list(LAYOUTS))
        layout = LAYOUTS.get(unpacked_name(ratings))
        if layout is None:
            raise SourceError(f"data.path: {ratings} is not called {' or '.join(LAYOUTS)}; give the folder")
        movies = file_named(ratings.parent, [layout.movies])
        return ratings, movies, file_beside(ratings.parent, [layout.users]) if layout.users else None


def _load_ratings(connection: duckdb.DuckDBPyConnection, layout: Layout, path: Path) -> None:
    quote = "" if layout.rating_columns else '"'
    relation = csv_relation(path, delimiter=layout.delimiters[0], names=layout.rating_columns, quote=quote)
    found = columns_of(connection, relation, path=path)
    mapping = {name: column_named(found, names, path=path) for name, names in NAMES.items()}
    create_events(connection, relation, path=path, mapping=mapping, event="rating")


def _load_movies(connection: duckdb.DuckDBPyConnection, layout: Layout, path: Path, *, encoding: str) -> None:
    quote = "" if layout.movie_columns else '"'
    relation = csv_relation(
        path, delimiter=layout.delimiters[1], names=layout.movie_columns, quote=quote, encoding=encoding
    )
    found = columns_of(connection, relation, path=path)
    if layout is TAB:
        flags = ", ".join(f"CASE WHEN \"{genre}\" = '1' THEN {sql_literal(genre)} END" for genre in GENRES_100K)
        genres = f"[{flags}]"
    else:
        genres = f"string_split(\"{column_named(found, ['genres'], path=path)}\", '|')"
    listed = ", ".join(map(sql_literal, NO_GENRE))
    genres = f"list_filter({genres}, lambda genre: genre NOT IN ({listed}))"
    title = f'"{column_named(found, ["title"], path=path)}"'
    expressions = {
        columns.ITEM: text_id(f'"{column_named(found, NAMES[columns.ITEM], path=path)}"'),
        columns.TITLE: text_id(title),
        columns.TEXT: f"nullif(array_to_string({genres}, ' '), '')",
        columns.CATEGORY: f"{genres}[1]",
        "year": f"TRY_CAST(regexp_extract({title}, '\\((\\d{{4}})\\)\\s*$', 1) AS INTEGER)",
    }
    create_table(connection, "raw_items", relation, expressions, path=path)


def _load_users(connection: duckdb.DuckDBPyConnection, layout: Layout, path: Path) -> None:
    relation = csv_relation(path, delimiter=layout.delimiters[1], names=layout.user_columns, quote="")
    expressions = {name: text_id(name) for name in (columns.USER, "gender", "age", "occupation")}
    create_table(connection, "raw_users", relation, expressions, path=path)
