"""RecBole's side of ``evaluation``; it runs in RecBole's environment.

python -m experiments.benchmarks.evaluation_peers LOG REPEATS
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from typing import Any

from experiments.benchmarks.collaborative_peers import open_recbole
from experiments.benchmarks.peers import cpu_seconds, peak_memory_mib, versions

METRICS = ["Recall", "MRR", "NDCG", "Hit", "Precision"]
USERS_AT_ONCE = (1, 128, 616)  # its batch is counted in scores, by default 4,096: one user here


def evaluate(path: str, repeats: int) -> dict[str, Any]:
    """``Trainer.evaluate`` of BPR, whose vectors are as they were drawn: their values take no time."""
    from recbole.data.dataloader import FullSortEvalDataLoader
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        config, train, test = open_recbole("bpr", path, folder, metrics=METRICS)
        trainer = Trainer(config, get_model(config["model"])(config, train.dataset))
        for users in USERS_AT_ONCE:
            config["eval_batch_size"] = users * train.dataset.item_num
            loader = FullSortEvalDataLoader(config, test._dataset, test._sampler)
            seconds[str(users)] = cpu_seconds(partial(trainer.evaluate, loader, load_best_model=False), repeats)[0]
    return {
        "cpu_seconds_by_users_at_once": seconds,
        "peak_memory_mib": peak_memory_mib(),
        "metrics": METRICS,
        "versions": versions(["recbole", "torch", "numpy", "scipy"]),
    }


if __name__ == "__main__":
    log, repeats = sys.argv[1:]
    sys.stdout.write("\n" + json.dumps(evaluate(log, int(repeats))) + "\n")
