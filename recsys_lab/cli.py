"""The command line: one short command per step, one boundary where errors become one line."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from recsys_lab import serving_cli
from recsys_lab.errors import DataError, RecsysLabError
from recsys_lab.terminal import ConfDir, Fresh, Json, Overrides, configured, console, new_table, say, say_json

if TYPE_CHECKING:
    from recsys_lab.config import Config

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and compare recommenders honestly, export the winner, serve it.",
)
data_app = typer.Typer(no_args_is_help=True, help="Prepare a log, or look at it.")
app.add_typer(data_app, name="data")


@data_app.command("prepare")
def data_prepare(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Clean the log, recode it and keep it; a second call finds it done."""
    from recsys_lab import pipeline

    dataset = pipeline.prepare(configured(overrides, conf_dir))
    if as_json:
        described = {"folder": str(dataset.folder), "fingerprint": dataset.fingerprint}
        return say_json({**described, "lineage": asdict(dataset.lineage)})
    table = new_table(
        "step", "rows in", "rows out", "dropped because", title=f"{dataset.name} {dataset.fingerprint[:12]}"
    )
    for step in dataset.lineage.steps:
        if step.dropped:
            table.add_row(step.name, f"{step.rows_in:,}", f"{step.rows_out:,}", step.why)
    if table.row_count:
        say(table)
    say(f"{len(dataset.log):,} events, {len(dataset.catalogue):,} items, {dataset.log.n_users:,} users")
    return say(f"→ {dataset.folder}")


@data_app.command("describe")
def data_describe(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """A page about the log: counts, sparsity, popularity, funnel, cold starts, warnings."""
    from recsys_lab import pipeline
    from recsys_lab.data.describe import describe, render

    description = describe(pipeline.prepare(configured(overrides, conf_dir)))
    return say_json(description.to_dict()) if as_json else render(description, console())


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

    config = configured(overrides, conf_dir)
    erased = forget(user, config.path("prepared"), Settings.read(settings))
    if as_json:
        say_json(asdict(erased))
    else:
        for where, rows in erased.rows.items():
            say(f"{rows:,} rows of {where}")
        if erased.rows:
            say("models and bundles were trained with these rows: train them again")
        elif not erased.open:
            say("nothing is kept")
    if erased.open:
        raise DataError(
            f"a running server writes {erased.open} segments of the log, which may hold more: "
            "ask it, DELETE /v1/users/USER, or forget again when it has ended"
        )


@app.command()
def train(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Fit and evaluate one model: recsys-lab train model=ease."""
    from recsys_lab import pipeline

    run = pipeline.train(configured(overrides, conf_dir))
    if as_json:
        return say_json({"run": run.name, "model": run.model, "metrics": run.metrics, "audit": run.audit})
    _print_metrics(f"{run.model} in {run.fit_seconds:.1f} s", run.metrics)
    return say(f"→ {run.folder}")


@app.command("eval")
def evaluate(
    target: Annotated[str, typer.Argument(help="A run (name, folder, model, latest, best) or a bundle folder.")],
    overrides: Overrides = None,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run again, or a bundle through the server's own engine."""
    from recsys_lab import pipeline, runs

    config = configured(overrides, conf_dir)
    if (Path(target) / "manifest.json").is_file():
        evaluation = pipeline.evaluate_bundle(_config_of_bundle(config, Path(target)), Path(target))
    else:
        evaluation = pipeline.evaluate_run(runs.find_run(config.path("runs"), target), config)
    if as_json:
        return say_json({"target": target, "metrics": evaluation.summary})
    return _print_metrics(target, evaluation.summary)


@app.command()
def compare(overrides: Overrides = None, conf_dir: ConfDir = None, fresh: Fresh = False, as_json: Json = False) -> None:
    """Train several models on the identical split and rank them with their doubt."""
    from recsys_lab import pipeline
    from recsys_lab.report.leaderboard import render

    board = pipeline.compare(configured(overrides, conf_dir), fresh=fresh)
    return say_json(board) if as_json else render(board, console())


@app.command()
def sweep(overrides: Overrides = None, conf_dir: ConfDir = None, fresh: Fresh = False, as_json: Json = False) -> None:
    """Train every combination of several values: recsys-lab sweep model=ease,als seed=1,2,3."""
    from recsys_lab.report.sweep import render, to_dict
    from recsys_lab.sweep import sweep as run_all

    swept = run_all(overrides or [], conf_dir=conf_dir, fresh=fresh)
    return say_json(to_dict(swept)) if as_json else render(swept, console())


@app.command()
def tune(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Search a model's settings on the validation part: recsys-lab tune model=als tune.trials=50."""
    from recsys_lab import pipeline
    from recsys_lab.report.study import render

    config = configured(overrides, conf_dir)
    study = pipeline.tune(config).to_dict()
    if as_json:
        return say_json(study)
    render(study, console())
    return say(f"→ {config.path('studies') / study['name']}")


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

    config = configured(overrides, conf_dir)
    board = runs.find_comparison(config.path("runs"), comparison)
    path = pipeline.report(config, board, out)
    return say_json({"report": str(path)}) if as_json else say(f"→ {path}")


@app.command("runs")
def list_runs(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """List finished runs, newest first."""
    from recsys_lab import runs

    config = configured(overrides, conf_dir)
    found = runs.list_runs(config.path("runs"))
    if not found and not as_json:
        return say(f"no finished run in {config.path('runs')}; `recsys-lab train` makes one")
    if as_json:
        return say_json([{"run": run.name, "model": run.model, "metrics": run.metrics} for run in found])
    primary = config["metrics"]["primary"]
    table = new_table("run", "model", primary, "fit s", "data", "split")
    for run in found:
        mean = run.metrics[primary]["mean"] if primary in run.metrics else float("nan")
        parts = (run.fingerprints["data"][:8], run.split["name"])
        table.add_row(run.name, run.model, f"{mean:.4f}", f"{run.fit_seconds:.1f}", *parts)
    return say(table)


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

    config = configured(overrides, conf_dir)
    folder = pipeline.export(config, runs.find_run(config.path("runs"), run))
    parity = read_manifest(folder).parity
    if as_json:
        return say_json({"bundle": str(folder), "parity": {"identical": parity.identical, "recall": parity.recall}})
    say(f"parity: {parity.identical:.2%} of {parity.queries:,} lists identical, recall {parity.recall:.4f}")
    return say(f"→ {folder}")


for command in serving_cli.COMMANDS:
    app.command()(command)


@app.command("config")
def show_config(overrides: Overrides = None, conf_dir: ConfDir = None, as_json: Json = False) -> None:
    """Print what a command line resolves to."""
    config = configured(overrides, conf_dir)
    if as_json:
        return say_json(config.tree)
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


def _config_of_bundle(config: Config, folder: Path) -> Config:
    """The configuration of a bundle's run, with what ``config`` overrides; ``config`` when that run is not here.

    Runs that differ in their lists alone, by their re-ranking, are told apart by their metrics.
    """
    from recsys_lab import runs
    from recsys_lab.settled import as_trained
    from serving_min.manifest import read_manifest

    manifest = read_manifest(folder)
    means = {name: measure.mean for name, measure in manifest.metrics.items()}
    for run in runs.list_runs(config.path("runs")):
        same = run.fingerprints == {name: getattr(manifest.fingerprints, name) for name in run.fingerprints}
        if same and means == {name: measure["mean"] for name, measure in run.metrics.items()}:
            return as_trained(run, config)
    return config


def _print_metrics(title: str, metrics: dict[str, dict[str, Any]]) -> None:
    table = new_table("metric", "mean", "95 % interval", title=title)
    for name, value in metrics.items():
        interval = "" if value["ci95"] is None else f"{value['ci95'][0]:.4f} – {value['ci95'][1]:.4f}"
        table.add_row(name, f"{value['mean']:.4f}", interval)
    say(table)


if __name__ == "__main__":
    main()
