"""Agreement with two libraries written by others, query by query, to 1e-6.

Where a definition differs, the comment says how, and the adjusted value is compared:

- trec_eval's ``map_cut`` divides by all targets, ours by min(k, targets);
- torchmetrics' average precision divides by the hits found in the list;
- trec_eval's ``recip_rank`` has no cutoff, so it is given the first k items only;
- torchmetrics ranks every item it is shown, so a short list is followed by items that are
  no target, and the targets that are not in the list come last.
"""

from collections.abc import Callable

import numpy as np
import pytest
import pytrec_eval
import torch
from torchmetrics.functional import retrieval

from recsys_lab.metrics import ranking

QUERIES, ITEMS, PLACES = 120, 60, 20


@pytest.fixture(scope="module")
def asked() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Random lists, some short or empty, 1 to 40 targets, and up to 5 cold ones besides."""
    rng = np.random.default_rng(7)
    items = np.stack([rng.permutation(ITEMS)[:PLACES] for _ in range(QUERIES)]).astype(np.int32)
    lengths = rng.choice([0, 1, 4, 9, PLACES], QUERIES, p=[0.05, 0.1, 0.15, 0.2, 0.5])
    items[np.arange(PLACES) >= lengths[:, None]] = -1
    sizes = rng.choice([1, 2, 5, 12, 40], QUERIES)
    targets = [rng.permutation(ITEMS)[:size].astype(np.int32) for size in sizes]
    cold = rng.integers(0, 6, QUERIES)
    return items, targets, cold


def ours(asked: tuple[np.ndarray, list[np.ndarray], np.ndarray], k: int) -> dict[str, np.ndarray]:
    items, targets, _ = asked
    offsets = np.cumsum([0, *map(len, targets)])
    return ranking.at_k(ranking.hits(items, offsets, np.concatenate(targets)), wanted(asked), k)


def wanted(asked: tuple[np.ndarray, list[np.ndarray], np.ndarray]) -> np.ndarray:
    _, targets, cold = asked
    return np.array([len(row) for row in targets]) + cold


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_trec_eval(asked: tuple[np.ndarray, list[np.ndarray], np.ndarray], k: int) -> None:
    items, targets, cold = asked
    judged = {
        str(row): {f"item{item}": 1 for item in targets[row]} | {f"cold{number}": 1 for number in range(cold[row])}
        for row in range(QUERIES)
    }
    # An empty run is no run for trec_eval: one item that nobody wants stands for it.
    runs = {
        str(row): {f"item{item}": float(PLACES - place) for place, item in enumerate(items[row, :k]) if item >= 0}
        or {"unwanted": 1.0}
        for row in range(QUERIES)
    }
    names = {
        "precision": f"P_{k}",
        "recall": f"recall_{k}",
        "ndcg": f"ndcg_cut_{k}",
        "hit_rate": f"success_{k}",
        "mrr": "recip_rank",
        "map": f"map_cut_{k}",
    }
    cut = {name.rpartition("_")[0] + f".{k}" if name[-1].isdigit() else name for name in names.values()}
    answers = pytrec_eval.RelevanceEvaluator(judged, cut).evaluate(runs)
    theirs = {name: np.array([answers[str(row)][other] for row in range(QUERIES)]) for name, other in names.items()}
    theirs["map"] *= wanted(asked) / np.minimum(wanted(asked), k)
    for name, column in ours(asked, k).items():
        np.testing.assert_allclose(column, theirs[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_torchmetrics(asked: tuple[np.ndarray, list[np.ndarray], np.ndarray], k: int) -> None:
    functions: dict[str, Callable[..., torch.Tensor]] = {
        "precision": retrieval.retrieval_precision,
        "recall": retrieval.retrieval_recall,
        "ndcg": retrieval.retrieval_normalized_dcg,
        "hit_rate": retrieval.retrieval_hit_rate,
        "mrr": retrieval.retrieval_reciprocal_rank,
        "map": retrieval.retrieval_average_precision,
    }
    ranked = [everything(asked, row) for row in range(QUERIES)]
    theirs = {
        name: np.array([float(function(*row, top_k=k)) for row in ranked]) for name, function in functions.items()
    }
    values = ours(asked, k)
    found = np.round(values["precision"] * k)
    theirs["map"] *= found / np.minimum(wanted(asked), k)
    for name, column in values.items():
        np.testing.assert_allclose(column, theirs[name], atol=1e-6, err_msg=name)


def everything(asked: tuple[np.ndarray, list[np.ndarray], np.ndarray], row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and relevance of: the list, nothing up to PLACES, then the targets it missed."""
    items, targets, cold = asked
    shown = np.isin(items[row], targets[row])
    missed = len(targets[row]) - shown.sum() + cold[row]
    relevant = np.concatenate([shown, np.ones(missed, np.bool_)])
    return torch.arange(len(relevant), 0, -1).float(), torch.from_numpy(relevant)
