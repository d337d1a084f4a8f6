"""What every recommender must do. A model's test inherits it in three lines:

    class TestEASE(RecommenderConformance):
        model = EASE
        settings = {"regularization": 1.0}

The log is a checkerboard: even users touch only even items, odd users only odd ones, so the
right answer is known. Two more items stand in the catalogue and were never touched.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError, NotFittedError
from recsys_lab.models.base import Recommender, VectorModel
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK

USERS, TOUCHED, UNTOUCHED = 60, 16, 2
ITEMS = TOUCHED + UNTOUCHED
DAY = 86_400
CONF = Path(__file__).resolve().parents[2] / "conf" / "model"


def checkerboard(seed: int = 0) -> InteractionLog:
    """Each user touches five of the eight items of their own colour, in random order, one a day."""
    rng = np.random.default_rng(seed)
    items = np.concatenate([2 * rng.permutation(TOUCHED // 2)[:5] + user % 2 for user in range(USERS)])
    users = np.repeat(np.arange(USERS), 5)
    times = np.tile(np.arange(5), USERS) * DAY + 1_000 + users
    return InteractionLog.from_events(users, items, times, n_items=ITEMS)


def colours() -> Catalogue:
    """The checkerboard's catalogue: even items are tea, odd ones tools, in every attribute."""
    even = np.arange(ITEMS) % 2 == 0
    names = ["green", "black", "white", "mint", "rose", "ginger", "lemon", "plain", "rare"]
    return Catalogue(
        pd.DataFrame(
            {
                "item_id": [f"item-{code}" for code in range(ITEMS)],
                "title": [f"{names[code // 2]} {'tea' if code % 2 == 0 else 'hammer'}" for code in range(ITEMS)],
                "text": np.where(even, "leaves for a warm cup", "forged steel with a handle"),
                "category": np.where(even, "drinks", "tools"),
                "brand": np.where(even, "Leafy", "Forge"),
                "price": np.where(even, 3.0, 30.0) + np.arange(ITEMS) / 100,
            }
        )
    )


HISTORIES = [[0, 2, 4], [1, 3], [], [6, 6, 0, 6], [15], [2, 9, 4, 7, 11]]


class RecommenderConformance:
    """Set ``model`` and, where the defaults do not suit 300 events, ``settings``."""

    model: ClassVar[type[Recommender]]
    settings: ClassVar[dict[str, Any]] = {}
    personal: ClassVar[bool] = True  # the list depends on the history

    @classmethod
    def build(cls) -> Recommender:
        return cls.model(**cls.settings)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls) -> Recommender:
        return cls.build().fit(checkerboard(), catalogue=colours())

    @pytest.fixture
    def queries(self) -> Queries:
        return ask(HISTORIES)

    # -- fitting ---------------------------------------------------------------------------

    def test_asking_before_fit_is_refused(self, queries: Queries, tmp_path: Path) -> None:
        with pytest.raises(NotFittedError):
            self.build().recommend(queries, 3)
        with pytest.raises(NotFittedError):
            self.build().save(tmp_path)

    def test_an_empty_log_is_refused(self) -> None:
        nobody = np.zeros(0, np.int32)
        with pytest.raises(ModelError):
            self.build().fit(InteractionLog.from_events(nobody, nobody, nobody, n_items=ITEMS), catalogue=colours())

    def test_a_catalogue_of_another_size_is_refused(self) -> None:
        with pytest.raises(ModelError):
            self.build().fit(checkerboard(), catalogue=colours().take(np.arange(3, dtype=np.int32)))

    def test_fit_returns_the_model_and_the_same_seed_gives_the_same_numbers(
        self, fitted: Recommender, queries: Queries
    ) -> None:
        again = self.build()
        assert again.fit(checkerboard(), catalogue=colours()) is again
        np.testing.assert_array_equal(again.score(queries), fitted.score(queries))

    # -- scores and lists ------------------------------------------------------------------

    def test_scores_are_fresh_float32_without_nan(self, fitted: Recommender, queries: Queries) -> None:
        scores = fitted.score(queries)
        assert scores.shape == (len(queries), ITEMS)
        assert scores.dtype == np.float32
        assert not np.isnan(scores).any()
        before = scores.copy()
        scores[:] = 0
        np.testing.assert_array_equal(fitted.score(queries), before)

    @pytest.mark.parametrize("exclude_seen", [True, False])
    @pytest.mark.parametrize("k", [1, 4, ITEMS, ITEMS + 5])
    def test_lists_are_well_formed(self, fitted: Recommender, queries: Queries, k: int, exclude_seen: bool) -> None:
        lists = fitted.recommend(queries, k, exclude_seen=exclude_seen)
        assert_well_formed(lists, len(queries), k)
        for row, history in enumerate(HISTORIES):
            barred = set(history) if exclude_seen else set()
            left = set(np.flatnonzero(fitted.candidates)) - barred
            found = [item for item in lists.items[row] if item != NOTHING]
            assert len(found) == min(k, len(left)), "a place is blank only when nothing is left"
            assert set(found) <= left

    def test_the_candidates_mask_is_respected(self, fitted: Recommender, queries: Queries) -> None:
        mask = np.isin(np.arange(ITEMS), [3, 4, 5, 10])
        lists = fitted.recommend(queries, 6, exclude_seen=False, candidates=mask)
        assert_well_formed(lists, len(queries), 6)
        for row in lists.items:
            assert set(row) == {NOTHING, 3, 4, 5, 10}

    @pytest.mark.parametrize(
        "mask", [np.arange(ITEMS) % 2, np.ones(ITEMS - 1, np.bool_)], ids=["numbers", "another size"]
    )
    def test_another_mask_is_refused(self, fitted: Recommender, queries: Queries, mask: Any) -> None:
        with pytest.raises(ConfigError, match=r"candidates: shape .* one flag per item"):
            fitted.recommend(queries, 3, candidates=mask)

    @pytest.mark.parametrize("code", [-1, ITEMS])
    def test_an_item_that_is_not_there_is_refused(self, fitted: Recommender, code: int) -> None:
        with pytest.raises(ConfigError, match=f"queries: item code {code} is none of 0 to {ITEMS - 1}"):
            fitted.recommend(ask([[0, 1], [2, code, 3]]), 3)

    def test_lists_of_codes_are_no_queries(self, fitted: Recommender) -> None:
        with pytest.raises(ConfigError, match=r"queries: list is none; make them with Queries\.from_histories"):
            fitted.recommend([[0, 1]], 3)  # type: ignore[arg-type]

    def test_an_empty_history_gets_the_fallback(self, fitted: Recommender) -> None:
        lists = fitted.recommend(ask([[]]), 5)
        assert lists.filled.all()
        popular = [code for code in np.argsort(-fitted.popularity, kind="stable") if fitted.candidates[code]]
        assert lists.items[0].tolist() == popular[:5]
        assert lists.scores[0].tolist() == fitted.popularity[popular[:5]].tolist()

    def test_no_query_gives_no_list(self, fitted: Recommender) -> None:
        lists = fitted.recommend(ask([]), 5)
        assert lists.items.shape == lists.scores.shape == lists.filled.shape == (0, 5)
        assert lists.items.dtype == np.int32

    def test_a_batch_answers_like_single_queries(self, fitted: Recommender, queries: Queries) -> None:
        together = fitted.recommend(queries, 5)
        for row in range(len(queries)):
            assert_same_lists(fitted.recommend(queries.take(np.array([row])), 5), together, [row])

    def test_the_queries_are_left_as_they_were(self, fitted: Recommender) -> None:
        queries, untouched = ask(HISTORIES), ask(HISTORIES)
        fitted.score(queries)
        fitted.recommend(queries, 5)
        np.testing.assert_array_equal(queries.items, untouched.items)

    def test_asking_twice_gives_the_same_answer(self, fitted: Recommender, queries: Queries) -> None:
        first, second = (fitted.recommend(queries, ITEMS) for _ in range(2))
        np.testing.assert_array_equal(first.items, second.items)

    def test_a_very_long_history_is_answered(self, fitted: Recommender) -> None:
        history = np.random.default_rng(1).integers(0, TOUCHED, 700).tolist()
        lists = fitted.recommend(ask([history, [0]]), 3, exclude_seen=False)
        assert_well_formed(lists, 2, 3)
        assert (lists.items != NOTHING).all()

    def test_only_the_latest_events_matter_to_an_encoder(self, fitted: Recommender) -> None:
        if not isinstance(fitted, VectorModel):
            pytest.skip("only encoders cut the history")
        recent = (np.arange(fitted.max_history) % TOUCHED).tolist()
        long = ask([[1] * 9 + recent])  # cut below, not asked anew: the clock must stay the same
        short = long.last(fitted.max_history)
        np.testing.assert_allclose(fitted.score(long), fitted.score(short), rtol=1e-4, atol=1e-5)

    def test_more_places_than_needed_change_nothing(self, fitted: Recommender) -> None:
        if not isinstance(fitted, VectorModel):
            pytest.skip("only encoders have a graph")
        import torch

        module = fitted.query_module().eval()
        queries = ask([history for history in HISTORIES if history]).last(fitted.max_history)
        packed = queries.packed(module.inputs)
        rows, width = packed["places"].shape
        packed["places"] = np.pad(packed["places"], ((0, 0), (0, 32)), constant_values=-1)
        if "cells" in packed:
            packed["cells"] = packed["cells"] + 32 * (packed["cells"] // width)
        with torch.inference_mode():
            wide = module(*map(torch.from_numpy, packed.values())).numpy()
        np.testing.assert_allclose(wide, fitted.encode(queries), rtol=1e-4, atol=1e-5)
        assert wide.dtype == np.float32
        assert wide.shape == (rows, fitted.item_vectors().shape[1])

    # -- learning --------------------------------------------------------------------------

    def test_the_checkerboard_is_found(self, fitted: Recommender) -> None:
        if not self.personal:
            pytest.skip("the same list for everybody")
        lists = fitted.recommend(ask([[0, 2, 4], [1, 3, 5], [14, 12, 10], [15, 13, 11]]), 3)
        assert (lists.items % 2).tolist() == [[0] * 3, [1] * 3, [0] * 3, [1] * 3]
        assert not lists.filled.any()

    def test_it_fits_without_a_word_about_the_items(self) -> None:
        lists = self.build().fit(checkerboard()).recommend(ask([[0, 2, 4]]), 3)
        assert (lists.items != NOTHING).all()

    # -- settings and files ----------------------------------------------------------------

    def test_params_are_the_constructor_arguments(self) -> None:
        model = self.build()
        assert model.params().keys() == inspect.signature(self.model).parameters.keys()
        assert type(model)(**model.params()).params() == model.params()
        assert json.loads(json.dumps(model.params())) == model.params()

    def test_the_yaml_repeats_the_defaults(self) -> None:
        written = yaml.safe_load((CONF / f"{self.build().name}.yaml").read_text())
        written.pop("defaults", None)  # the members of a composite, each with a yaml of its own
        assert written.pop("_target_") == f"{self.model.__module__}.{self.model.__qualname__}"
        defaults = {name: p.default for name, p in inspect.signature(self.model).parameters.items()}
        assert written.keys() == defaults.keys()
        plain = {name for name, value in written.items() if not (isinstance(value, str) and "${" in value)}
        assert {name: written[name] for name in plain} == {name: defaults[name] for name in plain}

    def test_save_and_load_give_identical_lists(self, fitted: Recommender, queries: Queries, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        assert {file.name for file in tmp_path.iterdir()} == {"model.json", "arrays.safetensors", "items.parquet"}
        before = fitted.recommend(queries, 7)
        for loaded in (Recommender.load(tmp_path), self.model.load(tmp_path)):
            assert type(loaded) is type(fitted)
            assert loaded.params() == fitted.params()
            assert loaded.history == fitted.history
            after = loaded.recommend(queries, 7)
            np.testing.assert_array_equal(after.items, before.items)
            np.testing.assert_array_equal(after.scores, before.scores)
            np.testing.assert_array_equal(after.filled, before.filled)

    def test_arrays_that_cannot_be_written_are_an_error(self, fitted: Recommender, tmp_path: Path) -> None:
        (tmp_path / "arrays.safetensors").mkdir()
        with pytest.raises(ModelError, match=r"arrays\.safetensors: cannot be written"):
            fitted.save(tmp_path)

    @pytest.mark.parametrize("change", [{"surprise": 1}, {"params": {"surprise": 1}}])
    def test_unknown_keys_are_refused(self, fitted: Recommender, tmp_path: Path, change: dict[str, Any]) -> None:
        fitted.save(tmp_path)
        described = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps({**described, **change}))
        with pytest.raises(ModelError, match="surprise"):
            Recommender.load(tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", '{"class": "recsys_lab.models.ease.EASE", "params": {}}'])
    def test_a_damaged_description_is_an_error(self, fitted: Recommender, tmp_path: Path, text: str) -> None:
        fitted.save(tmp_path)
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ModelError, match=r"model\.json: damaged"):
            Recommender.load(tmp_path)

    @pytest.mark.parametrize("file", ["arrays.safetensors", "items.parquet"])
    def test_a_file_that_is_damaged_or_not_there_is_an_error(
        self, fitted: Recommender, tmp_path: Path, file: str
    ) -> None:
        fitted.save(tmp_path)
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-1])
        with pytest.raises(ModelError, match="damaged"):
            Recommender.load(tmp_path)
        (tmp_path / file).unlink()
        with pytest.raises(ModelError, match="damaged"):
            Recommender.load(tmp_path)

    def test_arrays_of_another_version_are_an_error(self, fitted: Recommender, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        arrays = load_file(tmp_path / "arrays.safetensors")
        own = [name for name in arrays if name.startswith("model.")]
        if not own:
            pytest.skip("nothing but what all models keep")
        save_file({name: array for name, array in arrays.items() if name != own[0]}, tmp_path / "arrays.safetensors")
        with pytest.raises(ModelError, match="another version"):
            Recommender.load(tmp_path)

    def test_a_class_of_another_package_needs_leave(self, fitted: Recommender, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        described = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps({**described, "class": "no_such_package.Model"}))
        with pytest.raises(ModelError, match="not under allowed_targets"):
            Recommender.load(tmp_path)
        with pytest.raises(ModelError, match="cannot be imported"):
            Recommender.load(tmp_path, allowed=["no_such_package."])


def ask(histories: list[list[int]]) -> Queries:
    """Histories with one event a day, asked a day after the last."""
    times = [[DAY * place for place in range(len(history))] for history in histories]
    return Queries.from_histories(histories, times=times, now=[DAY * (len(history) + 1) for history in histories])


def assert_well_formed(lists: TopK, queries: int, k: int) -> None:
    """Shapes, dtypes, distinct items, best first with ties to the lower code, blanks last."""
    assert lists.items.shape == lists.scores.shape == lists.filled.shape == (queries, k)
    assert (lists.items.dtype, lists.scores.dtype, lists.filled.dtype) == (np.int32, np.float32, np.bool_)
    for items, scores, filled in zip(lists.items, lists.scores, lists.filled, strict=True):
        size = int((items != NOTHING).sum())
        assert (items[:size] != NOTHING).all()
        assert len(set(items[:size])) == size
        assert (scores[size:] == -np.inf).all()
        assert np.isfinite(scores[:size]).all()
        assert (np.diff(filled[:size].astype(int)) >= 0).all(), "what the fallback filled comes last"
        for part in (filled[:size], ~filled[:size]):
            ranked = list(zip(-scores[:size][part], items[:size][part], strict=True))
            assert ranked == sorted(ranked)


def assert_same_lists(found: TopK, expected: TopK, rows: list[int]) -> None:
    """The same scores up to rounding, and the same items but where two scores tie within it."""
    scores = expected.scores[rows]
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.filled, expected.filled[rows])
    with np.errstate(invalid="ignore"):
        gaps = np.abs(np.diff(scores, axis=1, append=scores[:, -1:]))
        close = gaps <= 1e-5 + 1e-4 * np.abs(scores)
    close[:, 1:] |= close[:, :-1].copy()
    assert ((found.items == expected.items[rows]) | close).all()
