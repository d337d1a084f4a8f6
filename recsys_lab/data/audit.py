"""Proof on every run that nothing from the future reached the past.

Every check says what it measured, whether it holds, and whether the protocol allows a breach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_lab.data import columns
from recsys_lab.data.fold import Fold, Split
from recsys_lab.data.moments import iso
from recsys_lab.data.steps import ITEM_AGGREGATES
from recsys_lab.errors import ConfigError, LeakError

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset


@dataclass(frozen=True)
class Finding:
    """One check: ``ok``, or a breach that ``allowed`` says the protocol accepts. ``value`` is its number."""

    name: str
    fold: str
    ok: bool
    allowed: bool
    value: float
    detail: str


@dataclass(frozen=True)
class Audit:
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.ok and not finding.allowed)

    def to_dict(self) -> dict[str, Any]:
        return {"passed": not self.violations, "findings": [asdict(finding) for finding in self.findings]}

    def require(self) -> Audit:
        """Itself, or a LeakError that lists the violations with their numbers."""
        if self.violations:
            listed = "; ".join(f"{finding.name} ({finding.fold}): {finding.detail}" for finding in self.violations)
            names = ", ".join(sorted({finding.name for finding in self.violations}))
            raise LeakError(f"audit: {listed}. If the protocol means it, allow it: split.allow=[{names}]")
        return self


def audit(dataset: Dataset, split: Split) -> Audit:
    """Check the data set and every fold of the split. Raises ConfigError when ``allow`` names no check."""
    folds = [("test", split.test)] + ([("valid", split.valid)] if split.valid else [])
    found = [_whole_log_filters(dataset), _duplicates(dataset)]
    for name, fold in folds:
        found += [
            _training_before_targets(name, fold),
            _history_before_targets(name, fold),
            _order_of_ties(name, fold),
            _vocabulary_from_the_past(name, fold),
            _attributes_from_the_past(name, fold),
            _features_from_the_past(name, fold),
            _targets_unseen(name, fold, split),
            _cold(name, fold, "cold_targets", "targets", "of the distinct target items are unknown at the cutoff"),
            _cold(name, fold, "cold_users", "queries_asked", "of the queries come from users without history"),
        ]
    names = sorted({finding.name for finding in found})
    unknown = sorted(set(split.allowed) - set(names))
    if unknown:
        raise ConfigError(f"split.allow: {unknown} are no findings of this split; there are {', '.join(names)}")
    return Audit(tuple(_allow(finding, split.allowed) for finding in found))


def _allow(finding: Finding, allowed: tuple[str, ...]) -> Finding:
    return Finding(**{**asdict(finding), "allowed": finding.name in allowed})


def _breach(name: str, fold: str, count: int, total: int, detail: str) -> Finding:
    """A check that holds when ``count`` of ``total`` is zero."""
    return Finding(name, fold, count == 0, False, count / max(total, 1), detail)


def _whole_log_filters(dataset: Dataset) -> Finding:
    steps = [step.name for step in dataset.lineage.steps if step.scope == "whole_log"]
    detail = f"steps that look at the whole log: {', '.join(steps)}" if steps else "no step looked at the whole log"
    return _breach("whole-log-filters", "data", len(steps), len(dataset.lineage.steps), detail)


def _duplicates(dataset: Dataset) -> Finding:
    log = dataset.log
    same = np.stack([log.users, log.items, log.times, log.events], axis=1)
    same = same[np.lexsort(same.T)]
    twice = int((np.diff(same, axis=0) == 0).all(axis=1).sum())
    detail = f"{twice:,} of {len(log):,} events repeat another one of the same user, item, type and second"
    return Finding("duplicates", "data", True, False, twice / len(log), detail)


def _training_before_targets(name: str, fold: Fold) -> Finding:
    latest, earliest = int(fold.train.times.max()), int(fold.target_times.min())
    late = int((fold.train.times >= earliest).sum())
    detail = (
        f"latest training event {iso(latest)}, earliest target {iso(earliest)}; "
        f"{late:,} of {len(fold.train):,} training events are not earlier"
    )
    return _breach("training-before-targets", name, late, len(fold.train), detail)


def _history_before_targets(name: str, fold: Fold) -> Finding:
    rows = fold.queries.rows
    late = int((fold.queries.times > fold.target_times[rows]).sum())
    detail = f"{late:,} of {len(rows):,} history events are later than their query's first target"
    return _breach("history-before-targets", name, late, len(rows), detail)


def _order_of_ties(name: str, fold: Fold) -> Finding:
    rows = fold.queries.rows
    tied = np.unique(rows[fold.queries.times == fold.target_times[rows]])
    detail = f"{len(tied):,} of {len(fold):,} queries have a history event in the very second of their target"
    return _breach("order-of-ties", name, len(tied), len(fold), detail)


def _vocabulary_from_the_past(name: str, fold: Fold) -> Finding:
    touched = fold.train.item_counts() > 0
    announced = fold.catalogue.numbers(columns.AVAILABLE_FROM) < fold.cutoff
    late = int((~touched & ~announced).sum())
    detail = f"{late:,} of {len(touched):,} item codes have neither a training event nor an earlier announcement"
    return _breach("vocabulary-from-the-past", name, late, len(touched), detail)


def _attributes_from_the_past(name: str, fold: Fold) -> Finding:
    present = np.unique(fold.train.users)
    late = sum(
        len(values) - len(np.union1d(fold.train.attributes[present, column], [0]))
        for column, (_, values) in enumerate(fold.train.attribute_names)
    )
    total = sum(len(values) for _, values in fold.train.attribute_names)
    return _breach("attributes-from-the-past", name, late, total, f"{late} of {total} values have no user in training")


def _features_from_the_past(name: str, fold: Fold) -> Finding:
    described = [column for column in fold.catalogue.frame if column != columns.ITEM]
    late = sorted({columns.FIRST_SEEN, *ITEM_AGGREGATES}.intersection(described))
    said = f"computed from the whole log: {', '.join(late)}" if late else "none is computed from later events"
    return _breach("features-from-the-past", name, len(late), len(described), f"{len(described)} item columns, {said}")


def _targets_unseen(name: str, fold: Fold, split: Split) -> Finding:
    width = np.int64(fold.train.n_items)
    asked = np.repeat(np.arange(len(fold)), np.diff(fold.target_offsets)) * width + fold.target_items
    had = fold.queries.rows * width + fold.queries.items
    repeated = int(np.isin(asked, had).sum())
    detail = f"{repeated:,} of {len(asked):,} targets are in their query's history"
    if split.exclude_seen:
        return _breach("targets-not-in-history", name, repeated, len(asked), detail)
    return Finding("repeated-targets", name, True, False, repeated / max(len(asked), 1), f"{detail} (repeats allowed)")


def _cold(name: str, fold: Fold, count: str, total: str, words: str) -> Finding:
    number, among = fold.counts[count], max(fold.counts[total], 1)
    share = number / among
    return Finding(count.replace("_", "-"), name, True, False, share, f"{number:,} ({share:.1%}) {words}")
