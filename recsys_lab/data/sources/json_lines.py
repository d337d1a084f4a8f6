"""Files with one JSON object per line, packed or not."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_lab.data.sources.base import sql_literal, sql_path
from recsys_lab.errors import EmptyDataError, SourceError

if TYPE_CHECKING:
    import duckdb

LINES_AT_ONCE = 10_000


def json_relation(paths: Sequence[Path], fields: Mapping[str, str]) -> str:
    """The named fields of every line, with their SQL types; NULL where a line lacks one."""
    listed = ", ".join(map(sql_path, paths))
    typed = ", ".join(f"{sql_literal(name)}: {sql_literal(sql_type)}" for name, sql_type in fields.items())
    return f"read_json([{listed}], format = 'newline_delimited', columns = {{{typed}}})"


def untyped_relation(connection: duckdb.DuckDBPyConnection, path: Path, fields: Sequence[str]) -> str:
    """The named fields of every line as JSON, where what they hold varies; NULL where a line lacks one.

    Lines of Python literals (single quotes, as in the Amazon metadata of 2014) go through a temporary
    table. Raises SourceError for a line that is neither.
    """
    first_object(path)
    if _is_json(_first_line(path)):
        return json_relation([path], dict.fromkeys(fields, "JSON"))
    import pandas as pd

    connection.execute(f"CREATE OR REPLACE TEMP TABLE literals ({', '.join(f'{field} JSON' for field in fields)})")
    records = _records(path)
    while some := list(islice(records, LINES_AT_ONCE)):
        cells = [[json.dumps(record[field]) if field in record else None for field in fields] for record in some]
        connection.append("literals", pd.DataFrame(cells, columns=list(fields), dtype="str"))
    return "literals"


def first_object(path: Path) -> dict[str, Any]:
    """The first line, to tell one layout from another. Raises SourceError when it is no object."""
    line = _first_line(path)
    if not line:
        raise EmptyDataError(f"{path}: the file is empty")
    try:
        record = _parsed(line)
    except (ValueError, SyntaxError):
        record = None
    if not isinstance(record, dict):
        raise SourceError(f"{path}: line 1 is no JSON object but {line[:60]!r}; one object per line is needed")
    return record


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file, unpacked by its suffix. Raises SourceError when it cannot be read."""
    import pyarrow

    try:
        with pyarrow.input_stream(path) as packed, io.TextIOWrapper(packed, "utf-8") as text:
            yield from text
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


def _first_line(path: Path) -> str:
    return next((line.strip() for line in lines_of(path) if line.strip()), "")


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parsed(line: str) -> Any:
    return json.loads(line) if _is_json(line) else ast.literal_eval(line)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines_of(path), start=1):
        try:
            yield dict(_parsed(line.strip()))
        except (ValueError, SyntaxError, TypeError) as error:
            raise SourceError(f"{path}: line {number} is neither a JSON object nor a Python dictionary") from error
