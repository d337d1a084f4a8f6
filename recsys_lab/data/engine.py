"""The embedded SQL engine that preparation runs on: how it is opened, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def connect(
    spill: Path | None = None, *, memory_limit: str = "4GB", threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An engine in memory, its tables compressed; what does not fit goes to the folder ``spill``.

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
    if spill is not None:
        settings["temp_directory"] = str(spill)
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("ATTACH ':memory:' AS work (COMPRESS)")
    connection.execute("USE work")
    connection.execute("SET TimeZone = 'UTC'")
    return connection
