"""Files into raw tables: what the file formats share.

A *relation* is the FROM clause that reads a file, for instance ``csv_relation(path)``. The path
is read once, straight into the table: ids become trimmed strings, times integer epoch seconds,
``value`` and ``price`` numbers, and ``row_id`` counts the rows in file order.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import existing, sql_literal, sql_path
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError

if TYPE_CHECKING:
    import duckdb

MOST_UNREADABLE_TIMES = 0.01  # a larger share means a wrong format, a smaller one a few spoilt rows
TIMES = (columns.TIME, columns.AVAILABLE_FROM)
NUMBERS = (columns.VALUE, columns.PRICE, columns.MIN_AGE, columns.MARGIN, columns.STOCK)


def files_at(path: str | Path | None, suffixes: Sequence[str], *, argument: str = "data.path") -> list[Path]:
    """The file at ``path``, or the files in that folder with one of the ``suffixes``, by name.

    Raises SourceError when there is none.
    """
    found = existing(path, argument=argument)
    if found.is_file():
        return [found]
    files = sorted(file for file in found.iterdir() if file.name.endswith(tuple(suffixes)))
    if not files:
        raise SourceError(f"{argument}: no file in {found} ends with {' or '.join(suffixes)}")
    return files


def csv_relation(
    paths: Path | Sequence[Path],
    *,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    quote: str = '"',
    encoding: str = "utf-8",
) -> str:
    """Delimited text, every column a string; ``.gz`` and ``.zst`` are read as they are.

    ``names`` are the columns of files without a header; otherwise all files must have the first one's
    header, since rows are read by position. Without a ``delimiter`` it is whichever of tab, comma,
    semicolon and bar the first line has most of; an empty ``quote`` means that quotes are plain
    letters. Raises SourceError when the first line cannot be read, SchemaError when two columns have
    one name or two files differ.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    line = _first_line(files[0], encoding)
    delimiter = delimiter or max("\t,;|", key=line.count)
    found = _header(line, delimiter, quote, files[0]) if names is None else names
    for file in files[1:] if names is None else []:
        other = _header(_first_line(file, encoding), delimiter, quote, file)
        if other != found:
            raise SchemaError(f"{file}: its columns are {other}, those of {files[0]} {found}; make them the same")
    types = ", ".join(f"{sql_literal(name)}: 'VARCHAR'" for name in found)
    options = {"delim": delimiter, "quote": quote, "escape": quote, "encoding": encoding}
    listed = ", ".join(f"{key} = {sql_literal(value)}" for key, value in options.items())
    shape = f"columns = {{{types}}}, auto_detect = false, header = {names is None}"
    return f"read_csv([{_listed(files)}], {shape}, {listed}, {_NO_FOLDERS})"


def parquet_relation(paths: Path | Sequence[Path]) -> str:
    """Parquet files, with the types they have."""
    return f"read_parquet([{_listed(paths)}], {_NO_FOLDERS})"


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str, *, path: Path) -> dict[str, str]:
    """Column names of a relation with their types. Raises SourceError when it cannot be read."""
    import duckdb

    if path.is_file() and path.stat().st_size == 0:
        raise EmptyDataError(f"{path}: the file is empty")
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise SourceError(f"{path}: cannot be read: {reason(error)}") from error
    return {row[0]: row[1] for row in described}


def create_events(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    *,
    path: Path,
    mapping: Mapping[str, str] | None = None,
    time_format: str | None = None,
    event: str | None = None,
) -> None:
    """``raw_events`` from the standard columns of a relation; ``mapping`` gives their names there.

    ``event`` is what every row is, for a file that does not say. Raises SourceError when the file
    cannot be read, SchemaError when a column is missing or its times or values do not parse, and
    EmptyDataError when it has no row.
    """
    found = columns_of(connection, relation, path=path)
    chosen = chosen_columns(found, mapping, columns.EVENT_COLUMNS, columns.REQUIRED_EVENT_COLUMNS, path=path)
    expressions = _expressions(found, chosen, time_format)
    if event is not None:
        expressions[columns.EVENT] = sql_literal(event)
    time = _quoted(chosen[columns.TIME])
    create_table(connection, "raw_events", relation, expressions, path=path, times_from=time)
    _check_readable(connection, "raw_events", relation, chosen, time_format, path)


def create_items(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    *,
    path: Path,
    mapping: Mapping[str, str] | None = None,
    time_format: str | None = None,
) -> None:
    """``raw_items``: the standard columns under their names, and every other column as it is."""
    _create_entities(connection, "raw_items", columns.ITEM, relation, path, mapping, "items_mapping", time_format)


def create_users(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    *,
    path: Path,
    mapping: Mapping[str, str] | None = None,
) -> None:
    """``raw_users``: ``user_id`` and every other column as an attribute."""
    _create_entities(connection, "raw_users", columns.USER, relation, path, mapping, "users_mapping", None)


def create_table(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    expressions: Mapping[str, str],
    *,
    path: Path | str,
    times_from: str | None = None,
) -> None:
    """``table`` with one SQL expression per column, and ``row_id``.

    ``times_from`` is the SQL of the text that ``timestamp`` was parsed from: where that is there
    but does not parse in more than 1 % of the rows, SchemaError names the first such value; the
    few spoilt rows of a good file are left to the preparation, which drops and counts them.
    """
    import duckdb

    listed = dict(expressions)
    if times_from is not None:
        text = f"CAST({times_from} AS VARCHAR)"
        listed["unread_time"] = f"CASE WHEN {expressions[columns.TIME]} IS NULL AND trim({text}) <> '' THEN {text} END"
    selected = ", ".join(f"{sql} AS {_quoted(name)}" for name, sql in listed.items())
    try:
        connection.execute(
            f"CREATE OR REPLACE TABLE {table} AS SELECT row_number() OVER () - 1 AS row_id, {selected} FROM {relation}"
        )
    except duckdb.Error as error:
        raise SourceError(f"{path}: cannot be read: {reason(error)}") from error
    rows = _value(connection, f"SELECT count(*) FROM {table}")
    if rows == 0:
        raise EmptyDataError(f"{path}: there is no row below the header")
    if times_from is not None:
        bad = _value(connection, f"SELECT count(unread_time) FROM {table}")
        if bad > MOST_UNREADABLE_TIMES * rows:
            first = _value(connection, f"SELECT arg_min(unread_time, row_id) FROM {table}")
            raise SchemaError(
                f"{path}: {bad} of {rows} times cannot be read, the first is {first!r}; "
                "give data.time_format, for instance '%d/%m/%Y %H:%M'"
            )
        connection.execute(f"ALTER TABLE {table} DROP COLUMN unread_time")


def chosen_columns(
    found: Mapping[str, str],
    mapping: Mapping[str, str] | None,
    standard: Sequence[str],
    required: Sequence[str],
    *,
    path: Path,
    argument: str = "mapping",
) -> dict[str, str]:
    """The file's column for each standard name that it has. Raises SchemaError for one it must have."""
    mapping = mapping or {}
    unknown = [name for name in mapping if name not in standard]
    if unknown:
        raise SchemaError(f"data.{argument}: {unknown[0]!r} is no standard column; they are {', '.join(standard)}")
    chosen = {name: mapping.get(name, name) for name in standard}
    for name, column in chosen.items():
        if column not in found and (name in required or name in mapping):
            raise SchemaError(
                f"{path}: column {column!r} is missing; it has {', '.join(found)}: "
                f"say which one is the {name} with +data.{argument}.{name}=…"
            )
    return {name: column for name, column in chosen.items() if column in found}


def epoch_seconds(column: str, time_format: str | None = None, *, sql_type: str = "VARCHAR") -> str:
    """SQL for integer epoch seconds (UTC) out of ``column``, an SQL expression; NULL where it does not parse.

    Without a ``time_format`` (of strptime) numbers count seconds, milli-, micro- or nanoseconds by
    their size, so dates before 1973 must be seconds, and text is an ISO time, in UTC unless it says.
    """
    if sql_type == _ZONED_NANOSECONDS:
        column, sql_type = f"CAST({column} AS TIMESTAMPTZ)", "TIMESTAMPTZ"
    if sql_type.startswith(("TIMESTAMP", "DATE")):
        return f"CAST(floor(epoch({column})) AS BIGINT)"
    if time_format is not None:
        return f"CAST(floor(epoch(try_strptime(CAST({column} AS VARCHAR), {sql_literal(time_format)}))) AS BIGINT)"
    number = column if sql_type in _INTEGERS else f"TRY_CAST({column} AS DOUBLE)"
    seconds = (
        f"CASE WHEN abs({number}) < 1e11 THEN TRY_CAST(floor({number}) AS BIGINT)"
        f" WHEN abs({number}) < 1e14 THEN TRY_CAST(floor({number} / 1e3) AS BIGINT)"
        f" WHEN abs({number}) < 1e17 THEN TRY_CAST(floor({number} / 1e6) AS BIGINT)"
        f" ELSE TRY_CAST(floor({number} / 1e9) AS BIGINT) END"
    )
    if sql_type in _INTEGERS or sql_type in _FLOATS:
        return seconds
    iso = f"CAST(floor(epoch(TRY_CAST({column} AS TIMESTAMPTZ))) AS BIGINT)"
    return f"CASE WHEN {number} IS NOT NULL THEN {seconds} ELSE {iso} END"


def text_id(column: str, *, sql_type: str = "VARCHAR") -> str:
    """SQL for an id or a text: trimmed, NULL where empty; a float such as 17850.0 is 17850, a list has bars between."""
    if sql_type in _INTEGERS:
        return f"CAST({column} AS VARCHAR)"
    if sql_type in _FLOATS:
        whole = f"CAST(TRY_CAST({column} AS BIGINT) AS VARCHAR)"
        return f"CASE WHEN {column} = floor({column}) THEN {whole} ELSE CAST({column} AS VARCHAR) END"
    text = f"array_to_string({column}, '|')" if sql_type.endswith("[]") else f"CAST({column} AS VARCHAR)"
    return f"nullif(trim({text}), '')"


def number(column: str) -> str:
    """SQL for a number out of ``column``; NULL where it does not parse, is NaN or too large for 32 bits."""
    return f"CASE WHEN isfinite(TRY_CAST({column} AS REAL)) THEN TRY_CAST({column} AS DOUBLE) END"


def reason(error: Exception) -> str:
    """What the engine complains of, in one line."""
    return " ".join(str(error).split("\n\n")[0].partition("Possible fixes")[0].split())[:300]


_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_NO_FOLDERS = "hive_partitioning = false"  # a folder called date=2024-01-01 would replace the file's column date
_ZONED_NANOSECONDS = "TIMESTAMPTZ_NS"  # the engine reads no epoch out of these


def _create_entities(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    key: str,
    relation: str,
    path: Path,
    mapping: Mapping[str, str] | None,
    argument: str,
    time_format: str | None,
) -> None:
    found = columns_of(connection, relation, path=path)
    standard = columns.ITEM_COLUMNS if key == columns.ITEM else (key, *(mapping or {}))
    chosen = chosen_columns(found, mapping, standard, (key,), path=path, argument=argument)
    expressions = _expressions(found, chosen, time_format)
    renamed = set(chosen.values())
    expressions |= {name: _quoted(name) for name in found if name not in renamed and name not in expressions}
    create_table(connection, table, relation, expressions, path=path)
    _check_readable(connection, table, relation, chosen, time_format, path)


def _check_readable(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    chosen: Mapping[str, str],
    time_format: str | None,
    path: Path,
) -> None:
    """Raises SchemaError for a column of numbers or dates that is written in another way: all would be missing."""
    for name in [name for name in (*NUMBERS, columns.AVAILABLE_FROM) if name in chosen]:
        if _value(connection, f"SELECT count({_quoted(name)}) FROM {table}"):
            continue
        text = f"CAST({_quoted(chosen[name])} AS VARCHAR)"
        first = _value(connection, f"SELECT {text} FROM {relation} WHERE regexp_matches({text}, '[0-9]') LIMIT 1")
        if first:
            form = "12.50" if name in NUMBERS else time_format or "2024-01-31"
            raise SchemaError(f"{path}: no {name} can be read, the first is {first!r}; write it as {form}")


def _expressions(found: Mapping[str, str], chosen: Mapping[str, str], time_format: str | None) -> dict[str, str]:
    expressions = {}
    for name, column in chosen.items():
        quoted, sql_type = _quoted(column), found[column]
        if name in TIMES:
            expressions[name] = epoch_seconds(quoted, time_format, sql_type=sql_type)
        elif name in NUMBERS:
            expressions[name] = number(quoted)
        else:
            expressions[name] = text_id(quoted, sql_type=sql_type)
    return expressions


def _first_line(path: Path, encoding: str) -> str:
    import pyarrow

    try:
        with pyarrow.input_stream(path) as file:  # unpacks by suffix
            line: str = file.read(1 << 16).partition(b"\n")[0].decode(encoding, errors="replace")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {reason(error)}") from error
    except LookupError as error:
        raise SourceError(f"data.encoding: {encoding!r} is unknown; use utf-8, latin-1 or utf-16") from error
    return line.removeprefix("\ufeff").rstrip("\r")


def _header(line: str, delimiter: str, quote: str, path: Path) -> list[str]:
    simple = not quote or len(delimiter) > 1
    try:
        cells = line.split(delimiter) if simple else next(csv.reader([line], delimiter=delimiter, quotechar=quote))
    except csv.Error:
        raise SourceError(f"{path}: the first line is no header: {line[:40]!r}; is it a text file?") from None
    names = [cell.strip() or f"column{position}" for position, cell in enumerate(cells)]
    lower = [name.lower() for name in names]  # the engine takes Value and value for one
    twice = [name for name in names if lower.count(name.lower()) > 1]
    if twice:
        raise SchemaError(f"{path}: two columns are called {twice[0]!r}; rename one")
    return names or ["column0"]


def _listed(paths: Path | Sequence[Path]) -> str:
    return ", ".join(sql_path(path) for path in ([paths] if isinstance(paths, Path) else paths))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _value(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    rows = connection.execute(query).fetchall()  # all: a result left open blocks the connection's next use
    return rows[0][0] if rows else 0
