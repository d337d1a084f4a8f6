"""A fitted model becomes a bundle: write beside, prove that it answers alike, then put in place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from recsys_lab.atomic import whole_folder
from recsys_lab.data.fold import Fold
from recsys_lab.errors import ExportError
from recsys_lab.export.companions import check_names
from recsys_lab.export.drift import write_drift
from recsys_lab.export.golden import write_golden
from recsys_lab.export.parity import check_parity
from recsys_lab.export.part import write_member, write_model
from recsys_lab.export.segments import find_segments
from recsys_lab.export.settings import ExportSettings
from recsys_lab.export.surfaces import read_surfaces, write_surfaces
from recsys_lab.export.tables import write_fallback, write_items
from recsys_lab.export.unknown_names import warn_of_unknown_names
from recsys_lab.models.base import Recommender
from recsys_lab.models.composite import Composite
from serving_min.bundle import Bundle
from serving_min.drift import DRIFT_FILE
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.manifest import FILE_NAME as MANIFEST_FILE
from serving_min.manifest import (
    SEGMENTS_FILE,
    SURFACES_FILE,
    File,
    Fingerprints,
    History,
    Manifest,
    Metric,
    Model,
    Parity,
    Policy,
)
from serving_min.queries import Queries
from serving_min.surfaces import SEGMENT

COMPANION_QUERIES = 200  # with a history, that each companion's parity is checked on
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write_bundle(
    model: Recommender,
    *,
    folder: Path,
    name: str,
    version: str,
    fold: Fold,
    exclude_seen: bool,
    fingerprints: Mapping[str, str],
    metrics: Mapping[str, Any],
    settings: Mapping[str, Any],
    created: datetime,
    companions: Mapping[str, Recommender] | None = None,
) -> Path:
    """Write ``folder/name/version`` as export/README.md describes it, and return that path.

    The fold's queries measure the index and pass the parity gate; its log names event kinds and
    user attributes; ``settings`` are those of ``conf/export``. ``companions`` are fitted models that its surfaces may
    ask, by name. Until everything is proven the folder has a dotted name that nobody reads.
    Raises ExportError when the version is there already or the model cannot be exported, ConfigError for settings
    and names of companions that cannot be, and ParityError when the bundle does not answer as the model does; nothing
    is written then.
    """
    for argument, value in (("name", name), ("version", version)):
        if not PLAIN_NAME.fullmatch(value):
            raise ExportError(f"{argument}: {value!r} is no plain folder name; use letters, digits, '.', '_' and '-'")
    if model.kind is None:
        raise ExportError(f"{model.name}: this model stays in the lab, no bundle can hold it; export one of our own")
    chosen = ExportSettings.read(settings)
    companions = companions or {}
    check_names(companions, model.fitted if isinstance(model, Composite) else ())
    for label, one in {model.name: model, **companions}.items():
        if not np.array_equal(one.catalogue.ids, fold.catalogue.ids):
            raise ExportError(
                f"{label}: was not fitted on the fold's {len(fold.catalogue)} items; export with its own fold"
            )
    segments = find_segments(model, fold.train, chosen)
    others = [*companions, *([] if segments is None else [SEGMENT])]
    surfaces = read_surfaces(settings.get("surfaces") or {}, others, model.catalogue)
    warn_of_unknown_names(surfaces, model.catalogue, fold.train.event_names)
    queries = _sample(fold.queries, chosen)
    k = min(chosen.k, len(model.catalogue))
    final = folder / name / version
    try:
        with whole_folder(final) as partial:
            write_items(model.catalogue, partial / "items.arrow")
            write_fallback(model, partial / "fallback.npz")
            if segments is not None:
                segments.write(partial / SEGMENTS_FILE)
            part = write_model(model, queries, partial, exclude_seen=exclude_seen, k=k, settings=chosen)
            beside = {
                other: write_member(other, companion, queries, partial, exclude_seen=exclude_seen, k=k, settings=chosen)
                for other, companion in companions.items()
            }
            write_surfaces(surfaces, partial / SURFACES_FILE)
            (partial / "golden.jsonl").touch()
            unproven = Manifest(
                name=name,
                version=version,
                created=created.astimezone(UTC).isoformat(timespec="seconds"),
                kind=model.kind,
                model=Model(f"{type(model).__module__}.{type(model).__qualname__}", model.params()),
                fingerprints=Fingerprints(**fingerprints),
                metrics=msgspec.convert(dict(metrics), dict[str, Metric]),
                policy=Policy(exclude_seen),
                history=History(part.max_length, part.inputs, fold.train.event_names, fold.train.attribute_names),
                index=part.index,
                parity=Parity(queries=0, k=k, exact=part.exact, identical=0, recall=0, worst_score_difference=0),
                files={},
                item_encoder=part.item_encoder,
                companions=tuple(member for member, _ in beside.values()),
                segments=None if segments is None else segments.described,
            )
            bundle = _reread(partial, unproven)
            engine = Engine(bundle)
            gate: dict[str, Any] = {
                "k": k,
                "target_recall": chosen.target_recall,
                "tolerance": chosen.tolerance,
                "seed": chosen.seed,
            }
            parity = check_parity(model, Engine(bundle.alone()), queries, exact=part.exact, **gate)
            few = queries.take(np.flatnonzero(queries.lengths)[:COMPANION_QUERIES])
            for other, companion in companions.items():
                check_parity(companion, Engine(bundle.alone(other)), few, exact=beside[other][1].exact, **gate)
            write_golden(engine, queries, model.catalogue, partial / "golden.jsonl")
            write_drift(engine, queries, model.catalogue, partial / DRIFT_FILE)
            _reread(partial, replace(unproven, parity=parity))
    except FileExistsError as error:
        raise ExportError(f"version: {final} is there already, and bundles are never overwritten") from error
    return final


def _sample(queries: Queries, settings: ExportSettings) -> Queries:
    """At most ``parity_queries`` of the test queries, drawn by the seed, in their own order."""
    drawn = np.random.default_rng(settings.seed).permutation(len(queries))[: settings.parity_queries]
    return queries.take(np.sort(drawn))


def _reread(folder: Path, manifest: Manifest) -> Bundle:
    """Complete ``manifest`` with what lies in ``folder``, write it, and load the bundle as the server does."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST_FILE]
    files = {path.relative_to(folder).as_posix(): described(path) for path in found}
    (folder / MANIFEST_FILE).write_bytes(replace(manifest, files=files).to_json())
    try:
        return Bundle.load(folder)
    except BundleError as error:
        raise ExportError(f"the server refuses the bundle: {error}") from error


def described(path: Path) -> File:
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
