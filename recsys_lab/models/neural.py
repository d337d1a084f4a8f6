"""What the neural models share: how they are trained, chosen, saved and asked."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ModelError
from recsys_lab.evaluation import mean_ndcg
from recsys_lab.models.base import Arrays, VectorModel
from recsys_lab.nn.recipe import Recipe, at_least
from recsys_lab.nn.training import SCORE, train


@dataclass(kw_only=True, eq=False)
class NeuralModel(Recipe, VectorModel):
    """A VectorModel around one ``network``, trained epoch by epoch.

    Given a validation fold, training stops when NDCG@10 of the real lists no longer rises, and
    the best epoch's weights are kept; without one it runs ``max_epochs``. To use all data in the
    end, fit once with the fold, then again with ``max_epochs=best_epoch`` and without it.

    The settings are dataclass fields, so a subclass adds its own, repeats those whose default
    differs, and checks them in ``__post_init__``. With ``exclude_seen`` the validation lists leave out
    what the history holds. Subclasses implement ``_learn`` and ``_build``; ``_ready`` is called whenever the
    network's weights have changed and queries may follow.
    """

    max_history: int = 50
    exclude_seen: bool = False
    network: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, max_history=self.max_history)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, counted from 1; 0 before training."""
        if self.history and SCORE in self.history[0]:
            scores = [entry[SCORE] for entry in self.history]
            return 1 + scores.index(max(scores))
        return len(self.history)

    def _fit(self, train: InteractionLog, catalogue: Any, valid: Fold | None) -> None:
        # all draws come from ``seed``; the caller's random state is put back afterwards
        with isolate_rng():
            torch.manual_seed(self.seed)
            self._learn(train, valid)
        self._ready()

    @abstractmethod
    def _learn(self, log: InteractionLog, valid: Fold | None) -> None:
        """Set ``candidates``, build ``network`` and call ``_train``."""

    @abstractmethod
    def _build(self, arrays: Arrays) -> nn.Module:
        """The network that the saved ``arrays`` fit into; its weights may be anything."""

    def _ready(self) -> None:
        """Refresh what is derived from the weights."""

    def _train(self, objective: nn.Module, batches: Any, valid: Fold | None) -> None:
        if len(batches) == 0:
            raise ModelError(f"{self.name}: no user has an event to predict from an earlier one; widen the history")
        if valid is not None and len(valid.catalogue) != len(self.catalogue):
            raise ModelError(
                f"{self.name}: the validation fold has {len(valid.catalogue)} items for the log's {len(self.catalogue)}"
            )
        asked = valid is not None and len(valid) > 0
        self.history = train(
            objective,
            batches,
            self,
            validate=(lambda: self._ndcg(valid)) if valid is not None and asked else None,
            folder=self.folder,
        )

    def _ndcg(self, valid: Fold) -> float:
        self._ready()
        score = mean_ndcg(self, valid, 10, exclude_seen=self.exclude_seen)
        if self.watch is not None:
            self.watch(score)
        return score

    def _arrays(self) -> Arrays:
        return {name: weights.detach().cpu().numpy() for name, weights in self.network.state_dict().items()}

    def _restore(self, arrays: Arrays) -> None:
        self.network = self._build(arrays)
        self.network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        self._ready()
