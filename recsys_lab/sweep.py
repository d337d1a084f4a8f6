"""Several values of some settings: each combination is a run of its own, as ``train`` would make it.

For seeds, cutoffs and families, and to see what a setting does. The numbers are those of the test part, so whoever
chooses by them has seen it: ``tune`` chooses on the validation part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from statistics import fmean, stdev

from recsys_lab import pipeline, runs
from recsys_lab.comparison import check_primary
from recsys_lab.config import Config, combinations, compose
from recsys_lab.data.audit import Audit
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Split
from recsys_lab.errors import DataError, LeakError, ModelError, SplitError
from recsys_lab.progress import track
from recsys_lab.runs import Run
from recsys_lab.tracking import check_tracker

SEED = "seed"


@dataclass(frozen=True)
class Swept:
    """A combination: its ``values`` by setting, and its run, or why there is none."""

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
    """What several seeds gave with the same other ``values``: ``mean`` and standard deviation of ``count`` means, of as
    many data sets as ``datasets`` says: simulated data are made by the seed, too, unless ``data.seed`` is set."""

    values: dict[str, str]
    count: int
    mean: float
    deviation: float
    datasets: int = 1


def sweep(
    overrides: Sequence[str], *, conf_dir: Path | None = None, fresh: bool = False, clock: pipeline.Clock = runs.now
) -> list[Swept]:
    """Train and evaluate every combination of the values that ``overrides`` list, in order; those that have a finished
    run are taken as they are unless ``fresh``. All are composed and built before the first is trained.

    A combination whose data, split or model cannot be had is listed as refused; when all are, that is raised. Raises
    what ``combinations`` and ``compose`` do, and LeakError.
    """
    asked = [(values, compose(written, conf_dir=conf_dir)) for values, written in combinations(overrides)]
    for _, config in asked:
        _check(config)
    questions: dict[str, tuple[Dataset, Split, Audit]] = {}
    made: dict[str, Run] = {}
    done: list[Swept] = []
    for one, (_, config) in zip(track([Swept(values) for values, _ in asked], "sweeping"), asked, strict=True):
        try:
            key = config.fingerprint("data", "split")
            if key not in questions:
                questions = {key: _question(config)}  # the last one alone: logs are large
            dataset, split, audited = questions[key]
            same = pipeline.run_fingerprint(config, split)
            if same not in made:
                kept = None if fresh else runs.find_same(config.path("runs"), same)
                made[same] = kept or pipeline.train(config, dataset, split, audited=audited, clock=clock)
            done.append(replace(one, run=made[same]))
        except LeakError:
            raise
        except (DataError, SplitError, ModelError) as error:
            done.append(replace(one, error=str(error)))
            refusal = error
    if not made:
        raise refusal
    return done


def over_seeds(swept: Sequence[Swept], metric: str) -> list[Seeds]:
    """Where seeds were swept: one for each combination of the other settings, in order."""
    together: dict[tuple[tuple[str, str], ...], list[Swept]] = defaultdict(list)
    for each in swept:
        if SEED in each.values and not isnan(each.measured(metric)):
            together[tuple((name, value) for name, value in each.values.items() if name != SEED)].append(each)
    found = []
    for others, group in together.items():
        if len(group) > 1:
            means = [each.measured(metric) for each in group]
            datasets = {each.run.fingerprints["data"] for each in group if each.run is not None}
            found.append(Seeds(dict(others), len(group), fmean(means), stdev(means), len(datasets)))
    return found


def _check(config: Config) -> None:
    """Raises ConfigError for what would be refused later."""
    check_primary(config["metrics"]["primary"], pipeline.cutoffs(config))
    check_tracker(config["tracker"])
    for part in ("split", "model", "rerank"):
        config.build(part)


def _question(config: Config) -> tuple[Dataset, Split, Audit]:
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    return dataset, split, pipeline.check(dataset, split)
