"""Several values of some settings: each combination is a run of its own, as ``train`` would make it.

For seeds, cutoffs and families, and to see what a setting does. The numbers are those of the test part, so whoever
chooses by them has seen it: ``tune`` chooses on the validation part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from recsys_lab import pipeline, runs
from recsys_lab.comparison import check_primary
from recsys_lab.config import Config, combinations, compose
from recsys_lab.data.audit import Audit
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Split
from recsys_lab.errors import ModelError
from recsys_lab.progress import track
from recsys_lab.runs import Run

SEED = "seed"


@dataclass(frozen=True)
class Swept:
    """A combination: its ``values`` by setting, and its run, or why the model refused the data."""

    values: dict[str, str]
    run: Run | None = None
    error: str | None = None

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())

    def measured(self, metric: str) -> float:
        """The mean of a metric over the test queries; NaN where it was not measured."""
        return float("nan") if self.run is None else float(self.run.metrics.get(metric, {"mean": "nan"})["mean"])


@dataclass(frozen=True)
class Seeds:
    """What several seeds gave with the same other ``values``: ``mean`` and standard deviation of ``count`` means."""

    values: dict[str, str]
    count: int
    mean: float
    deviation: float


def sweep(
    overrides: Sequence[str], *, conf_dir: Path | None = None, fresh: bool = False, clock: pipeline.Clock = runs.now
) -> list[Swept]:
    """Train and evaluate every combination of the values that ``overrides`` list, in order; those that have a finished
    run are taken as they are unless ``fresh``. All are composed before the first is trained.

    Raises what ``combinations``, ``compose`` and ``train`` do, ModelError when all models refuse.
    """
    asked = [(values, compose(written, conf_dir=conf_dir)) for values, written in combinations(overrides)]
    for _, config in asked:
        check_primary(config["metrics"]["primary"], pipeline.cutoffs(config))
        config.build("split")
    questions: dict[str, tuple[Dataset, Split, Audit]] = {}
    done: list[Swept] = []
    for one, (_, config) in zip(track([Swept(values) for values, _ in asked], "sweeping"), asked, strict=True):
        key = config.fingerprint("data", "split")
        if key not in questions:
            questions = {key: _question(config)}  # the last one alone: logs are large
        dataset, split, audited = questions[key]
        try:
            same = None if fresh else runs.find_same(config.path("runs"), pipeline.run_fingerprint(config, split))
            run = same or pipeline.train(config, dataset, split, audited=audited, clock=clock)
            done.append(replace(one, run=run))
        except ModelError as error:
            done.append(replace(one, error=str(error)))
    if all(each.run is None for each in done):
        raise ModelError("; ".join(dict.fromkeys(each.error or "" for each in done)))
    return done


def _question(config: Config) -> tuple[Dataset, Split, Audit]:
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    return dataset, split, pipeline.check(dataset, split)


def over_seeds(swept: Sequence[Swept], metric: str) -> list[Seeds]:
    """Where seeds were swept: one for each combination of the other settings, in order."""
    means: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(list)
    for each in swept:
        if SEED in each.values and each.run is not None:
            others = tuple((name, value) for name, value in each.values.items() if name != SEED)
            means[others].append(each.measured(metric))
    return [
        Seeds(dict(others), len(found), fmean(found), stdev(found)) for others, found in means.items() if len(found) > 1
    ]
