"""Content vectors whose cosines are known, cold items, and the exported graph."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.export.encoder import export_encoder
from recsys_lab.models.content import Content
from serving_min.queries import Queries
from tests.models.conformance import TOUCHED, RecommenderConformance, ask, checkerboard, colours


class TestContent(RecommenderConformance):
    model = Content
    settings = {"max_history": 12}

    def test_it_fits_without_a_word_about_the_items(self) -> None:
        with pytest.raises(ModelError, match="no item has a title, text, category, brand or price"):
            self.build().fit(checkerboard())


@pytest.fixture
def genres() -> Content:
    """Items 0 and 1 are comedies, 2 is a war film, 3 has no content, 4 is an untouched comedy."""
    catalogue = Catalogue(
        pd.DataFrame({"item_id": list("abcde"), "category": ["comedy", "comedy", "war", None, "comedy"]})
    )
    log = InteractionLog.from_events(np.array([0, 0, 0]), np.array([1, 2, 3]), np.arange(3), n_items=5)
    return Content(half_life_events=1.0).fit(log, catalogue=catalogue)


def test_recent_events_weigh_more(genres: Content) -> None:
    """With a half-life of one event, war then comedy is the direction (comedy 1, war ½)."""
    scores = genres.score(ask([[2, 1]]))[0]
    np.testing.assert_allclose(scores, np.array([1, 1, 0.5, 0, 1]) / np.sqrt(1.25), rtol=1e-6)


def test_untouched_items_are_candidates_and_items_without_content_are_not(genres: Content) -> None:
    assert genres.candidates.tolist() == [True, True, True, False, True]
    lists = genres.recommend(ask([[1]]), 5)
    assert lists.items.tolist() == [[0, 4, 2, -1, -1]]


def test_each_part_weighs_what_its_setting_says() -> None:
    """Two items share the brand alone, two the category, two the price."""
    frame = {"category": ["a", "b", "c", "c", "d", "e"], "brand": ["x", "x", "y", "z", "u", "v"]}
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abcdef"), **frame, "price": [1.0, 9, 2, 8, 5, 5]}))
    log = InteractionLog.from_events(np.array([0, 0]), np.array([0, 1]), np.arange(2), n_items=6)
    model = Content(category_weight=3.0, brand_weight=2.0, price_weight=1.0).fit(log, catalogue=catalogue)
    scores = model.score(ask([[0], [2], [4]]))[[0, 1, 2], [1, 3, 5]]
    np.testing.assert_allclose(scores, np.array([4, 9, 1]) / (9 + 4 + 1), rtol=1e-6)


def test_vectors_are_reduced_to_the_dimensions_asked_for() -> None:
    model = Content(dimensions=4).fit(checkerboard(), catalogue=colours())
    assert model.item_vectors().shape == (TOUCHED + 2, 4)
    np.testing.assert_allclose(np.linalg.norm(model.item_vectors(), axis=1), 1, rtol=1e-5)
    assert (model.recommend(ask([[1, 3]]), 5).items % 2 == 1).all()


def test_the_exported_graph_answers_like_torch(tmp_path: Path) -> None:
    model = Content(max_history=6).fit(checkerboard(), catalogue=colours())
    asked = ask([[0, 2, 4], [], [1, 1, 3], list(range(14)), [5]])
    assert export_encoder(model.query_module(), asked, model.max_history, tmp_path / "encoder.onnx") < 1e-5


def test_an_empty_history_is_a_zero_vector() -> None:
    model = Content(max_history=6).fit(checkerboard(), catalogue=colours())
    assert not model.encode(ask([[], [1]]))[0].any()


def test_a_bonus_lifts_what_nobody_touched(tmp_path: Path) -> None:
    plain, lifted = (
        Content(max_history=6, new_item_bonus=bonus).fit(checkerboard(), catalogue=colours()) for bonus in (0.0, 0.25)
    )
    asked = ask([[0, 1], [4], []])
    added = 0.25 * (np.arange(TOUCHED + 2) >= TOUCHED)
    np.testing.assert_allclose(lifted.score(asked)[:2], plain.score(asked)[:2] + added, atol=1e-6)
    assert not lifted.encode(asked)[2].any(), "an empty history has no opinion of new items either"
    assert export_encoder(lifted.query_module(), asked, 6, tmp_path / "encoder.onnx") < 1e-5
    lifted.save(tmp_path / "model")
    np.testing.assert_array_equal(Content.load(tmp_path / "model").score(asked), lifted.score(asked))


def test_a_penalty_for_new_items_is_refused() -> None:
    with pytest.raises(ConfigError, match="new_item_bonus: -1"):
        Content(new_item_bonus=-1)


@pytest.mark.parametrize("name", ["dimensions", "half_life_events", "max_history", "max_features", "price_buckets"])
def test_settings_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: 0"):
        Content(**{name: 0})


def test_a_history_without_any_vector_is_answered_by_the_fallback():
    catalogue = Catalogue(pd.DataFrame({"item_id": list("ABCD"), "title": ["red bag", "red bags", "blue hat", ""]}))
    log = InteractionLog.from_events(
        np.array([0, 0, 1, 1, 2], np.int32), np.array([0, 1, 2, 3, 3], np.int32), np.arange(5, dtype=np.int64)
    )
    model = Content(dimensions=2).fit(log, catalogue=catalogue)
    assert model.recommend(Queries.from_histories([[3], [0]]), 2).filled.all(axis=1).tolist() == [True, False]


def test_images_count_beside_the_words() -> None:
    """All titles are alike; only the pictures, of which item 3 has none, tell the items apart."""
    pictures = [[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], None]
    frame = {"item_id": list("abcd"), "title": ["lamp"] * 4, "image_vector": pictures}
    log = InteractionLog.from_events(np.array([0, 0]), np.array([0, 1]), np.arange(2), n_items=4)
    model = Content(image_weight=1.0).fit(log, catalogue=Catalogue(pd.DataFrame(frame)))
    scores = model.score(ask([[0]]))[0]
    np.testing.assert_allclose(scores[[0, 2, 3]], [1, 0.5, np.sqrt(0.5)], rtol=1e-6)
    assert scores[1] == pytest.approx((1 + 2 / np.hypot(2, 0.1)) / 2)


def test_a_folder_without_a_text_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"text_model: .* has no tokenizer\.json"):
        Content(text_model=str(tmp_path)).fit(checkerboard(), catalogue=colours())
