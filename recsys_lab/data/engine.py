"""The embedded SQL engine that preparation runs on: how it is opened, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def connect(
    database: Path | None = None, *, memory_limit: str = "4GB", threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An engine in memory, or in the file ``database``, beside which it spills what does not fit.

    Clocks are UTC whatever the machine says, and no extension is ever fetched from the network.
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": memory_limit,
    }
    if threads is not None:
        settings["threads"] = threads
    if database is not None:
        settings["temp_directory"] = str(database.with_suffix(".spill"))
    connection = duckdb.connect(str(database or ":memory:"), config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
