"""Two shops with one past and different futures must look alike at the cutoff."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.fold import Fold
from recsys_lab.data.split import TimeSplit
from recsys_lab.models.content import Content
from recsys_lab.models.popular import Popular
from tests.data.literal import prepared

ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{number:02d}" for number in range(40)],
        "title": ["red cup", "blue cup", "red bowl", "oak desk"] * 10,  # many tie on content
        "available_from": [100 * number for number in range(40)],
    }
)
USERS = pd.DataFrame({"user_id": [f"u{user:02d}" for user in range(60)], "country": [f"c{n % 7}" for n in range(60)]})
CUTOFF = 3_000


def events(seed: int, *, users: int, items: int, times: tuple[int, int]) -> list[tuple[str, str, int]]:
    rng = np.random.default_rng(seed)
    drawn = zip(rng.integers(users, size=300), rng.integers(items, size=300), rng.integers(*times, 300), strict=True)
    return [(f"u{user:02d}", f"i{item:02d}", int(time)) for user, item, time in drawn]


def fold_before(future: int, folder: Path) -> Fold:
    past = events(0, users=30, items=20, times=(0, CUTOFF))
    dataset = prepared(
        folder, [*past, *events(future, users=60, items=40, times=(CUTOFF, 5_000))], items=ITEMS, users=USERS
    )
    return TimeSplit(cutoff="1970-01-01T00:50:00", valid_window=None, cold_users="keep").split(dataset).test


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fold, Fold]:
    return fold_before(1, tmp_path_factory.mktemp("one")), fold_before(2, tmp_path_factory.mktemp("other"))


def test_training_vocabulary_and_catalogue_are_the_same(folds):
    one, other = folds
    assert one.counts != other.counts
    pd.testing.assert_frame_equal(one.catalogue.frame, other.catalogue.frame)
    assert one.train.attribute_names == other.train.attribute_names
    for name in ("users", "items", "times", "events", "values", "weights", "baskets"):
        np.testing.assert_array_equal(getattr(one.train, name), getattr(other.train, name))
    # sessions are numbered through, later ones of earlier users included: only who shares one matters
    sessions = [np.unique(fold.train.sessions, return_inverse=True)[1] for fold in folds]
    np.testing.assert_array_equal(*sessions)
    known = one.train.users.max() + 1
    np.testing.assert_array_equal(one.train.attributes[:known], other.train.attributes[:known])


@pytest.mark.parametrize("model", [Popular(), Content(dimensions=4)], ids=["popular", "content"])
def test_lists_are_the_same_ties_included(folds, model):
    lists = []
    for fold in folds:
        asked = fold.train.histories(CUTOFF).take(np.arange(fold.train.users.max() + 1))
        lists.append(model.fit(fold.train, catalogue=fold.catalogue).recommend(asked, 25).items)
    np.testing.assert_array_equal(*lists)
