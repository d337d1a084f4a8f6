"""The commands around a bundle that was exported: serve it, ask it, release it, take it back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_lab.errors import ConfigError
from recsys_lab.terminal import ConfDir, Json, Overrides, configured, new_table, say, say_json

if TYPE_CHECKING:
    from serving_min.releases import Registry, Release

RegistryFolder = Annotated[Path | None, typer.Option(help="The folder with releases.jsonl; paths.bundles by default.")]


def serve(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one (default: 8000).")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="A small storefront at / to look at.")] = False,
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file: see serving_min/README.md; options go before it.")
    ] = None,
) -> None:
    """Serve a bundle over HTTP, as `python -m serving_min` does, which has more options."""
    from serving_min.server import serve as run_server
    from serving_min.settings import Settings

    run_server(bundle, Settings.read(settings, host=host, port=port, dev=dev or None))


def promote(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    registry: RegistryFolder = None,
    as_json: Json = False,
) -> None:
    """Make a bundle the live one, after verifying it: servers of the registry take it when they reload."""
    release = _registry(registry).promote(bundle)
    return say_json(_fields(release)) if as_json else say(f"live: {release.name} {release.version}")


def rollback(registry: RegistryFolder = None, as_json: Json = False) -> None:
    """Make the release before the live one live again."""
    release = _registry(registry).rollback()
    return say_json(_fields(release)) if as_json else say(f"live: {release.name} {release.version}")


def releases(registry: RegistryFolder = None, as_json: Json = False) -> None:
    """List what was promoted and rolled back, newest first."""
    chosen = _registry(registry)
    if registry is not None:
        chosen.must_exist()
    found = chosen.history()[::-1]
    if as_json:
        return say_json([_fields(release) for release in found])
    if not found:
        return say("nothing was released yet; `recsys-lab promote BUNDLE` does")
    table = new_table("when", "what", "name", "version", "bundle")
    for release in found:
        table.add_row(release.at, release.action, release.name, release.version, release.bundle)
    return say(table)


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
        return say_json(msgspec.to_builtins(answer))
    table = new_table("", "item", "title", "category", "score", "reason")
    for place, item in enumerate(answer.items, start=1):
        title, category = (value if isinstance(value, str) else "" for value in (item.title, item.category))
        table.add_row(str(place), item.id, title, category, f"{item.score:.4g}", item.reason)
    say(table)
    if answer.unknown_items:
        say(f"unknown items, ignored: {', '.join(answer.unknown_items)}")
    return say(f"fallback: {answer.fallback}") if answer.fallback else None


def batch(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder, or a registry's.")],
    out: Annotated[Path, typer.Option(help="A folder of its own; asked for again, the job goes on.")],
    overrides: Overrides = None,
    users: Annotated[
        Path | None, typer.Option(help="A .parquet or .jsonl file, or a folder (default: all prepared).")
    ] = None,
    surface: Annotated[str, typer.Option(help="Which surface makes the lists.")] = "email",
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    sent: Annotated[list[Path] | None, typer.Option(help="An earlier job's folder.")] = None,
    not_again_days: Annotated[float, typer.Option(help="Leave out what --sent sent so recently.")] = 0,
    now: Annotated[int | None, typer.Option(help="Epoch seconds (default: when the job was begun).")] = None,
    shard: Annotated[int, typer.Option(help="Users in one part.")] = 50_000,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    conf_dir: ConfDir = None,
    as_json: Json = False,
) -> None:
    """A list for every user, as Parquet: for e-mail and push. A job that was killed goes on."""
    from recsys_lab.progress import counted, status
    from serving_min.batch.job import plan, run
    from serving_min.batch.users import Users
    from serving_min.releases import live_bundle

    bundle = live_bundle(bundle)
    if users is None:
        from recsys_lab import pipeline
        from recsys_lab.export.users import must_fit, prepared_users

        with status("users"):
            dataset = pipeline.prepare(configured(overrides, conf_dir))
            must_fit(dataset, bundle)
            users = prepared_users(dataset)
    elif overrides or conf_dir:
        said = [*(overrides or []), *([f"--conf-dir {conf_dir}"] if conf_dir else [])]
        raise ConfigError(f"users: {users} is all that is read; leave out --users or {' '.join(said)}")
    job = plan(bundle, users, out, surface=surface, now=now, k=k, shard=shard, sent=sent or [], days=not_again_days)
    with counted(len(Users(users)), "users") as done:
        summary = run(job, workers=workers, done=done)
    if as_json:
        return say_json({"out": str(out), **asdict(summary)})
    say(f"→ {out}")
    return say(str(summary))


def _registry(folder: Path | None) -> Registry:
    from serving_min.releases import Registry

    return Registry(folder or configured(None, None).path("bundles"))


def _fields(release: Release) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(release)
    return fields


COMMANDS = (serve, promote, rollback, releases, recommend, batch)
