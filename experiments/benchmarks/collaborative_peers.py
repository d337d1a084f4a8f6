"""The other libraries' side of ``collaborative``; each function runs in its own environment.

python -m experiments.benchmarks.collaborative_peers LIBRARY MODEL LOG REPEATS
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.peers import cpu_seconds, peak_memory_mib, versions

Writer = Callable[[Any, Path], None]


def ndcg(lists: Any, test: Any) -> float:
    """NDCG@10 of one target each."""
    return round(float(((lists == test[:, None]) / np.log2(np.arange(2, 12))).sum(axis=1).mean()), 4)


def implicit(_: str, path: str, repeats: int) -> dict[str, Any]:
    """ALS as our settings for it; its regularisation and confidence were chosen on a few values for this log."""
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse

    stored = np.load(path)
    ones = np.ones(len(stored["users"]), np.float32)
    matrix = sparse.csr_matrix((ones, (stored["users"], stored["items"])))
    settings = {"factors": 64, "iterations": 15, "regularization": 30.0, "alpha": 5.0}

    def fit() -> Any:
        fitted = AlternatingLeastSquares(**settings, num_threads=1, random_state=1, use_gpu=False)
        fitted.fit(matrix, show_progress=False)
        return fitted

    seconds, fitted = cpu_seconds(fit, repeats)
    memory = peak_memory_mib()
    lists, _ = fitted.recommend(np.arange(matrix.shape[0]), matrix, N=10, filter_already_liked_items=True)
    return {
        "fit_cpu_seconds": seconds,
        "peak_memory_mib": memory,
        "ndcg@10": ndcg(lists, stored["test"]),
        "settings": settings,
        "versions": versions(["implicit", "numpy", "scipy"]),
    }


def rectools(model: str, path: str, repeats: int) -> dict[str, Any]:
    import pandas as pd
    from implicit.nearest_neighbours import CosineRecommender
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import EASEModel, ImplicitItemKNNWrapperModel

    stored = np.load(path)
    frame = pd.DataFrame({Columns.User: stored["users"], Columns.Item: stored["items"], Columns.Weight: 1.0})
    frame[Columns.Datetime] = pd.Timestamp("2026-01-01")
    dataset = Dataset.construct(frame)

    def fit() -> Any:
        if model == "ease":
            return EASEModel(regularization=200.0, recommend_n_threads=1).fit(dataset)
        return ImplicitItemKNNWrapperModel(CosineRecommender(K=200, num_threads=1)).fit(dataset)

    seconds, fitted = cpu_seconds(fit, repeats)
    memory = peak_memory_mib()
    users = np.arange(len(stored["test"]))
    shown = fitted.recommend(users=users, dataset=dataset, k=10, filter_viewed=True)
    found = shown.merge(
        pd.DataFrame({Columns.User: users, Columns.Item: stored["test"]}), on=[Columns.User, Columns.Item]
    )
    return {
        "fit_cpu_seconds": seconds,
        "peak_memory_mib": memory,
        "ndcg@10": round(float((1 / np.log2(1 + found[Columns.Rank])).sum() / len(users)), 4),
        "versions": versions(["RecTools", "pm-implicit", "numpy", "scipy"]),
    }


def recbole(model: str, path: str, repeats: int) -> dict[str, Any]:
    """Fitting is building the model."""
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    with tempfile.TemporaryDirectory() as folder:
        config, train, test = open_recbole(model, path, folder, metrics=["NDCG"], eval_batch_size=4_096 * 512)
        fit_seconds, fitted = cpu_seconds(lambda: get_model(config["model"])(config, train.dataset), repeats)
        memory = peak_memory_mib()
        found = Trainer(config, fitted).evaluate(test, load_best_model=False)
    return {
        "fit_cpu_seconds": fit_seconds,
        "peak_memory_mib": memory,
        "ndcg@10": found["ndcg@10"],
        "versions": versions(["recbole", "torch", "numpy", "scipy"]),
    }


def open_recbole(
    model: str, path: str, folder: str, write: Writer | None = None, **settings: Any
) -> tuple[Any, Any, Any]:
    """RecBole's configuration, training data and test data for the generated log, ranking every item."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import init_seed

    names = {"ease": "EASE", "itemknn": "ItemKNN", "bpr": "BPR", "sasrec": "SASRec"}
    own = {"ease": {"reg_weight": 200.0}, "itemknn": {"k": 200, "shrink": 0.0}, "bpr": {"embedding_size": 64}}
    (write or write_atomic_files)(np.load(path), Path(folder) / "log")
    os.chdir(folder)  # it writes beside where it runs
    config = Config(
        model=names[model],
        dataset="log",
        config_dict={
            "data_path": folder,
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {"group_by": "user", "order": "RO", "mode": "full", "split": {"RS": [8, 1, 1]}},
            "topk": [10],
            "valid_metric": "NDCG@10",
            "use_gpu": False,
            "show_progress": False,
            "checkpoint_dir": folder,
            "state": "ERROR",
            **own.get(model, {}),
            **settings,
        },
    )
    init_seed(7, True)
    train, _, test = data_preparation(config, create_dataset(config))
    return config, train, test


def write_atomic_files(stored: Any, folder: Path) -> None:
    """RecBole's three files; it numbers ids by first appearance, and masks validation items too."""
    folder.mkdir()
    everyone = np.arange(len(stored["test"]))
    parts = {
        "train": (stored["users"], stored["items"]),
        "valid": (everyone, stored["valid"]),
        "test": (everyone, stored["test"]),
    }
    for part, (users, items) in parts.items():
        rows = "".join(f"{user}\t{item}\n" for user, item in zip(users.tolist(), items.tolist(), strict=True))
        (folder / f"log.{part}.inter").write_text(f"user_id:token\titem_id:token\n{rows}")


if __name__ == "__main__":
    library, model, path, repeats = sys.argv[1:]
    sides = {"implicit": implicit, "rectools": rectools, "recbole": recbole}
    sys.stdout.write("\n" + json.dumps(sides[library](model, path, int(repeats))) + "\n")
