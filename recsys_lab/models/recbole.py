"""Any general, sequential or context-aware model of RecBole, on our splits, queries and metrics.

Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation
Algorithms", CIKM 2021. RecBole builds the model and trains it on our training log; what is asked, how
lists are made and which epoch is kept is ours, as for every other model.

Shapes: B queries at a time, L ``max_history``, I items. RecBole's codes are ours plus one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.seed import isolate_rng

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.known_users import STRANGER, KnownUsers
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.evaluation import mean_ndcg
from recsys_lab.models.base import Arrays, Recommender
from recsys_lab.nn.recbole_compat import recbole_calls
from recsys_lab.nn.recbole_tables import events_table, items_table, users_table
from recsys_lab.nn.recipe import at_least
from recsys_lab.nn.record import SCORE
from serving_min.queries import Queries

LOG = logging.getLogger(__name__)
SCORES_PER_BLOCK = 1 << 18  # models without a ranking of their own score each pair in a row of its own
OURS = {  # RecBole's names of what has a name of ours
    "model": "model",
    "epochs": "max_epochs",
    "stopping_step": "patience",
    "train_batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "clip_grad_norm": "clip",
    "MAX_ITEM_LIST_LENGTH": "max_history",
    "seed": "seed",
    "gpu_id": "trainer",
    "eval_args": "split",
}


@dataclass(kw_only=True, eq=False)
class RecBole(Recommender):
    """``model`` is RecBole's name for it, ``settings`` are RecBole's own for that model (``n_layers`` …).

    Sequential models answer from the history. The others know a user by a learned vector, so they
    answer those training users alone whose history the query's begins with; on strangers they have no
    opinion, popularity answers, and a warning says how many those were. ``item_fields`` are columns of
    the catalogue for models with features (None: category, brand, text), besides user attributes.
    Items without a training event are no candidates. Of ``trainer`` only the accelerator counts.
    RecBole's models stay in the lab: no bundle can hold them.

    Raises ConfigError for a model or setting that RecBole does not know, ModelError when it fails.
    """

    kind = None

    model: str = "BPR"
    settings: Mapping[str, Any] = field(default_factory=dict)
    item_fields: Sequence[str] | None = None
    max_history: int = 50
    batch_size: int = 2048
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 0.0
    max_epochs: int = 50
    patience: int = 5
    exclude_seen: bool = False
    trainer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 7

    def __post_init__(self) -> None:
        at_least(1, max_history=self.max_history, batch_size=self.batch_size)
        at_least(1, max_epochs=self.max_epochs, patience=self.patience)
        at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay, clip=self.clip)
        taken = sorted(self.settings.keys() & OURS.keys())
        if taken:
            raise ConfigError(f"settings.{taken[0]}: is {OURS[taken[0]]} here; set that")
        self._kept_epoch = 0

    @property
    def best_epoch(self) -> int:
        return self._kept_epoch

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        self.candidates = train.item_counts() > 0
        with recbole_calls(), isolate_rng(), TemporaryDirectory() as folder:
            self._prepare(train, catalogue, folder)
            self.history, self._kept_epoch = self._built.train(self._validation(valid))

    def score(self, queries: Queries) -> NDArray[np.float32]:
        scores = np.full((len(queries), len(self.candidates)), -np.inf, np.float32)
        users = self._users.of(queries)
        rows = np.flatnonzero((users != STRANGER) if self._built.asks_who else (queries.lengths > 0))
        self._tell(int((queries.lengths > 0).sum()) - len(rows), len(queries))
        step = max(1, SCORES_PER_BLOCK // len(self.candidates))
        with recbole_calls(), isolate_rng(), torch.no_grad():
            seed_everything(self.seed, verbose=False)  # for models that draw while they predict
            for block in (rows[start : start + step] for start in range(0, len(rows), step)):
                scores[block] = self._built.scores(users[block] + 1, *self._padded(queries.take(block)))
        scores[np.isnan(scores)] = -np.inf
        return scores

    def _padded(self, queries: Queries) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The latest events as RecBole lays them out: codes [B, L], padded behind, and lengths [B]."""
        recent = queries.last(self.max_history)
        places = np.arange(len(recent.items)) - np.repeat(recent.offsets[:-1], recent.lengths)
        items = np.zeros((len(recent), self.max_history), np.int64)
        items[recent.rows, places] = recent.items + 1
        return items, recent.lengths

    def _prepare(self, log: InteractionLog, catalogue: Catalogue, folder: str) -> None:
        """Build data set and model; the same log and seed give the same, weights apart."""
        try:
            from recsys_lab.nn.recbole_parts import RecBoleModel
        except ModuleNotFoundError as error:
            raise ModelError(
                f"model=recbole needs the package {error.name}: pip install 'recsys-lab[recbole]', "
                "then pip install --no-deps recbole==1.2.1 (its metadata asks for ray, which nothing here uses)"
            ) from error

        seed_everything(self.seed, verbose=False)
        given = {
            **self.settings,
            "epochs": self.max_epochs,
            "stopping_step": self.patience - 1,  # RecBole stops one epoch after it
            "train_batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "clip_grad_norm": {"max_norm": self.clip} if self.clip else None,
            "MAX_ITEM_LIST_LENGTH": self.max_history,
            "seed": self.seed,
            "checkpoint_dir": folder,
        }
        tables = events_table(log), users_table(log), items_table(catalogue, self.item_fields)
        device = "cpu" if self.trainer.get("accelerator", "cpu") == "cpu" else "cuda"
        self._log, self._users = log, KnownUsers(log)
        self._built = RecBoleModel(self.model, given, tables, device)

    def _validation(self, valid: Fold | None) -> Callable[[dict[str, float]], float] | None:
        """What writes NDCG@10 of the real lists into an epoch's entry, and returns it."""
        if valid is None or len(valid) == 0:
            return None

        def validate(entry: dict[str, float]) -> float:
            entry[SCORE] = mean_ndcg(self, valid, 10, exclude_seen=self.exclude_seen)
            if self.watch is not None:
                self.watch(entry[SCORE])
            return entry[SCORE]

        return validate

    def _tell(self, strangers: int, asked: int) -> None:
        """Once for each number, not once an epoch."""
        if strangers and strangers != getattr(self, "_told", 0):
            LOG.warning(
                "recbole %s knows training users only: %d of %d queries (%.1f %%) are strangers and get popular items",
                *(self.model, strangers, asked, 100 * strangers / asked),
            )
            self._told = strangers

    def _arrays(self) -> Arrays:
        log = {name: getattr(self._log, name) for name in ("users", "items", "times", "attributes")}
        return {f"log.{name}": array for name, array in log.items()} | self._built.arrays()

    def _restore(self, arrays: Arrays) -> None:
        users, items, times, attributes = (arrays[f"log.{name}"] for name in ("users", "items", "times", "attributes"))
        log = InteractionLog.from_events(users, items, times, n_users=len(attributes), n_items=len(self.candidates))
        with recbole_calls(), isolate_rng(), TemporaryDirectory() as folder:
            self._prepare(replace(log, attributes=attributes), self.catalogue, folder)
            self._built.load(arrays)
