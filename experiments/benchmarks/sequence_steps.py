"""Training steps of one SASRec implementation, on one core, for ``sequences.py`` to time.

    python experiments/benchmarks/sequence_steps.py SIDE LOG.npz

Each line on stdin asks for a round of steps and is answered with a line of JSON: CPU seconds, sequences and
predicted positions. The line "ask" is answered with NDCG@10 of what the log holds back as "next", one item a
user. Every side runs in an environment of its own, so each imports what it needs itself.
All have the same width, blocks, heads, length, batch, dropout, loss (full softmax) and Adam.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

WIDTH, BLOCKS, HEADS, LENGTH, BATCH, DROPOUT, RATE = 64, 2, 1, 50, 128, 0.2, 1e-3
STEPS = 4

Step = Callable[[Any], tuple[int, int]]  # a batch → sequences, positions
Expect = Callable[[torch.Tensor], torch.Tensor]  # histories [Q, LENGTH], -1 before they begin → a score per item [Q, I]
Side = tuple[Iterator[Any], Step, torch.nn.Module, Expect]


def forever(batches: Any) -> Iterator[Any]:
    while True:
        yield from batches


def ours(log: dict[str, np.ndarray]) -> Side:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from recsys_lab.data.log import InteractionLog
    from recsys_lab.models.sasrec import NextItem, SASRec
    from recsys_lab.nn.encoder import initialise
    from recsys_lab.nn.next_item import FullSoftmax
    from recsys_lab.nn.optimizer import optimizer_of
    from recsys_lab.nn.sequences import WindowBatches

    events = InteractionLog.from_events(log["users"], log["items"], log["times"])
    model = SASRec(width=WIDTH, blocks=BLOCKS, heads=HEADS, dropout=DROPOUT, max_history=LENGTH, learning_rate=RATE)
    network = model._network(events.n_items, 0)
    initialise(network, "normal")
    objective = NextItem(network, FullSoftmax())
    optimizer = optimizer_of(objective, model)

    def step(batch: Any) -> tuple[int, int]:
        optimizer.zero_grad()
        objective(batch).backward()
        optimizer.step()
        return len(batch.items), int((batch.targets >= 0).sum())

    def expect(histories: torch.Tensor) -> torch.Tensor:
        vectors = network.items.all()
        latest = network.encoder(vectors[histories.clamp(min=0)], histories >= 0, last_only=True)[:, 0]
        return latest @ vectors.T

    return forever(WindowBatches(events, LENGTH, BATCH, seed=0)), step, network, expect


def rectools(log: dict[str, np.ndarray]) -> Side:
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    frame = pd.DataFrame({Columns.User: log["users"], Columns.Item: log["items"], Columns.Weight: 1.0})
    frame[Columns.Datetime] = pd.to_datetime(log["times"], unit="s")
    model = SASRecModel(
        n_factors=WIDTH,
        n_blocks=BLOCKS,
        n_heads=HEADS,
        session_max_len=LENGTH,
        batch_size=BATCH,
        dropout_rate=DROPOUT,
        lr=RATE,
        loss="softmax",
    )
    model._build_model_from_dataset(Dataset.construct(frame))
    module = model.lightning_model
    module.on_train_start()  # draws the weights
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, betas=(0.9, 0.98))

    def step(batch: Any) -> tuple[int, int]:
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        return len(batch["x"]), int((batch["y"] > 0).sum())

    coded = model.data_preparator.item_id_map.convert_to_internal(np.arange(log["items"].max() + 1))
    codes = torch.from_numpy(np.append(coded, 0))  # 0 is padding, and -1 the last place

    def expect(histories: torch.Tensor) -> torch.Tensor:
        network = module.torch_model
        vectors = network.item_model.get_all_embeddings()
        return network.encode_sessions({"x": codes[histories]}, vectors)[:, -1] @ vectors[codes[:-1]].T

    return forever(model.data_preparator.get_dataloader_train()), step, module, expect


def latest(log: dict[str, np.ndarray], padding: int) -> np.ndarray:
    """Each user's last ``LENGTH`` + 1 items, left-padded, [users, LENGTH + 1]."""
    rows = np.full((log["users"].max() + 1, LENGTH + 1), padding, np.int64)
    offsets = np.searchsorted(log["users"], np.arange(len(rows) + 1))
    for row, (start, end) in enumerate(pairwise(offsets)):
        recent = log["items"][max(start, end - LENGTH - 1) : end]
        rows[row, LENGTH + 1 - len(recent) :] = recent
    return rows


def replay(log: dict[str, np.ndarray]) -> Side:
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.models.nn.sequential.sasrec import SasRec

    n_items = int(log["items"].max()) + 1
    source = TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")
    item = TensorFeatureInfo(
        "item_id",
        FeatureType.CATEGORICAL,
        is_seq=True,
        feature_hint=FeatureHint.ITEM_ID,
        feature_sources=[source],
        cardinality=n_items,
        padding_value=n_items,
        embedding_dim=WIDTH,
    )
    module = SasRec(
        TensorSchema(item),
        block_count=BLOCKS,
        head_count=HEADS,
        hidden_size=WIDTH,
        max_seq_len=LENGTH,
        dropout_rate=DROPOUT,
        loss_type="CE",
    ).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    rows = torch.from_numpy(latest(log, n_items))

    def step(batch: torch.Tensor) -> tuple[int, int]:
        items, labels = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
        fed = {
            "query_id": torch.arange(len(batch)),
            "feature_tensor": {"item_id": items},
            "padding_mask": items != n_items,
            "positive_labels": labels,
            "target_padding_mask": (items != n_items) & (labels != n_items),
        }
        optimizer.zero_grad()
        module._compute_loss(fed).backward()
        optimizer.step()
        return len(batch), int(fed["target_padding_mask"].sum())

    def expect(histories: torch.Tensor) -> torch.Tensor:
        items = torch.where(histories < 0, n_items, histories)
        return module._model.predict({"item_id": items}, histories >= 0)

    return forever(rows.split(BATCH)), step, module, expect


def recbole(log: dict[str, np.ndarray]) -> Side:
    """RecBole expands every prefix into a row, so a sequence is a position."""
    from recbole.model.sequential_recommender.sasrec import SASRec

    n_items = int(log["items"].max()) + 2

    class Sizes:
        def num(self, _field: str) -> int:
            return n_items

    settings = {
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "length",
        "NEG_PREFIX": "neg_",
        "MAX_ITEM_LIST_LENGTH": LENGTH,
        "device": "cpu",
        "n_layers": BLOCKS,
        "n_heads": HEADS,
        "hidden_size": WIDTH,
        "inner_size": WIDTH,
        "hidden_dropout_prob": DROPOUT,
        "attn_dropout_prob": DROPOUT,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "loss_type": "CE",
    }
    module = SASRec(settings, Sizes()).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    rows = torch.from_numpy(latest(log, -1)) + 1
    lengths = (rows[:, :-1] > 0).sum(1)
    rows, lengths = rows[lengths > 0], lengths[lengths > 0]
    order = torch.argsort((rows[:, :-1] == 0).long(), dim=1, stable=True)  # RecBole pads at the right
    items = rows[:, :-1].gather(1, order)

    def step(some: torch.Tensor) -> tuple[int, int]:
        optimizer.zero_grad()
        fed = {"item_list": items[some], "length": lengths[some], "item": rows[some, -1]}
        module.calculate_loss(fed).backward()
        optimizer.step()
        return len(some), len(some)

    def expect(histories: torch.Tensor) -> torch.Tensor:
        first = torch.argsort((histories < 0).long(), dim=1, stable=True)
        return module((histories + 1).gather(1, first), (histories >= 0).sum(1)) @ module.item_embedding.weight[1:].T

    return forever(torch.arange(len(rows)).split(BATCH)), step, module, expect


SIDES = {"ours": ours, "rectools": rectools, "replay": replay, "recbole": recbole}


def ndcg(module: torch.nn.Module, expect: Expect, histories: torch.Tensor, wanted: torch.Tensor) -> float:
    """NDCG@10 of one item each, among all items."""
    module.eval()
    with torch.no_grad():
        best = torch.cat([expect(some).topk(10).indices for some in histories.split(BATCH)])
    module.train()
    return float(((best == wanted[:, None]) / torch.log2(torch.arange(2, 12))).sum(1).mean())


def main() -> None:
    side, path = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    log = dict(np.load(path))
    batches, step, module, expect = SIDES[side](log)
    if "next" not in log:
        step(next(batches))  # the first one is slow everywhere
    answers.write(json.dumps({"torch": torch.__version__, "numpy": np.__version__}) + "\n")
    answers.flush()
    for line in sys.stdin:
        if line.strip() == "ask":
            known = torch.from_numpy(latest(log, -1)[:, 1:])
            answers.write(json.dumps({"ndcg@10": ndcg(module, expect, known, torch.from_numpy(log["next"]))}) + "\n")
            answers.flush()
            continue
        start = time.process_time()
        done = [step(next(batches)) for _ in range(STEPS)]
        seconds = time.process_time() - start
        sequences, positions = (sum(counts) for counts in zip(*done, strict=True))
        answers.write(json.dumps({"seconds": seconds, "sequences": sequences, "positions": positions}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
