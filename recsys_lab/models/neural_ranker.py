"""A second stage that is a network: what ``wide_deep`` and ``ncf`` share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.composite import NOBODY, Members
from recsys_lab.models.second_stage import Lessons, SecondStage

if TYPE_CHECKING:
    from recsys_lab.nn.ranking import RankingNetwork
    from serving_min.ranking import Table


class NetworkScorer:
    """The network in torch, with the meaning of ``serving_min.network.Network``."""

    def __init__(self, network: RankingNetwork, max_length: int) -> None:
        self.network, self.max_length = network.eval(), max_length

    def score(self, table: Table) -> NDArray[np.float32]:
        import torch

        scores = [np.zeros(0, np.float32)]
        with torch.inference_mode():
            for given in table.given(self.max_length):
                tensors = [torch.from_numpy(given[name]) for name in self.network.inputs]
                scores.append(self.network(*tensors)[0].numpy())
        return np.concatenate(scores)


class NeuralRanker(SecondStage):
    """Trained on the practice questions for the hits of each to come first (``nn.listwise``), for ``epochs`` passes.

    A feature is cut into ``steps`` between quantiles, an item has ``factors``, the first hidden layer ``width`` units.
    All hits are learned from, and the share ``misses`` of the candidates that are none. Ties go to the lower item code.
    """

    kind = "ranker"

    scorer: NetworkScorer

    def __init__(
        self,
        *,
        members: Members = NOBODY,
        steps: int = 8,
        factors: int = 8,
        width: int = 64,
        dropout: float = 0.1,
        epochs: int = 5,
        learning_rate: float = 0.002,
        weight_decay: float = 0.01,
        batch_size: int = 32,
        max_history: int = 200,
        misses: float = 0.4,
        depth: int = 100,
        days: float | None = 28.0,
        folds: int = 6,
        exclude_seen: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__(members, depth, days, folds, exclude_seen)
        sizes = {"steps": steps, "factors": factors, "width": width, "epochs": epochs}
        for name, value in {**sizes, "batch_size": batch_size, "max_history": max_history}.items():
            if value < 1:
                raise ConfigError(f"{name}: {value} must be 1 or more")
        if not (0 < misses <= 1 and 0 <= dropout < 1):
            raise ConfigError(f"misses: {misses} must be more than 0, at most 1; dropout: {dropout} 0 or more, below 1")
        if not (learning_rate > 0 and weight_decay >= 0):
            raise ConfigError(
                f"learning_rate: {learning_rate} must be positive, weight_decay: {weight_decay} 0 or more"
            )
        self.steps = steps
        self.factors = factors
        self.width = width
        self.dropout = dropout
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_history = max_history
        self.misses = misses
        self.seed = seed

    @abstractmethod
    def _network(self) -> RankingNetwork:
        """A new one, of ``_shape``."""

    @property
    def _shape(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("steps", "factors", "width", "dropout")}
        return {"items": len(self.catalogue), "features": self.features, **own}

    def _train(self, lessons: Lessons) -> NetworkScorer:
        import torch
        from pytorch_lightning.utilities.seed import isolate_rng

        from recsys_lab.nn.listwise import train_listwise

        chosen = lessons.thinned(self.misses, np.random.default_rng(self.seed))
        with isolate_rng():
            torch.manual_seed(self.seed)
            network = self._network()
            network.steps.measure(chosen.rows)
            losses = train_listwise(
                network,
                {
                    "rows": np.split(chosen.rows, chosen.ends),
                    "items": np.split(chosen.items, chosen.ends),
                    "history": [history[-self.max_history :] for history in chosen.histories],
                },
                np.split(chosen.hits, chosen.ends),
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                batch_size=self.batch_size,
            )
        self.history = [{"epoch": 1.0 + epoch, "loss": loss} for epoch, loss in enumerate(losses)]
        return NetworkScorer(network, self.max_history)

    def _arrays(self) -> Arrays:
        weights = self.scorer.network.state_dict()
        return {**super()._arrays(), **{f"network.{name}": tensor.numpy() for name, tensor in weights.items()}}

    def _restore(self, arrays: Arrays) -> None:
        import torch

        prefix = "network."
        weights = {name: torch.from_numpy(arrays.pop(name)) for name in list(arrays) if name.startswith(prefix)}
        super()._restore(arrays)
        network = self._network()
        network.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in weights.items()})
        self.scorer = NetworkScorer(network, self.max_history)
