"""Session cosines counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.also_viewed import AlsoViewed
from tests.models.conformance import RecommenderConformance


class TestAlsoViewed(RecommenderConformance):
    model = AlsoViewed


def log_of(*sessions: list[int], kinds: list[list[int]] | None = None) -> InteractionLog:
    """One user a session; event kinds 0 = view, 1 = purchase."""
    lengths = [len(session) for session in sessions]
    owners = np.repeat(np.arange(len(sessions)), lengths)
    log = InteractionLog.from_events(owners, np.concatenate(sessions), np.arange(len(owners)), n_items=4)
    events = np.zeros(len(owners)) if kinds is None else np.concatenate(kinds)
    return replace(log, events=events.astype(np.int8), event_names=("view", "purchase"))


def test_cosines_by_hand() -> None:
    weights = AlsoViewed(support=1).fit(log_of([0, 1], [1, 0, 1], [0, 2], [0])).item_weights().toarray()
    a, b = 2 / np.sqrt(4 * 2), 1 / np.sqrt(4 * 1)
    np.testing.assert_allclose(weights, [[0, a, b, 0], [a, 0, 0, 0], [b, 0, 0, 0], [0, 0, 0, 0]], rtol=1e-6)


def test_pairs_of_little_support_are_left_out() -> None:
    weights = AlsoViewed(support=2).fit(log_of([0, 1], [1, 0], [0, 2])).item_weights()
    assert sorted(zip(*(side.tolist() for side in weights.tocoo().coords), strict=True)) == [(0, 1), (1, 0)]


def test_purchases_are_no_looks() -> None:
    log = log_of([0, 1, 2], [0, 1, 2], kinds=[[0, 0, 1], [0, 0, 1]])
    assert AlsoViewed().fit(log).item_weights().nnz == 2
    assert AlsoViewed(purchases=True).fit(log).item_weights().nnz == 6


def test_a_log_of_purchases_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing but purchases; set purchases=true"):
        AlsoViewed().fit(log_of([0, 1], kinds=[[1, 1]]))


@pytest.mark.parametrize("settings", [{"support": 0}, {"neighbours": 0}, {"longest": 1}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        AlsoViewed(**settings)
