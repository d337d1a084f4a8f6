"""The audit must pass what is honest and catch each kind of leak when it is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_lab.data.audit import Audit, audit
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Split
from recsys_lab.data.lineage import LineageStep
from recsys_lab.data.published import LeaveOneOut
from recsys_lab.data.split import TimeSplit
from recsys_lab.errors import ConfigError, LeakError

EVENTS = [
    ("u1", 1, "A"),
    ("u1", 2, "B"),
    ("u2", 2, "A"),
    ("u2", 3, "C"),
    ("u1", 6, "C"),
    ("u2", 7, "B"),
    ("u3", 8, "A"),
]
HONEST = TimeSplit(cutoff="1970-01-01T00:00:05", valid_window=None)


def breaches(found: Audit) -> set[str]:
    return {finding.name for finding in found.findings if not finding.ok}


def with_test(split: Split, **changes: object) -> Split:
    return replace(split, test=replace(split.test, **changes))


def test_an_honest_split_passes_with_its_numbers(make_dataset):
    dataset = make_dataset(EVENTS)
    found = audit(dataset, HONEST.split(dataset))
    assert breaches(found) == set()
    assert found.require().to_dict()["passed"] is True
    shares = {finding.name: finding.value for finding in found.findings}
    assert shares["cold-users"] == pytest.approx(1 / 3)
    assert shares["cold-targets"] == 0


def test_training_on_the_future_is_caught(make_dataset):
    dataset = make_dataset(EVENTS)
    split = HONEST.split(dataset)
    leaked = with_test(split, train=replace(split.test.train, times=split.test.train.times + 3))
    assert "training-before-targets" in breaches(audit(dataset, leaked))
    with pytest.raises(LeakError, match=r"1 of 4 training events .* split.allow=\[training-before-targets\]"):
        audit(dataset, leaked).require()


def test_an_item_of_the_future_is_caught(make_dataset):
    dataset = make_dataset(EVENTS)
    split = HONEST.split(dataset)
    grown = replace(split.test.train, n_items=4)
    leaked = with_test(split, train=grown, catalogue=make_dataset([*EVENTS, ("u9", 9, "D")]).catalogue)
    assert breaches(audit(dataset, leaked)) == {"vocabulary-from-the-past"}


def test_an_attribute_value_of_the_future_is_caught(make_dataset):
    dataset = make_dataset(EVENTS, attributes={"u1": "France", "u3": "Peru"})
    split = HONEST.split(dataset)
    assert breaches(audit(dataset, split)) == set()
    leaked = with_test(split, train=replace(split.test.train, attribute_names=dataset.log.attribute_names))
    assert breaches(audit(dataset, leaked)) == {"attributes-from-the-past"}


def test_a_target_in_its_own_history_is_caught(make_dataset):
    dataset = make_dataset(EVENTS)
    split = HONEST.split(dataset)
    history = split.test.queries.items[: len(split.test.target_items)]
    assert breaches(audit(dataset, with_test(split, target_items=history.copy()))) == {"targets-not-in-history"}
    repeats = replace(with_test(split, target_items=history.copy()), exclude_seen=False)
    assert breaches(audit(dataset, repeats)) == set()


def test_a_history_that_reaches_past_its_target_is_caught(make_dataset):
    dataset = make_dataset(EVENTS)
    split = HONEST.split(dataset)
    late = replace(split.test.queries, times=np.full_like(split.test.queries.times, 99))
    assert breaches(audit(dataset, with_test(split, queries=late))) == {"history-before-targets"}


def test_filters_over_the_whole_log_are_caught_and_can_be_allowed(make_dataset):
    step = LineageStep("k-core", "too few events", 9, 7, scope="whole_log")
    dataset = make_dataset(EVENTS, steps=(step,))
    with pytest.raises(LeakError, match="k-core"):
        audit(dataset, HONEST.split(dataset)).require()
    allowed = replace(HONEST, allow=("whole-log-filters",)).split(dataset)
    finding = next(f for f in audit(dataset, allowed).require().findings if f.name == "whole-log-filters")
    assert (finding.ok, finding.allowed) == (False, True)


def test_allowing_what_is_no_check_is_an_error(make_dataset):
    dataset = make_dataset(EVENTS)
    with pytest.raises(ConfigError, match=r"\['whole-log-filter'\] are no findings .* whole-log-filters"):
        audit(dataset, replace(HONEST, allow=("whole-log-filter",)).split(dataset))


def test_leave_one_out_passes_as_what_it_is(make_dataset):
    dataset = make_dataset([*EVENTS, ("u1", 6, "D"), ("u2", 9, "D")])
    found = audit(dataset, LeaveOneOut().split(dataset)).require()
    assert breaches(found) == {"training-before-targets", "order-of-ties"}
    ties = next(f for f in found.findings if f.name == "order-of-ties" and f.fold == "test")
    assert ties.value == 0.5  # u1 has C and D in the same second


def test_duplicates_are_counted(make_dataset):
    dataset = make_dataset([*EVENTS, ("u1", 1, "A")])
    duplicates = next(f for f in audit(dataset, HONEST.split(dataset)).findings if f.name == "duplicates")
    assert duplicates.value == pytest.approx(1 / 8)


def test_an_item_column_of_the_whole_log_is_caught(make_dataset):
    dataset = make_dataset(EVENTS)
    split = HONEST.split(dataset)
    told = Catalogue(split.test.catalogue.frame.assign(n_events=[3, 2, 2]))
    assert breaches(audit(dataset, with_test(split, catalogue=told))) == {"features-from-the-past"}
