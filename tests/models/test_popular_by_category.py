"""Votes for the popular items of a category, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.popular_by_category import PopularByCategory
from tests.models.conformance import RecommenderConformance, ask, checkerboard


class TestPopularByCategory(RecommenderConformance):
    model = PopularByCategory

    def test_it_fits_without_a_word_about_the_items(self) -> None:
        with pytest.raises(ModelError, match="no item has a 'category'"):
            self.build().fit(checkerboard())


@pytest.fixture
def shop() -> tuple[InteractionLog, Catalogue]:
    """Tea: item 0 with four events, item 1 with two, item 2 is new. Tools: item 3 with one. Item 4: neither."""
    items = np.array([0, 0, 0, 0, 1, 1, 3, 4, 4])
    log = InteractionLog.from_events(np.arange(9), items, np.zeros(9, np.int64), n_items=5)
    frame = {"item_id": list("abcde"), "category": ["tea", "tea", "tea", "tool", None], "brand": list("xxyyy")}
    return log, Catalogue(pd.DataFrame(frame))


def test_a_new_item_weighs_as_the_mean_of_its_category(shop: tuple[InteractionLog, Catalogue]) -> None:
    log, catalogue = shop
    scores = PopularByCategory().fit(log, catalogue=catalogue).score(ask([[0], [1, 1, 2], [3, 0], [4]]))
    nothing = -np.inf
    tea, tool = [4, 2, 2], [1, nothing]
    expected = [[*tea, nothing, nothing], [8, 4, 4, nothing, nothing], [*tea, *tool], [nothing] * 5]
    np.testing.assert_allclose(scores, expected)


def test_only_the_most_popular_are_kept(shop: tuple[InteractionLog, Catalogue]) -> None:
    log, catalogue = shop
    scores = PopularByCategory(most=1).fit(log, catalogue=catalogue).score(ask([[1]]))
    assert np.flatnonzero(np.isfinite(scores[0])).tolist() == [0]


def test_another_column_may_say_what_a_category_is(shop: tuple[InteractionLog, Catalogue]) -> None:
    log, catalogue = shop
    scores = PopularByCategory(column="brand").fit(log, catalogue=catalogue).score(ask([[0], [3]]))
    np.testing.assert_allclose(scores, [[4, 2, -np.inf, -np.inf, -np.inf], [-np.inf, -np.inf, 1, 1, 2]])


@pytest.mark.parametrize("settings", [{"half_life_days": 0.0}, {"most": 0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        PopularByCategory(**settings)
