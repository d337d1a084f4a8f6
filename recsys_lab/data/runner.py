"""Runs steps on the engine and counts the rows that go in and come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from recsys_lab.data.lineage import LineageStep
from recsys_lab.data.step import Step
from recsys_lab.errors import EmptyDataError

if TYPE_CHECKING:
    import duckdb

MOST_ROUNDS = 100  # of a repeated step; the few rows that would still go are not worth the wait
Progress = Callable[[str], None]


class StepRunner:
    """Runs steps for ``source`` in the order given; ``done`` is what they did so far.

    ``progress`` is told the name of each step before it runs.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: str, progress: Progress) -> None:
        self.connection = connection
        self.source = source
        self.progress = progress
        self.done: list[LineageStep] = []

    def run(self, steps: Iterable[Step]) -> None:
        """Raises EmptyDataError that names the step after which no event is left."""
        for step in steps:
            self.progress(step.name)
            self.done.append(self._run_one(step))

    def columns(self, table: str) -> tuple[str, ...]:
        """Column names, or nothing when there is no such table."""
        found = self.connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position", [table]
        )
        return tuple(row[0] for row in found.fetchall())

    def count(self, table: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return row[0] if row else 0

    def _run_one(self, step: Step) -> LineageStep:
        rows_in = self.count(step.table if self.columns(step.table) else "events")
        why, before = step.why, rows_in
        for _ in range(MOST_ROUNDS if step.repeated else 1):
            rows_out = self._replace(step)
            if rows_out == 0 and step.table == "events":
                raise EmptyDataError(
                    f"{self.source}: no event is left after the step {step.name!r}: all of the {rows_in:,} rows "
                    f"before it were dropped because {why or 'it keeps none'}"
                )
            if rows_out == before:
                break
            before = rows_out
        else:
            why += f"; stopped after {MOST_ROUNDS} rounds" if step.repeated else ""
        return LineageStep(step.name, why, rows_in, rows_out, step.scope, step.table)

    def _replace(self, step: Step) -> int:
        self.connection.execute(f"CREATE TABLE next_{step.table} AS {step.sql}")
        self.connection.execute(f"DROP TABLE IF EXISTS {step.table}")
        self.connection.execute(f"ALTER TABLE next_{step.table} RENAME TO {step.table}")
        return self.count(step.table)
