"""Strong generalisation on a log small enough to recount."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_lab.data.audit import audit
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Fold
from recsys_lab.data.strong import Strong
from recsys_lab.errors import ConfigError, SplitError
from tests.conftest import MakeDataset

USERS, LETTERS = 20, "ABCDEFGHIJ"


def dataset_of(make_dataset: MakeDataset, each: int = 10) -> Dataset:
    """Every user touches the first ``each`` letters in an order of their own, the first one of these twice."""
    rng = np.random.default_rng(0)
    events = []
    for user in range(USERS):
        letters = rng.permutation(list(LETTERS[:each]))
        events += [(f"u{user:02d}", time, str(item)) for time, item in enumerate([*letters, letters[0]])]
    return make_dataset(events)


def parts(fold: Fold, row: int) -> tuple[list[int], list[int]]:
    """History and targets of a query, as item codes."""
    queries = fold.queries
    history = queries.items[queries.offsets[row] : queries.offsets[row + 1]]
    return history.tolist(), fold.target_items[fold.target_offsets[row] : fold.target_offsets[row + 1]].tolist()


def test_a_fifth_of_each_held_out_user_s_items_is_asked_for(make_dataset: MakeDataset) -> None:
    dataset = dataset_of(make_dataset)
    split = Strong(heldout_users=4).split(dataset)
    assert split.valid is not None
    assert len(split.valid) == len(split.test) == 4
    for fold in (split.valid, split.test):
        assert not set(fold.users) & set(fold.train.users)
        for row in range(len(fold)):
            history, targets = parts(fold, row)
            assert len(targets) == 2
            assert sorted({*history, *targets}) == list(range(10))
            assert not set(history) & set(targets), "an item asked for is nowhere in the history"
            start, end = fold.queries.offsets[row : row + 2]
            assert (np.diff(fold.queries.times[start:end]) > 0).all(), "the history stays in order"
    assert not set(split.valid.users) & set(split.test.users)
    assert len(np.unique(split.test.train.users)) == USERS - 8
    assert len(split.test.train) == 11 * (USERS - 8)


def test_its_leaks_are_found_and_allowed(make_dataset: MakeDataset) -> None:
    dataset = dataset_of(make_dataset)
    found = audit(dataset, Strong(heldout_users=0.2).split(dataset)).require()
    assert not next(finding for finding in found.findings if finding.name == "history-before-targets").ok
    with pytest.raises(SplitError, match="history-before-targets"):
        audit(dataset, Strong(heldout_users=0.2, allow=("training-before-targets",)).split(dataset)).require()


def test_refit_also_trains_on_those_who_validated(make_dataset: MakeDataset) -> None:
    split = Strong(heldout_users=4, refit=True).split(dataset_of(make_dataset))
    assert split.valid is not None
    assert set(split.valid.users) < set(split.test.train.users)
    assert len(np.unique(split.valid.train.users)) == USERS - 8


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_seed_decides_who_is_asked_and_what(make_dataset: MakeDataset, seed: int) -> None:
    dataset = dataset_of(make_dataset)
    first, again, other = (Strong(heldout_users=5, seed=s).split(dataset).test for s in (seed, seed, seed + 1))
    assert [parts(first, row) for row in range(5)] == [parts(again, row) for row in range(5)]
    asked = [(fold.users.tolist(), [parts(fold, row) for row in range(5)]) for fold in (first, other)]
    assert asked[0] != asked[1]


def test_only_the_wanted_events_are_targets(make_dataset: MakeDataset) -> None:
    events = [(f"u{user}", time, item) for user in range(6) for time, item in enumerate(LETTERS)]
    kinds = ["purchase" if item in "ABCDE" else "view" for _, _, item in events]
    split = Strong(heldout_users=2, target_share=0.9, target_events=("purchase",)).split(
        make_dataset(events, kinds=kinds)
    )
    for row in range(len(split.test)):
        history, targets = parts(split.test, row)
        assert len(history) == 1
        assert set(targets) <= set(range(5))


@pytest.mark.parametrize("heldout_users", [0.01, 0.5, 10, 400])
def test_nobody_or_too_many_held_out_is_an_error(make_dataset: MakeDataset, heldout_users: float) -> None:
    with pytest.raises(SplitError, match=r"split.heldout_users: .* of 20 users twice, of whom 20"):
        Strong(heldout_users=heldout_users).split(dataset_of(make_dataset))


def test_users_with_too_few_items_only_train(make_dataset: MakeDataset) -> None:
    with pytest.raises(SplitError, match="of whom 0 have enough"):
        Strong(heldout_users=4).split(dataset_of(make_dataset, each=4))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="heldout_users: 0"):
        Strong(heldout_users=0)
    with pytest.raises(ConfigError, match="target_share: 1"):
        Strong(target_share=1.0)
    with pytest.raises(ConfigError, match="seed: -1"):
        Strong(seed=-1)
