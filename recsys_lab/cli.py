"""The command line: one short command per step, one boundary where errors become one line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from recsys_lab.errors import ConfigError, RecsysLabError

if TYPE_CHECKING:
    from recsys_lab.config import Config
    from serving_min.releases import Registry, Release

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and compare recommenders honestly, export the winner, serve it.",
)
data_app = typer.Typer(no_args_is_help=True, help="Prepare a log, or look at it.")
app.add_typer(data_app, name="data")

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as in Hydra: data=csv data.path=log.csv model=ease …")
]
ConfDir = Annotated[Path | None, typer.Option(help="A folder of your own that adds to the groups of conf/.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable JSON on stdout, and nothing else there.")]

RegistryFolder = Annotated[Path | None, typer.Option(help="The folder with releases.jsonl; paths.bundles by default.")]


@data_app.command("prepare")
def data_prepare(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Clean the log, recode it and keep it; a second call finds it done."""
    from recsys_lab import pipeline

    dataset = pipeline.prepare(_config(overrides, conf_dir))
    if as_json:
        described = {"folder": str(dataset.folder), "fingerprint": dataset.fingerprint}
        return _print_json({**described, "lineage": asdict(dataset.lineage)})
    table = _table("step", "rows in", "rows out", "dropped because", title=f"{dataset.name} {dataset.fingerprint[:12]}")
    for step in dataset.lineage.steps:
        if step.dropped:
            table.add_row(step.name, f"{step.rows_in:,}", f"{step.rows_out:,}", step.why)
    if table.row_count:
        _print(table)
    _print(f"{len(dataset.log):,} events, {len(dataset.catalogue):,} items, {dataset.log.n_users:,} users")
    return _print(f"→ {dataset.folder}")


@data_app.command("describe")
def data_describe(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """A page about the log: counts, sparsity, popularity, funnel, cold starts, warnings."""
    from recsys_lab import pipeline
    from recsys_lab.data.describe import describe, render

    description = describe(pipeline.prepare(_config(overrides, conf_dir)))
    return _print_json(description.to_dict()) if as_json else render(description, _console())


@data_app.command("forget")
def data_forget(
    user: Annotated[str, typer.Argument(help="A user's id.")],
    overrides: Overrides = None,
    settings: Annotated[
        Path | None, typer.Option(help="The server's settings, a TOML file: its log and its salt.")
    ] = None,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """Remove a user from all prepared data, and from the log of a server that does not run."""
    from recsys_lab.data.forget import forget
    from serving_min.settings import Settings

    config = _config(overrides, conf_dir)
    removed = forget(user, config.path("prepared"), Settings.read(settings))
    if as_json:
        return _print_json(removed)
    for where, rows in removed.items():
        _print(f"{rows:,} rows of {where}")
    return _print("models and bundles were trained with these rows: train them again" if removed else "nothing is kept")


@app.command()
def train(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Fit and evaluate one model: recsys-lab train model=ease."""
    from recsys_lab import pipeline

    run = pipeline.train(_config(overrides, conf_dir))
    if as_json:
        return _print_json({"run": run.name, "model": run.model, "metrics": run.metrics, "audit": run.audit})
    _print_metrics(f"{run.model} in {run.fit_seconds:.1f} s", run.metrics)
    return _print(f"→ {run.folder}")


@app.command("eval")
def evaluate(
    target: Annotated[str, typer.Argument(help="A run (name, folder, model, latest, best) or a bundle folder.")],
    overrides: Overrides = None,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run again, or a bundle through the server's own engine."""
    from recsys_lab import pipeline, runs

    config = _config(overrides, conf_dir)
    others = config["metrics"] if any(override.startswith("metrics") for override in overrides or []) else None
    if (Path(target) / "manifest.json").is_file():
        evaluation = pipeline.evaluate_bundle(_config_of_bundle(config, Path(target), others), Path(target))
    else:
        evaluation = pipeline.evaluate_run(runs.find_run(config.path("runs"), target), others)
    if as_json:
        return _print_json({"target": target, "metrics": evaluation.summary})
    return _print_metrics(target, evaluation.summary)


@app.command()
def compare(
    overrides: Overrides = None,
    conf_dir: ConfDir = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again what finished runs already answer.")] = False,
    as_json: Json = False,
) -> None:
    """Train several models on the identical split and rank them with their doubt."""
    from recsys_lab import pipeline
    from recsys_lab.report.leaderboard import render

    board = pipeline.compare(_config(overrides, conf_dir), fresh=fresh)
    return _print_json(board) if as_json else render(board, _console())


@app.command()
def tune(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Search a model's settings on the validation part: recsys-lab tune model=als tune.trials=50."""
    from recsys_lab import pipeline
    from recsys_lab.report.study import render

    config = _config(overrides, conf_dir)
    study = pipeline.tune(config).to_dict()
    if as_json:
        return _print_json(study)
    render(study, _console())
    return _print(f"→ {config.path('studies') / study['name']}")


@app.command()
def report(
    overrides: Overrides = None,
    conf_dir: ConfDir = None,
    comparison: Annotated[str, typer.Option(help="Name of a comparison; the latest by default.")] = "latest",
    out: Annotated[Path | None, typer.Option(help="The page to write; paths.reports by default.")] = None,
    as_json: Json = False,
) -> None:
    """Write the latest comparison as one self-contained HTML page with plots."""
    from recsys_lab import pipeline, runs

    config = _config(overrides, conf_dir)
    board = runs.find_comparison(config.path("runs"), comparison)
    path = pipeline.report(config, board, out)
    return _print_json({"report": str(path)}) if as_json else _print(f"→ {path}")


@app.command("runs")
def list_runs(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """List finished runs, newest first."""
    from recsys_lab import runs

    config = _config(overrides, conf_dir)
    found = runs.list_runs(config.path("runs"))
    if not found and not as_json:
        return _print(f"no finished run in {config.path('runs')}; `recsys-lab train` makes one")
    if as_json:
        return _print_json([{"run": run.name, "model": run.model, "metrics": run.metrics} for run in found])
    primary = config["metrics"]["primary"]
    table = _table("run", "model", primary, "fit s", "data", "split")
    for run in found:
        mean = run.metrics[primary]["mean"] if primary in run.metrics else float("nan")
        parts = (run.fingerprints["data"][:8], run.split["name"])
        table.add_row(run.name, run.model, f"{mean:.4f}", f"{run.fit_seconds:.1f}", *parts)
    return _print(table)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run: name, folder, model, latest, or best (of the last comparison).")],
    overrides: Overrides = None,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """Write a run's model as a bundle, after proving that its answers are the model's."""
    from recsys_lab import pipeline, runs
    from serving_min.manifest import read_manifest

    config = _config(overrides, conf_dir)
    folder = pipeline.export(config, runs.find_run(config.path("runs"), run))
    parity = read_manifest(folder).parity
    if as_json:
        return _print_json({"bundle": str(folder), "parity": {"identical": parity.identical, "recall": parity.recall}})
    _print(f"parity: {parity.identical:.2%} of {parity.queries:,} lists identical, recall {parity.recall:.4f}")
    return _print(f"→ {folder}")


@app.command()
def serve(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    host: str = "127.0.0.1",
    port: int = 8000,
    dev: Annotated[bool, typer.Option("--dev", help="A small storefront at / to look at.")] = False,
    settings: Annotated[Path | None, typer.Option(help="A TOML file: see serving_min/README.md.")] = None,
) -> None:
    """Serve a bundle over HTTP, as `python -m serving_min` does, which has more options."""
    from serving_min.server import serve as run_server
    from serving_min.settings import Settings

    run_server(bundle, Settings.read(settings, host=host, port=port, dev=dev or None))


@app.command()
def promote(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    registry: RegistryFolder = None,
    as_json: Json = False,
) -> None:
    """Make a bundle the live one, after verifying it: servers of the registry take it when they reload."""
    release = _registry(registry).promote(bundle)
    return _print_json(_fields(release)) if as_json else _print(f"live: {release.name} {release.version}")


@app.command()
def rollback(registry: RegistryFolder = None, as_json: Json = False) -> None:
    """Make the release before the live one live again."""
    release = _registry(registry).rollback()
    return _print_json(_fields(release)) if as_json else _print(f"live: {release.name} {release.version}")


@app.command()
def releases(registry: RegistryFolder = None, as_json: Json = False) -> None:
    """List what was promoted and rolled back, newest first."""
    found = _registry(registry).history()[::-1]
    if as_json:
        return _print_json([_fields(release) for release in found])
    if not found:
        return _print("nothing was released yet; `recsys-lab promote BUNDLE` does")
    table = _table("when", "what", "name", "version", "bundle")
    for release in found:
        table.add_row(release.at, release.action, release.name, release.version, release.bundle)
    return _print(table)


@app.command()
def recommend(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    history: Annotated[str, typer.Option(help="Item ids, oldest first, separated by commas.")] = "",
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    as_json: Json = False,
) -> None:
    """Ask a bundle directly: recsys-lab recommend BUNDLE --history A,B,C -k 10."""
    import msgspec

    from serving_min.bundle import Bundle
    from serving_min.engine import Engine
    from serving_min.messages import Request

    items = [item.strip() for item in history.split(",") if item.strip()]
    try:
        request = msgspec.convert({"history": items, "k": k}, Request)
    except msgspec.ValidationError as error:
        raise ConfigError(f"recommend: {error}") from error
    answer = Engine(Bundle.load(bundle)).recommend([request])[0]
    if as_json:
        return _print_json(msgspec.to_builtins(answer))
    table = _table("", "item", "title", "category", "score", "reason")
    for place, item in enumerate(answer.items, start=1):
        title, category = (value if isinstance(value, str) else "" for value in (item.title, item.category))
        table.add_row(str(place), item.id, title, category, f"{item.score:.4g}", item.reason)
    _print(table)
    if answer.unknown_items:
        _print(f"unknown items, ignored: {', '.join(answer.unknown_items)}")
    return _print(f"fallback: {answer.fallback}") if answer.fallback else None


@app.command()
def batch(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    out: Annotated[Path, typer.Option(help="A folder of its own; asked for again, the job goes on.")],
    overrides: Overrides = None,
    users: Annotated[Path | None, typer.Option(help="A .parquet or .jsonl file, or a folder [all prepared].")] = None,
    surface: Annotated[str, typer.Option(help="Which surface makes the lists.")] = "email",
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    sent: Annotated[list[Path] | None, typer.Option(help="An earlier job's folder.")] = None,
    not_again_days: Annotated[float, typer.Option(help="Leave out what --sent sent so recently.")] = 0,
    now: Annotated[int | None, typer.Option(help="Epoch seconds [when the job was begun].")] = None,
    shard: Annotated[int, typer.Option(help="Users in one part.")] = 50_000,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """A list for every user, as Parquet: for e-mail and push. A job that was killed goes on."""
    from recsys_lab.progress import counted, status
    from serving_min.batch.job import plan, run
    from serving_min.batch.users import Users

    if users is None:
        from recsys_lab import pipeline
        from recsys_lab.export.users import prepared_users

        with status("users"):
            users = prepared_users(pipeline.prepare(_config(overrides, conf_dir)))
    job = plan(bundle, users, out, surface=surface, now=now, k=k, shard=shard, sent=sent or [], days=not_again_days)
    with counted(len(Users(users)), "users") as done:
        summary = run(job, workers=workers, done=done)
    if as_json:
        return _print_json({"out": str(out), **asdict(summary)})
    speed = f", {summary.users_per_cpu_second:,.0f} users a CPU second" if summary.users_per_cpu_second else ""
    _print(f"{summary.users:,} users, {summary.rows:,} rows; {summary.answered:,} users answered now{speed}")
    return _print(f"→ {out}")


@app.command("config")
def show_config(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Print what a command line resolves to."""
    config = _config(overrides, conf_dir)
    if as_json:
        return _print_json(config.tree)
    return print(config.to_yaml(), end="")


def main() -> None:
    """Expected errors are one line and exit code 2; anything else is a bug and shows its traceback."""
    from typer.exceptions import TyperException

    from serving_min.errors import ServingError

    try:
        code = app(standalone_mode=False)  # Typer would draw a box around a mistyped option
    except TyperException as error:
        said = error.format_message().rstrip(".")
        _refuse(f"{said}; --help shows what there is" if said else "")  # without a word, the help has been shown
    except (RecsysLabError, ServingError) as error:
        _refuse(str(error))
    except OSError as error:  # the disk is full, a folder is not writable, …
        _refuse(f"{error.filename or 'files'}: {error.strerror or error}")
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("recsys-lab: interrupted; nothing half-written is kept", file=sys.stderr)
    sys.exit(code)


def _refuse(message: str) -> NoReturn:
    if message:
        print(f"recsys-lab: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _config(overrides: list[str] | None, conf_dir: Path | None) -> Config:
    from recsys_lab.config import compose

    return compose(overrides or [], conf_dir=conf_dir)


def _config_of_bundle(config: Config, folder: Path, metrics: dict[str, Any] | None) -> Config:
    """The configuration of the run that a bundle came from, with these ``metrics``; the one given if it is not here."""
    from recsys_lab import runs
    from recsys_lab.config import Config
    from serving_min.manifest import read_manifest

    fingerprints = read_manifest(folder).fingerprints
    for run in runs.list_runs(config.path("runs")):
        if run.fingerprints == {name: getattr(fingerprints, name) for name in run.fingerprints}:
            return Config({**run.config, "metrics": metrics or run.config["metrics"]}, tuple(run.overrides))
    return config


def _registry(folder: Path | None) -> Registry:
    from serving_min.releases import Registry

    return Registry(folder or _config(None, None).path("bundles"))


def _fields(release: Release) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(release)
    return fields


def _console() -> Any:
    from rich.console import Console

    return Console()


def _print(what: Any) -> None:
    _console().print(what, highlight=False)


def _print_json(what: Any) -> None:
    print(json.dumps(what, indent=2))


def _table(*headers: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=title, title_justify="left")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _print_metrics(title: str, metrics: dict[str, dict[str, Any]]) -> None:
    table = _table("metric", "mean", "95 % interval", title=title)
    for name, value in metrics.items():
        interval = "" if value["ci95"] is None else f"{value['ci95'][0]:.4f} – {value['ci95'][1]:.4f}"
        table.add_row(name, f"{value['mean']:.4f}", interval)
    _print(table)


if __name__ == "__main__":
    main()
