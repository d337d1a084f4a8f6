"""What all commands share: their common options, the configuration behind them, and how they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from recsys_lab.config import Config

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as in Hydra: data=csv data.path=log.csv model=ease …")
]
ConfDir = Annotated[Path | None, typer.Option(help="A folder of your own that adds to the groups of conf/.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Train again what finished runs already answer.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable JSON on stdout, and nothing else there.")]


def configured(overrides: list[str] | None, conf_dir: Path | None) -> Config:
    from recsys_lab.config import compose

    return compose(overrides or [], conf_dir=conf_dir)


def console(**where: Any) -> Any:
    """A console that shows every text as it is: what others wrote, titles and names, is neither markup nor emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **where)


def say(what: Any) -> None:
    console().print(what)


def say_json(what: Any) -> None:
    print(json.dumps(what, indent=2))


def new_table(*headers: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=title, title_justify="left")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
