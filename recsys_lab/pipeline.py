"""The main job as plain functions: what the command line calls, and what reads well in a notebook.

    config = compose(["data=shop", "model=ease"])
    dataset = prepare(config)
    split = make_split(config, dataset)
    run = train(config, dataset, split)
    bundle = export(config, run, dataset, split)

Each function takes what came before and returns the next thing; files are written as folders
that appear whole.
"""

from __future__ import annotations

import hashlib
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_lab import __version__, runs
from recsys_lab.comparison import check_primary, leaderboard
from recsys_lab.config import PACKAGE, Config, compose
from recsys_lab.data.audit import Audit, audit
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Fold, Split
from recsys_lab.errors import ConfigError, ModelError, RunError
from recsys_lab.evaluation import Evaluation, evaluate, rank, warn_of_silence
from recsys_lab.metrics.content import content_vectors
from recsys_lab.progress import status, track
from recsys_lab.runs import Run
from recsys_lab.settled import as_exported, as_trained
from recsys_lab.tracking import check_tracker
from serving_min.rerank import TopK

if TYPE_CHECKING:
    from recsys_lab.models.base import Recommender
    from recsys_lab.reranking import Reranking
    from recsys_lab.tuning.outcome import Outcome

__all__ = ["check", "compare", "compose", "evaluate_bundle", "evaluate_run", "export", "fit", "make_split"]
__all__ += ["prepare", "report", "train", "tune"]

Clock = Callable[[], datetime]
DECIDING_CODE = ("data", "metrics", "models", "nn", "evaluation.py", "pipeline.py", "reranking.py", "export/tables.py")
# of serving_min: padding, top-k, exclusion and filling; items; the weights of events; past sessions; second stages
SHARED_CODE: tuple[str, ...] = ("queries.py", "bounds.py", "items.py", "content.py", "new_items.py")
SHARED_CODE += ("recency.py", "sessions.py", "opinions.py", "blend.py")
SHARED_CODE += ("rerank", "rules.py", "masks.py", "features.py", "ranking.py", "trees.py", "network.py", "users.py")


def prepare(config: Config) -> Dataset:
    """The prepared data set that ``config`` describes: read from ``paths.prepared`` if it is there."""
    from recsys_lab.data.prepare import prepare as run_steps

    source, cleaning = config.build("data", without="cleaning"), config.build("data.cleaning")
    with status("preparing") as progress:
        return run_steps(source, cleaning, root=config.path("prepared"), progress=progress)


def make_split(config: Config, dataset: Dataset) -> Split:
    """The folds of ``config.split``."""
    split: Split = config.build("split").split(dataset)
    return split


def check(dataset: Dataset, split: Split) -> Audit:
    """The audit, passed. Raises LeakError with the numbers when it is not."""
    return audit(dataset, split).require()


def fit(
    config: Config, split: Split, *, watch: Callable[[float], None] | None = None, folder: Path | None = None
) -> Recommender:
    """A fitted ``config.model``, ready for the test fold.

    A model with epochs stops early on the validation fold; with ``split.refit`` it is then trained
    anew, as long as that took, on everything before the test part. ``watch`` is told its validation score
    after each epoch; what it raises ends the fit. A fit that was killed goes on from what it left in ``folder``.
    """
    model: Recommender = config.build("model")
    model.watch, model.folder = watch, folder
    test, valid = split.test, split.valid
    if valid is None or "max_epochs" not in model.params():
        return model.fit(test.train, catalogue=test.catalogue)
    if not split.refit:
        return model.fit(test.train, catalogue=test.catalogue, valid=valid)
    model.fit(valid.train, catalogue=valid.catalogue, valid=valid)
    return model.refit(test.train, test.catalogue, folder=None if folder is None else folder / "refit")


def train(
    config: Config,
    dataset: Dataset | None = None,
    split: Split | None = None,
    *,
    audited: Audit | None = None,
    clock: Clock = runs.now,
) -> Run:
    """Fit, evaluate on the test fold, and keep all of it in a run folder. Called again after it was
    killed, it goes on with the last epoch that it kept.

    ``audited`` is what ``check`` said of this split, if it was asked already.
    """
    longest = max(cutoffs(config))
    check_tracker(config["tracker"])
    dataset, split = _question(config, dataset, split)
    audited = check(dataset, split) if audited is None else audited
    root, fingerprint = config.path("runs"), run_fingerprint(config, split)
    unfinished = runs.unfinished_folder(root, fingerprint)
    started = time.perf_counter()
    model = fit(config, split, folder=unfinished)
    fit_seconds = time.perf_counter() - started
    started = time.perf_counter()
    lists = rank(model, split.test, longest, split.exclude_seen, config.build("rerank"))
    rank_seconds = time.perf_counter() - started
    evaluation = _evaluate(config, lists, split.test)
    label = config.choices.get("model", model.name)  # two files of conf/model may name one class
    warn_of_silence(label, lists, split.test)

    created = clock()
    name = runs.folder_name(root, label, created, fingerprint)
    run = Run(
        name=name,
        model=label,
        created=created.isoformat(timespec="milliseconds"),
        seed=config["seed"],
        fingerprint=fingerprint,
        fingerprints={"data": dataset.fingerprint, "split": split.fingerprint, "config": config.fingerprint("model")},
        config=config.tree,
        overrides=list(config.overrides),
        metrics=evaluation.summary,
        fit_seconds=round(fit_seconds, 3),
        queries_per_second=round(len(split.test) / rank_seconds, 1),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        split=split.to_dict(),
        audit=audited.to_dict(),
        lineage=asdict(dataset.lineage),
        curve=model.history,
        versions=runs.versions(),
        git=runs.git_revision(),
    )

    def write(name: str, folder: Path) -> Run:
        named = replace(run, name=name, folder=root / name)
        model.save(folder / "model")
        evaluation.save(folder)
        named.write(folder)
        return named

    run = runs.keep(root, name, write)
    shutil.rmtree(unfinished, ignore_errors=True)
    if config["tracker"]["name"] != "none":
        from recsys_lab.tracking import log_run

        log_run(run, config["tracker"])
    return run


def compare(
    config: Config,
    dataset: Dataset | None = None,
    split: Split | None = None,
    *,
    fresh: bool = False,
    clock: Clock = runs.now,
) -> dict[str, Any]:
    """Train every one of ``config.models`` on the identical split and rank them, best first.

    A finished run of the same configuration, data, code and seed is taken as it is unless ``fresh``.
    A model that refuses these data (ModelError) is listed under ``failed``, with its reason.
    With ``tune.enabled`` every model's settings are searched first, with the same budget; a finished
    study is not searched again. Raises ModelError when all models refuse.
    """
    check_primary(config["metrics"]["primary"], cutoffs(config))
    models = _list(config["models"], "models")
    # all of them now; an experiment's params may speak of models that are left out today
    configs = {name: config.for_model(name) for name in [*models, *config["params"]]}
    if config["tune"]["enabled"]:
        from recsys_lab.tuning.space import configured_space

        for name in models:
            configured_space(configs[name])
    dataset, split = _question(config, dataset, split)
    audited = check(dataset, split)
    finished: list[Run] = []
    failed: list[dict[str, str]] = []
    studies: list[dict[str, Any]] = []
    for name in track(list(dict.fromkeys(models)), "comparing"):
        chosen = configs[name]
        try:
            if config["tune"]["enabled"]:
                outcome = tune(chosen, dataset, split)
                studies.append(outcome.to_dict())
                chosen = outcome.applied(chosen)
            same = None if fresh else runs.find_same(config.path("runs"), run_fingerprint(chosen, split))
            finished.append(same or train(chosen, dataset, split, audited=audited, clock=clock))
        except ModelError as error:
            failed.append({"model": name, "error": str(error)})
    if not finished:
        raise ModelError("; ".join(failure["error"] for failure in failed) or "models: the list is empty")
    root = config.path("runs")
    asked = {"seed": config["seed"], **{name: config["metrics"][name] for name in ("primary", "bootstrap")}}
    board = leaderboard(finished, failed, dataset, **asked, created=clock(), root=root, studies=studies)

    def write(name: str, folder: Path) -> dict[str, Any]:
        named = {**board, "name": name}
        runs.write_json(folder / runs.COMPARISON_FILE, named)
        return named

    return runs.keep(root, board["name"], write)


def tune(config: Config, dataset: Dataset | None = None, split: Split | None = None) -> Outcome:
    """Search the configured model's settings on the validation part, or go on where an earlier search ended.

    The outcome, ``experiment/best.yaml`` and a page with plots lie in a folder of ``paths.studies``. The test part
    is not read. Raises ConfigError for a space that does not fit, ModelError when no trial succeeds.
    """
    from recsys_lab.report.study import write_study
    from recsys_lab.tuning.search import search

    check_tracker(config["tracker"])
    dataset, split = _question(config, dataset, split)
    outcome = search(config, dataset, split)
    write_study(outcome.to_dict(), config.path("studies") / outcome.name / "report.html")
    if config["tracker"]["name"] != "none":
        from recsys_lab.tracking import log_study

        log_study(outcome, config["tracker"])
    return outcome


def evaluate_run(run: Run, asked: Config | None = None) -> Evaluation:
    """The run's model, loaded and evaluated again, with the metrics, the re-ranking, … that ``asked`` overrides.

    Raises RunError when the data or the split are others, ConfigError for an override of what the training decided.
    """
    from recsys_lab.models.base import Recommender

    config = as_trained(run, asked)
    _, split = _same_question(config, run.fingerprints)
    model: Recommender = Recommender.load(run.folder / "model", allowed=run.config["allowed_targets"])
    lists = rank(model, split.test, max(cutoffs(config)), split.exclude_seen, config.build("rerank"))
    return _evaluate(config, lists, split.test)


def evaluate_bundle(config: Config, folder: Path) -> Evaluation:
    """The same metrics through the bundle and the server's own engine.

    ``config`` describes the data, the split and the re-ranking; RunError when they are not the bundle's.
    """
    from serving_min.bundle import Bundle
    from serving_min.engine import Engine
    from serving_min.rerank.facts import Facts

    bundle = Bundle.load(folder)
    fingerprints = bundle.manifest.fingerprints
    _, split = _same_question(config, {"data": fingerprints.data, "split": fingerprints.split})
    reranking: Reranking = config.build("rerank")
    recommend, k = Engine(bundle).rank, max(cutoffs(config))
    lists = reranking.apply(recommend, Facts.of(bundle), split.test.queries, k, exclude_seen=split.exclude_seen)
    return _evaluate(config, lists, split.test)


def export(
    config: Config,
    run: Run,
    dataset: Dataset | None = None,
    split: Split | None = None,
    *,
    clock: Clock = runs.now,
) -> Path:
    """The run's model as a verified bundle under ``paths.bundles``; the folder's path. What was done to the run's lists
    is done to those of the surface ``recommend``, too.

    Raises ParityError, and writes nothing, when the bundle's answers differ from the model's, RunError when the data
    or the split are not the run's, and ConfigError for a surface that asks what no bundle has, or an override of what
    the run has settled.
    """
    from recsys_lab.export.bundle import write_bundle
    from recsys_lab.export.companions import companion_names, fit_companions
    from recsys_lab.export.surfaces import check_sources
    from recsys_lab.models.base import Recommender

    surfaces = config["export"].get("surfaces") or {}
    check_sources(surfaces, companion_names(config))
    trained = as_exported(run, config)
    dataset, split = _same_question(trained, run.fingerprints, dataset, split)
    model: Recommender = Recommender.load(run.folder / "model", allowed=run.config["allowed_targets"])
    settings, reranking = config["export"], trained.build("rerank")
    if not reranking.rules.idle:
        settings = {**settings, "surfaces": {"recommend": reranking.surface(), **surfaces}}
    created = clock()
    return write_bundle(
        model,
        folder=config.path("bundles"),
        name=str(settings["name"] or f"{dataset.name}-{run.model}"),
        version=str(settings["version"] or f"{created:%Y%m%dT%H%M%S}-{run.fingerprint[:8]}"),
        fold=split.test,
        exclude_seen=split.exclude_seen,
        fingerprints=run.fingerprints,
        metrics=run.metrics,
        settings=settings,
        created=created,
        companions=fit_companions(config, split.test),
    )


def report(config: Config, board: dict[str, Any], path: Path | None = None) -> Path:
    """A comparison as one HTML page; ``paths.reports`` unless ``path`` says where.

    Raises ConfigError when ``path`` is a folder.
    """
    from recsys_lab.report.page import write_report

    if path is not None and path.is_dir():
        raise ConfigError(f"out: {path} is a folder; give the page's file name, {path / 'report.html'}")
    tables = {entry["model"]: Evaluation.load(config.path("runs") / entry["run"]) for entry in board["models"]}
    return write_report(board, tables, path or config.path("reports") / f"{board['data']['name']}.html")


def run_fingerprint(config: Config, split: Split) -> str:
    """Everything that a run's numbers depend on: split (and with it data), model, re-ranking, metrics, seed, code."""
    label = config.choices.get("model", "")
    parts = [
        split.fingerprint,
        label,
        config.fingerprint("model", "rerank", "metrics", "seed"),
        code_fingerprint(),
        __version__,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def code_fingerprint() -> str:
    """sha256 of the source that decides a run's numbers, so that a changed model is trained again."""
    digest = hashlib.sha256()
    shared = [PACKAGE.parent / "serving_min" / name for name in SHARED_CODE]
    for path in [*(PACKAGE / part for part in DECIDING_CODE), *shared]:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _evaluate(config: Config, lists: TopK, fold: Fold) -> Evaluation:
    metrics = config["metrics"]
    return evaluate(
        lists,
        fold,
        cutoffs=cutoffs(config),
        bootstrap=metrics["bootstrap"],
        seed=config["seed"],
        content=content_vectors(fold.catalogue),
    )


def cutoffs(config: Config) -> list[int]:
    """The lengths of lists that are measured."""
    found = _list(config["metrics"]["cutoffs"], "metrics.cutoffs")
    if not found or not all(isinstance(k, int) and k > 0 for k in found):
        raise ConfigError(f"metrics.cutoffs: {found} are no lengths of lists; write [5,10,20]")
    return found


def _list(value: Any, argument: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{argument}: {value!r} is no list; write [{value}]")
    return value


def _question(config: Config, dataset: Dataset | None = None, split: Split | None = None) -> tuple[Dataset, Split]:
    """Those given, or else what ``config`` says. A split that cannot be is refused before the data are prepared."""
    if split is None:
        config.build("split")
    dataset = prepare(config) if dataset is None else dataset
    return dataset, make_split(config, dataset) if split is None else split


def _same_question(
    config: Config, fingerprints: dict[str, str], dataset: Dataset | None = None, split: Split | None = None
) -> tuple[Dataset, Split]:
    """Those given, or else what ``config`` says. Raises RunError when they are not those of the ``fingerprints``."""
    dataset, split = _question(config, dataset, split)
    for name, found in (("data", dataset.fingerprint), ("split", split.fingerprint)):
        if fingerprints[name] != found:
            raise RunError(
                f"{name}: fingerprint {found[:12]} is not the {fingerprints[name][:12]} it was made with; "
                "the data, their settings or the code that prepares them have changed: train again"
            )
    return dataset, split
