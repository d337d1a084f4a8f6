"""RecBole's side of ``evaluation``; it runs in RecBole's environment.

python -m experiments.benchmarks.evaluation_peers MODEL LOG REPEATS
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.collaborative_peers import open_recbole
from experiments.benchmarks.peers import cpu_seconds, peak_memory_mib, versions

METRICS = ["Recall", "MRR", "NDCG", "Hit", "Precision"]  # what RecBole measures unless told otherwise
LENGTH = 50
USERS_AT_ONCE = {"bpr": (128, 616), "sasrec": (128, 512)}


def evaluate(model: str, path: str, repeats: int) -> dict[str, Any]:
    """``Trainer.evaluate`` of a model whose weights are as they were drawn: their values take no time.

    RecBole counts a batch, by default 4,096, in scores for a model of users and in users for one of histories.
    """
    from recbole.data.dataloader import FullSortEvalDataLoader
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    seconds, vectors = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        settings, write = ({}, None) if model == "bpr" else (OF_HISTORIES, write_histories)
        config, train, test = open_recbole(model, path, folder, write, metrics=METRICS, **settings)
        trainer = Trainer(config, get_model(config["model"])(config, train.dataset))
        scores = 1 if model == "sasrec" else train.dataset.item_num
        for name, batch in (("default", 4_096), *((str(users), users * scores) for users in USERS_AT_ONCE[model])):
            config["eval_batch_size"] = batch
            loader = FullSortEvalDataLoader(config, test._dataset, test._sampler)
            seconds[name] = cpu_seconds(partial(trainer.evaluate, loader, load_best_model=False), repeats)[0]
            vectors[name] = cpu_seconds(partial(encode, trainer.model, loader), repeats)[0]
    return {
        "cpu_seconds_by_users_at_once": seconds,
        "of_which_vectors": vectors,
        "peak_memory_mib": peak_memory_mib(),
        "metrics": METRICS,
        "versions": versions(["recbole", "torch", "numpy", "scipy"]),
    }


def encode(model: Any, batches: Any) -> None:
    """The query vectors alone; those of users need only be looked up."""
    import torch

    if hasattr(model, "ITEM_SEQ"):
        with torch.no_grad():
            for asked, *_ in batches:
                model.eval().forward(asked[model.ITEM_SEQ], asked[model.ITEM_SEQ_LEN])


OF_HISTORIES: dict[str, Any] = {
    "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
    "alias_of_item_id": ["item_id_list"],
    "MAX_ITEM_LIST_LENGTH": LENGTH,
    "train_neg_sample_args": None,
    "eval_args": {"group_by": "user", "order": "TO", "mode": "full", "split": {"LS": "valid_and_test"}},
}


def write_histories(stored: Any, folder: Path) -> None:
    """One row a user, the latest events and the item to find, so that RecBole does not expand every prefix."""
    ends = np.searchsorted(stored["users"], np.arange(len(stored["test"])), side="right").tolist()
    items = stored["items"].tolist()
    folder.mkdir()
    for part in ("train", "valid", "test"):
        target = stored["valid" if part == "valid" else "test"].tolist()
        rows = [
            f"{user}\t{' '.join(map(str, items[max(0, end - LENGTH) : end]))}\t{target[user]}\n"
            for user, end in enumerate(ends)
        ]
        if part == "train":  # where every item must occur
            rows += [f"0\t{item}\t{item}\n" for item in range(max(items) + 1)]
        header = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
        (folder / f"log.{part}.inter").write_text(header + "".join(rows))


if __name__ == "__main__":
    model, log, repeats = sys.argv[1:]
    answer = evaluate(model, log, int(repeats))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
