"""Self-attention over the history, in the order of its events.

Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018: causal blocks (section III-B),
tied item embeddings (III-D). Two departures by default, each found better since: a softmax over the whole
catalogue instead of one negative per position (Klenitskiy & Vasilev, RecSys 2023), and positions counted
from the end of the history, so that the latest event always has the same one.

Shapes: B batch, D width, I items, N positions that ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.neural import NeuralModel
from recsys_lab.nn.blocks import BLOCKS
from recsys_lab.nn.dropout import Dropout
from recsys_lab.nn.encoder import SCHEMES, SequenceEncoder, initialise, packed_gaps
from recsys_lab.nn.features import ItemFeatures
from recsys_lab.nn.histories import Histories
from recsys_lab.nn.item_table import FeatureSum, FixedItems, Items, ItemTable, UnitLength, saved_features
from recsys_lab.nn.negatives import SOURCES, NegativeSampler
from recsys_lab.nn.next_item import LOSSES, NextItemLoss, next_item_loss
from recsys_lab.nn.query import QueryModule
from recsys_lab.nn.recipe import at_least, one_of, share
from recsys_lab.nn.sequences import WindowBatches, Windows, seen_before

Touched = NDArray[np.bool_]  # [I] items with an event


class SelfAttention(nn.Module):
    def __init__(self, items: ItemTable, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.items = items
        self.encoder = encoder


class NextItem(nn.Module):
    """The loss of a batch of windows: which item follows, at every position that asks.

    ``usual_positions``, if not 0, is the number of positions that batches have on average: the loss is then weighted
    by how many this one has, so that no position counts more for being in a batch of short histories.
    """

    def __init__(
        self,
        network: SelfAttention,
        loss: NextItemLoss,
        *,
        table_dropout: float = 0.0,
        temperature: float = 0.0,
        usual_positions: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.drop_table = Dropout(table_dropout)
        self.temperature = temperature
        self.usual_positions = usual_positions

    def forward(self, batch: Windows) -> Tensor:
        items = self._items()
        real = batch.items >= 0
        known = items(batch.items.clamp(min=0))
        asked = batch.targets >= 0
        hidden = self.network.encoder(known, real, batch.events, batch.gaps)[asked]  # [N, D]
        if self.temperature:
            hidden, items = functional.normalize(hidden, dim=-1) / self.temperature, UnitLength(items)
        loss: Tensor = self.loss(hidden, items, batch.targets[asked])
        return loss * (len(hidden) / self.usual_positions) if self.usual_positions else loss

    def _items(self) -> Items:
        """All vectors at once where the step looks at them anyway; the same ones as input and as output."""
        if self.loss.needs_all or self.drop_table.share:
            return FixedItems(self.drop_table(self.network.items.all()))
        return self.network.items


class GivenVectors(QueryModule):
    """The query: what to expect after the latest event, [B, D], over the vectors of the history's items."""

    def __init__(self, encoder: SequenceEncoder, unit_length: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.unit_length = unit_length
        self.inputs = ("vectors", "cells", "places")
        if encoder.events is not None:
            self.inputs += ("events",)
        if encoder.gaps is not None:
            self.inputs += ("ages",)

    def forward(
        self,
        vectors: Tensor,
        cells: Tensor,
        places: Tensor,
        fourth: Tensor | None = None,
        fifth: Tensor | None = None,
    ) -> Tensor:
        """The arrays that ``inputs`` names, in its order."""
        pairs = zip(self.inputs[3:], (fourth, fifth), strict=False)
        given, histories = {name: part for name, part in pairs if part is not None}, Histories(cells, places)
        gaps = packed_gaps(given["ages"], histories.newer) if "ages" in given else None
        latest = self.encoder.latest(vectors, histories, given.get("events"), gaps)
        return functional.normalize(latest, dim=-1) if self.unit_length else latest


class LatestPosition(QueryModule):
    """The same over fixed item vectors [I, D]."""

    vectors: Tensor

    def __init__(self, vectors: Tensor, encoder: SequenceEncoder, unit_length: bool) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.given = GivenVectors(encoder, unit_length)
        self.inputs = ("items", *self.given.inputs[1:])

    def forward(
        self,
        items: Tensor,
        cells: Tensor,
        places: Tensor,
        fourth: Tensor | None = None,
        fifth: Tensor | None = None,
    ) -> Tensor:
        known = functional.embedding(items, self.vectors)
        latest: Tensor = self.given(known, cells, places, fourth, fifth)
        return latest

    def over_vectors(self) -> QueryModule | None:
        return None if self.given.unit_length else self.given


@dataclass(kw_only=True, eq=False)
class SASRec(NeuralModel):
    """The next item from the order of the last ``max_history`` events.

    Network: ``blocks`` layers of the kind ``block`` (``prenorm``, ``postnorm``, ``original`` as published, ``ligr``
    with gates), ``feed_forward`` times as wide inside. ``table_dropout`` drops from the item vectors, for input
    and output alike. ``use_events`` tells views from purchases, ``use_gaps`` a pause of minutes from one of months,
    ``use_features`` adds what the catalogue says of an item to its vector: then items without any event are
    candidates too, if anything is known about them. ``temperature`` above 0 compares directions only, divided by it.

    Training: ``loss`` is ``softmax`` (all items), ``sampled_softmax``, ``bce`` or ``gbce`` (``calibration`` 0 to 1)
    against ``negatives`` items from ``negatives_from`` (see ``NegativeSampler``), shared by the batch or drawn for
    each position; ``correct_sampling`` subtracts log q from sampled softmax's. With ``equal_positions``
    each position weighs the same, whatever its batch. With ``exclude_seen`` lists will leave out what the
    history holds, so such events are not asked for. Longer histories are cut into several windows.
    """

    width: int = 64
    blocks: int = 2
    block: str = "prenorm"
    heads: int = 1
    feed_forward: float = 1.0
    initialisation: str = "normal"
    dropout: float = 0.2
    table_dropout: float = 0.0
    use_events: bool = False
    use_gaps: bool = False
    use_features: bool = False
    text_width: int = 64
    id_dropout: float = 0.1
    temperature: float = 0.0
    loss: str = "softmax"
    negatives: int = 256
    negatives_from: str = "popularity"
    popularity_power: float = 0.75
    shared_negatives: bool = True
    correct_sampling: bool = True
    calibration: float = 0.75
    equal_positions: bool = False
    network: SelfAttention = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, width=self.width, blocks=self.blocks, heads=self.heads, negatives=self.negatives)
        at_least(0, text_width=self.text_width, temperature=self.temperature)
        if self.width % self.heads:
            raise ConfigError(f"heads: {self.heads} does not divide the width {self.width}")
        at_least(1 / self.width, feed_forward=self.feed_forward)
        one_of(tuple(BLOCKS), block=self.block)
        one_of(SCHEMES, initialisation=self.initialisation)
        one_of(LOSSES, loss=self.loss)
        one_of(SOURCES, negatives_from=self.negatives_from)
        share(dropout=self.dropout, table_dropout=self.table_dropout, id_dropout=self.id_dropout)
        if not 0 <= self.calibration <= 1:
            raise ConfigError(f"calibration: {self.calibration} cannot work; use 0 (plain bce) to 1")

    def item_vectors(self) -> NDArray[np.float32]:
        return self._vectors

    def query_module(self) -> QueryModule:
        return self._query

    def _learn(self, log: InteractionLog, valid: Fold | None) -> None:
        counts = log.item_counts()
        touched = counts > 0
        features = ItemFeatures.of(self.catalogue, self.text_width, self.seed) if self.use_features else None
        self.candidates = touched if features is None else touched | features.known
        n_events = len(log.event_names) if self.use_events else 0
        self.network = self._network(log.n_items, n_events, features, touched)
        initialise(self.network, self.initialisation)
        skip = seen_before(log) if self.exclude_seen else None
        batches = WindowBatches(log, self.max_history, self.batch_size, self.seed, skip)
        objective = NextItem(
            self.network,
            self._loss(counts),
            table_dropout=self.table_dropout,
            temperature=self.temperature,
            usual_positions=batches.positions / max(1, len(batches)) if self.equal_positions else 0.0,
        )
        self._train(objective, batches, valid)
        with torch.no_grad():  # an item that nobody touched says nothing by itself when it turns up in a history
            self.network.items.ids.weight[torch.from_numpy(~touched)] = 0

    def _loss(self, counts: NDArray[np.int64]) -> NextItemLoss:
        sampler = NegativeSampler(
            counts,
            size=self.negatives,
            source=self.negatives_from,
            power=self.popularity_power,
            shared=self.shared_negatives,
        )
        return next_item_loss(self.loss, sampler, correct=self.correct_sampling, calibration=self.calibration)

    def _network(
        self, n_items: int, n_events: int, features: ItemFeatures | None = None, touched: Touched | None = None
    ) -> SelfAttention:
        known = None
        if features is not None and touched is not None:
            known = FeatureSum(features, touched, self.width, self.id_dropout)
        encoder = SequenceEncoder(
            max_history=self.max_history,
            width=self.width,
            blocks=self.blocks,
            block=self.block,
            heads=self.heads,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
            n_events=n_events,
            use_gaps=self.use_gaps,
        )
        return SelfAttention(ItemTable(n_items, self.width, known), encoder)

    def _ready(self) -> None:
        items = self.network.items.eval()
        with torch.no_grad():
            vectors = items.all().detach()  # the weights themselves where there are no features
            found = functional.normalize(vectors, dim=-1) if self.temperature else vectors
        self._vectors: NDArray[np.float32] = found.numpy()
        self._query = LatestPosition(vectors, self.network.encoder, self.temperature > 0)

    def _build(self, arrays: Arrays) -> nn.Module:
        features = saved_features(arrays, "items.features.") if self.use_features else None
        n_events = len(arrays.get("encoder.events.weight", ()))
        return self._network(len(arrays["items.ids.weight"]), n_events, features, arrays.get("items.features.touched"))
