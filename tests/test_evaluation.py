import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, RunError, SplitError
from recsys_lab.evaluation import Evaluation, evaluate, rank, warn_of_silence
from recsys_lab.models.popular import Popular
from serving_min.queries import Queries
from serving_min.rerank import TopK


def fold(targets: list[list[int]], *, cold: int = 0, categories: bool = True) -> Fold:
    """Five items, seen 4 3 2 1 0 times in training; query q is of user q and knows q events."""
    seen = np.array([0] * 4 + [1] * 3 + [2] * 2 + [3], np.int32)
    frame = pd.DataFrame({"item_id": list("abcde"), "category": ["x", "x", "y", "y", "z"]})
    sizes = [len(row) for row in targets]
    return Fold(
        train=InteractionLog.from_events(np.zeros(10, np.int32), seen, np.arange(10), n_items=5),
        catalogue=Catalogue(frame if categories else frame[["item_id"]]),
        queries=Queries.from_histories([[4] * length for length in range(len(targets))]),
        users=np.arange(len(targets), dtype=np.int32),
        target_offsets=np.cumsum([0, *sizes]),
        target_items=np.array([item for row in targets for item in row], np.int32),
        n_targets=np.array(sizes, np.int64) + cold,
        target_times=np.full(len(targets), 100),
        cutoff=100,
    )


def shown(*lists: list[int]) -> TopK:
    items = np.array(lists, np.int32)
    return TopK(items, np.zeros(items.shape, np.float32), np.zeros(items.shape, np.bool_))


LISTS = shown([0, 1, 2], [3, 4, 0], [4, -1, -1])
TARGETS = [[0, 3], [1], [4]]


def test_per_query_table_by_hand() -> None:
    lists = TopK(LISTS.items, LISTS.scores, np.array([[0, 0, 0], [0, 1, 1], [0, 0, 0]], np.bool_))
    table = evaluate(lists, fold(TARGETS), cutoffs=(1, 3)).per_query
    assert table["user"].tolist() == [0, 1, 2]
    assert table["history_length"].tolist() == [0, 1, 2]
    assert table["n_targets"].tolist() == [2, 1, 1]
    assert table["target_popularity"].tolist() == [2.5, 3, 0]
    np.testing.assert_allclose(table["filled"], [0, 2 / 3, 0], atol=1e-6)
    assert table["recall@3"].tolist() == [0.5, 0, 1]
    assert table["precision@1"].tolist() == [1, 0, 1]
    np.testing.assert_allclose(table["popularity@3"], [3, 5 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(table["category_diversity@3"], [2 / 3, 1, np.nan], atol=1e-6)
    assert table["ndcg@3"].dtype == np.float32


def test_summary_by_hand() -> None:
    summary = evaluate(LISTS, fold(TARGETS), cutoffs=(1, 3)).summary
    assert summary["recall@3"]["mean"] == pytest.approx(0.5)
    assert summary["recall@3"]["ci95"] == [0, 1]
    assert summary["coverage@1"] == {"mean": 3 / 5, "ci95": None}
    assert summary["coverage@3"] == {"mean": 1, "ci95": None}
    assert summary["category_diversity@3"]["mean"] == pytest.approx(5 / 6)
    assert "category_diversity@1" not in summary  # one item has no pair
    assert "content_diversity@3" not in summary


def test_what_the_catalogue_cannot_tell_is_left_out() -> None:
    vectors = np.eye(5, dtype=np.float32)
    summary = evaluate(LISTS, fold(TARGETS, categories=False), cutoffs=(3,), content=vectors).summary
    assert "category_diversity@3" not in summary
    assert summary["content_diversity@3"]["mean"] == pytest.approx(1)


def test_cold_targets_lower_recall_and_target_popularity() -> None:
    table = evaluate(LISTS, fold(TARGETS, cold=1), cutoffs=(3,)).per_query
    np.testing.assert_allclose(table["recall@3"], [1 / 3, 0, 1 / 2], atol=1e-6)
    np.testing.assert_allclose(table["target_popularity"], [5 / 3, 3 / 2, 0], atol=1e-6)


def test_candidates_are_what_coverage_refers_to() -> None:
    candidates = np.array([True, True, False, False, True])
    summary = evaluate(LISTS, fold(TARGETS), cutoffs=(1,), candidates=candidates).summary
    assert summary["coverage@1"]["mean"] == pytest.approx(2 / 3)


def test_without_bootstrap_there_are_no_intervals() -> None:
    summary = evaluate(LISTS, fold(TARGETS), cutoffs=(3,), bootstrap=0).summary
    assert all(measure["ci95"] is None for measure in summary.values())


@pytest.mark.parametrize(
    ("filled", "told"), [([True, True, True], True), ([False, True, True], True), ([True, True, False], False)]
)
def test_a_model_that_has_no_opinion_on_what_was_asked_is_told(
    caplog: pytest.LogCaptureFixture, filled: list[bool], told: bool
) -> None:
    """The first query has no history: what a model says of it tells nothing of what it learned."""
    lists = TopK(LISTS.items, LISTS.scores, np.repeat(np.array(filled)[:, None], 3, axis=1))
    warn_of_silence("slim", lists, fold(TARGETS))
    said = ["slim: has no opinion on 2 of the 2 test queries with a history"] if told else []
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == said


def test_save_and_load(tmp_path: Path) -> None:
    evaluation = evaluate(LISTS, fold(TARGETS), cutoffs=(1, 3))
    evaluation.save(tmp_path / "run")
    loaded = Evaluation.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.per_query, evaluation.per_query)
    assert loaded.summary == evaluation.summary
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == evaluation.summary
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"per_query.parquet", "metrics.json"}


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"per_query\.parquet is missing; train the run again"):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize("name", ["per_query.parquet", "metrics.json"])
def test_loading_what_is_damaged(tmp_path: Path, name: str) -> None:
    evaluate(LISTS, fold(TARGETS), cutoffs=(1, 3)).save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(RunError, match=r"damaged .* train the run again"):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize("cutoffs", [(), (0,), (3, 4)])
def test_cutoffs_that_the_lists_cannot_serve(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="use numbers from 1 to 3"):
        evaluate(LISTS, fold(TARGETS), cutoffs=cutoffs)


def test_a_negative_number_of_resamples() -> None:
    with pytest.raises(ConfigError, match="bootstrap: -1 resamples cannot be drawn"):
        evaluate(LISTS, fold(TARGETS), cutoffs=(3,), bootstrap=-1)


def test_lists_of_another_fold() -> None:
    with pytest.raises(ConfigError, match="3 lists for 2 queries"):
        evaluate(LISTS, fold(TARGETS[:2]), cutoffs=(3,))


def test_folds_that_ask_nothing() -> None:
    with pytest.raises(SplitError, match="no query"):
        evaluate(TopK(LISTS.items[:0], LISTS.scores[:0], LISTS.filled[:0]), fold([]), cutoffs=(3,))
    with pytest.raises(SplitError, match="1 of 3 queries have no target"):
        evaluate(LISTS, fold([[0], [], [1]]), cutoffs=(3,))


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_rank_asks_the_model(exclude_seen: bool) -> None:
    asked = fold(TARGETS)
    model = Popular().fit(asked.train, catalogue=asked.catalogue)
    lists = rank(model, asked, 5, exclude_seen)
    assert (4 in lists.items[2]) is not exclude_seen
    assert 4 in lists.items[0]


def test_every_metric_is_documented() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    summary = evaluate(LISTS, fold(TARGETS), cutoffs=(3,), content=np.eye(5, dtype=np.float32)).summary
    assert len(summary) == 13
    for metric in summary:
        assert f"`{metric.replace('@3', '@k')}`" in page
