"""One tower encodes the item, one the query, and their inner product is the score.

Covington et al., "Deep Neural Networks for YouTube Recommendations", RecSys 2016 (section 3: the
query tower); Yi et al., "Sampling-Bias-Corrected Neural Modeling", RecSys 2019 (section 3: the
batch's items as negatives, corrected by how often they are drawn); Yang et al., "Mixed Negative
Sampling", WWW 2020 (section 3.2: uniform draws among them, for items that no batch holds).

Shapes: B batch, T history length, D width, K what is kept of an item for the history tower, I items, A attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from recsys_lab.nn.examples import ExampleBatches, Examples
from recsys_lab.nn.features import HOURS, WEEKDAYS, ItemFeatures, hour_and_weekday, item_reader
from recsys_lab.nn.histories import Histories, log1p
from recsys_lab.nn.history_tower import AttentionMean, EncodedSequence, HistoryTower
from recsys_lab.nn.item_tower import UNKNOWN, ItemTower, NewItem, mixer
from recsys_lab.nn.losses import sampled_softmax
from recsys_lab.nn.query import ItemModule, QueryModule
from recsys_lab.nn.recency_mean import RecencyMean
from recsys_lab.nn.recipe import at_least, one_of, share
from recsys_lab.nn.sequences import seen_before
from serving_min.new_items import ItemReader

HISTORY_TOWERS = ("attention", "sequence")
ITEMS_AT_ONCE = 1 << 16


class QueryTower(nn.Module):
    """The history and the context → a vector."""

    largest: Tensor  # [A] codes; a larger one was not known in training

    def __init__(self, history: HistoryTower, attribute_sizes: Sequence[int], width: int, dropout: float):
        super().__init__()
        self.history = history
        self.hour = nn.Embedding(HOURS, width)
        self.weekday = nn.Embedding(WEEKDAYS, width)
        self.pause = nn.Linear(1, width)
        self.register_buffer("largest", torch.tensor(attribute_sizes, dtype=torch.long) - 1, persistent=False)
        self.attributes = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size in attribute_sizes)
        self.mix = mixer(3 * width, width, dropout)
        for table in (self.hour, self.weekday, *self.attributes):
            nn.init.normal_(table.weight, std=0.01)

    def forward(
        self, kept: Tensor, real: Tensor, events: Tensor, ages: Tensor, now: Tensor, attributes: Tensor | None
    ) -> Tensor:
        """``kept`` [B, T, K] of the history's items, ``real`` [B, T] where no padding is → [B, D]."""
        pooled = self.history(kept, real, events, ages)
        latest = kept[:, -1, : pooled.shape[1]] * real[:, -1:]
        return self._in_context(pooled, latest, torch.log1p(ages[:, -1:]), now, attributes)

    def packed(
        self, kept: Tensor, histories: Histories, events: Tensor, ages: Tensor, now: Tensor, attributes: Tensor | None
    ) -> Tensor:
        """The same of ``kept`` [N, K], ``events`` [N] and ``ages`` [N]; no history is empty."""
        pooled = self.history.packed(kept, histories, events, ages)
        latest = functional.embedding(histories.latest, kept)[:, : pooled.shape[1]]
        return self._in_context(pooled, latest, log1p(ages[histories.latest][:, None]), now, attributes)

    def _in_context(
        self, pooled: Tensor, latest: Tensor, since: Tensor, now: Tensor, attributes: Tensor | None
    ) -> Tensor:
        """``latest`` [B, D] of the latest item, ``since`` [B, 1] ln(1 + the seconds since then)."""
        hour, weekday = hour_and_weekday(now)
        context = self.hour(hour) + self.weekday(weekday) + self.pause(since / 10)
        if attributes is not None:
            codes = torch.minimum(attributes, self.largest).clamp(min=0)
            for column, table in enumerate(self.attributes):
                context = context + table(codes[:, column])
        return functional.normalize(pooled + self.mix(torch.cat([pooled, latest, context], dim=-1)), dim=-1)


class Towers(nn.Module):
    def __init__(self, items: ItemTower, queries: QueryTower) -> None:
        super().__init__()
        self.items = items
        self.queries = queries


class InBatch(nn.Module):
    """The loss of a batch of examples: each one's item against all others of the batch and some uniform draws."""

    shares: Tensor
    candidates: Tensor

    def __init__(
        self, network: Towers, shares: NDArray[np.float32], candidates: NDArray[np.int64], uniform: int, heat: float
    ) -> None:
        super().__init__()
        self.network = network
        self.uniform = uniform
        self.heat = heat
        self.register_buffer("shares", torch.from_numpy(shares), persistent=False)  # [I] of the training events
        # codes of the items to draw: the touched ones
        self.register_buffer("candidates", torch.from_numpy(candidates), persistent=False)

    def forward(self, batch: Examples) -> Tensor:
        towers = self.network
        # each item of the batch once, however many histories hold it
        held, places = torch.unique(batch.items.clamp(min=0), return_inverse=True)
        kept = towers.queries.history.of_items(towers.items.inputs(held))
        held_by = functional.embedding(places, kept)  # the gradient of an index is several times slower
        queries = towers.queries(held_by, batch.items >= 0, batch.events, batch.ages, batch.now, batch.attributes)
        drawn = self.candidates[torch.randint(len(self.candidates), (self.uniform,), device=queries.device)]
        items = torch.cat([batch.targets, drawn])
        logits = queries @ towers.items(items).T / self.heat
        chance = len(batch.targets) * self.shares[items] + self.uniform / len(self.candidates)
        hits = batch.targets[:, None] == items
        return sampled_softmax(logits.diagonal(), logits, (chance / len(items)).log(), hits)


class HistoryQuery(QueryModule):
    """The query tower over fixed item inputs, as it is exported: [B, D], then what goes with ``ItemTower.served``."""

    kept: Tensor

    def __init__(self, items: ItemTower, queries: QueryTower, half_life: float) -> None:
        super().__init__()
        codes = torch.split(torch.arange(len(items.id_rows)), ITEMS_AT_ONCE)
        known = torch.cat([items.inputs(some) for some in codes])
        self.register_buffer("kept", queries.history.of_items(known))
        self.tower = queries
        self.inputs = ("items", "cells", "places", "events", "ages", "now") + (
            ("attributes",) if len(queries.attributes) else ()
        )
        self.bonus = items.new_item_bonus > 0
        self.content = None
        if items.content_match:
            content = torch.cat([items.content(some) for some in codes]).numpy()
            self.content = RecencyMean(content, half_life=half_life)

    def forward(
        self,
        items: Tensor,
        cells: Tensor,
        places: Tensor,
        events: Tensor,
        ages: Tensor,
        now: Tensor,
        attributes: Tensor | None = None,
    ) -> Tensor:
        histories = Histories(cells, places)
        kept = functional.embedding(items, self.kept)
        parts = [self.tower.packed(kept, histories, events, ages, now, attributes)]
        if self.content is not None:
            parts.append(self.content(items, places))
        if self.bonus:
            parts.append(torch.ones_like(parts[0][:, :1]))
        return torch.cat(parts, dim=-1)


@dataclass(kw_only=True, eq=False)
class TwoTower(NeuralModel):
    """Vectors for items from id and content, for queries from history and context; all of length 1.

    ``text_model`` is the folder of a sentence model as ``data/text_vectors.py`` reads it; without one such vectors may
    stand in the catalogue's column ``text_vector``, as those of images do in ``image_vector``. ``history_tower`` is
    ``attention``, a weighted mean, or ``sequence``, ``blocks`` layers over the order of events.

    The lists' scores are the cosine of the towers, plus ``content_match`` times the cosine between the item's words and
    pictures and those of the history, where an event counts half of one ``match_half_life`` events later, plus
    ``new_item_bonus`` for an item that nobody has touched. Neither is trained; the validation part is to choose them.

    ``examples_per_user`` random events of each user are asked for in an epoch. An item that nobody
    touched is a candidate if the catalogue says anything about it. With ``exclude_seen`` events that
    repeat an item of the user's past are not asked for, and validation follows suit.
    """

    width: int = 64
    text_width: int = 64
    text_model: str | None = None
    history_tower: str = "attention"
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.1
    id_dropout: float = 0.3
    temperature: float = 0.1
    uniform_negatives: int = 256
    content_match: float = 0.0
    match_half_life: float = 3.0
    new_item_bonus: float = 0.0
    examples_per_user: int = 10
    batch_size: int = 512
    learning_rate: float = 2e-3
    max_epochs: int = 20
    patience: int = 3
    network: Towers = field(init=False, repr=False)
    _vectors: NDArray[np.float32] = field(init=False, repr=False)
    _query: HistoryQuery = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, width=self.width, examples_per_user=self.examples_per_user)
        at_least(0, text_width=self.text_width, uniform_negatives=self.uniform_negatives)
        at_least(0.001, temperature=self.temperature)
        share(dropout=self.dropout, id_dropout=self.id_dropout)
        one_of(HISTORY_TOWERS, history_tower=self.history_tower)
        at_least(1, blocks=self.blocks, heads=self.heads)
        at_least(0, content_match=self.content_match, new_item_bonus=self.new_item_bonus)
        at_least(0.001, match_half_life=self.match_half_life)
        if self.history_tower == "sequence" and self.width % self.heads:
            raise ConfigError(f"heads: {self.heads} does not divide the width {self.width}")

    def item_vectors(self) -> NDArray[np.float32]:
        return self._vectors

    def query_module(self) -> QueryModule:
        return self._query

    def new_items(self) -> tuple[ItemModule, ItemReader, NDArray[np.int64]] | None:
        tower = self.network.items
        if tower.from_text is None and tower.from_vectors is None:
            return None
        reader = item_reader(self.catalogue, tower.vectors.shape[1])
        return NewItem(tower), reader, np.flatnonzero((tower.id_rows == UNKNOWN).numpy())

    def _learn(self, log: InteractionLog, valid: Fold | None) -> None:
        counts = log.item_counts()
        features = ItemFeatures.of(self.catalogue, self.text_width, self.seed, self.text_model)
        self.candidates = (counts > 0) | features.known
        id_rows = np.where(counts > 0, (counts > 0).cumsum(), UNKNOWN)
        sizes = [max(len(values), 1) for _, values in log.attribute_names]
        self.network = self._towers(features, id_rows, len(log.event_names), sizes)
        objective = InBatch(
            self.network,
            (counts / counts.sum()).astype(np.float32),
            np.flatnonzero(counts > 0),
            self.uniform_negatives,
            self.temperature,
        )
        skip = seen_before(log) if self.exclude_seen else None
        batches = ExampleBatches(log, self.max_history, self.batch_size, self.seed, self.examples_per_user, skip)
        self._train(objective, batches, valid)

    def _ready(self) -> None:
        items = self.network.items.eval()
        with torch.no_grad():
            blocks = torch.split(torch.arange(len(items.id_rows)), ITEMS_AT_ONCE)
            self._vectors = torch.cat([items.served(codes) for codes in blocks]).numpy()
            self._query = HistoryQuery(items, self.network.queries, self.match_half_life)

    def _towers(
        self, features: ItemFeatures, id_rows: NDArray[np.int64], n_events: int, attribute_sizes: Sequence[int]
    ) -> Towers:
        history: HistoryTower
        if self.history_tower == "attention":
            history = AttentionMean(max_history=self.max_history, width=self.width, n_events=n_events)
        else:
            history = EncodedSequence(
                max_history=self.max_history,
                width=self.width,
                n_events=n_events,
                blocks=self.blocks,
                heads=self.heads,
                dropout=self.dropout,
            )
        return Towers(
            ItemTower(
                features,
                id_rows,
                width=self.width,
                dropout=self.dropout,
                id_dropout=self.id_dropout,
                content_match=self.content_match,
                new_item_bonus=self.new_item_bonus,
            ),
            QueryTower(history, attribute_sizes, self.width, self.dropout),
        )

    def _build(self, arrays: Arrays) -> nn.Module:
        sizes = tuple(len(arrays[f"items.tables.{column}.weight"]) for column in range(arrays["items.labels"].shape[1]))
        given = (arrays[f"items.{name}"] for name in ("directions", "vectors"))
        features = ItemFeatures(arrays["items.text"], arrays["items.labels"], sizes, *given)
        attributes = [name for name in arrays if name.startswith("queries.attributes.")]
        attribute_sizes = [len(arrays[f"queries.attributes.{column}.weight"]) for column in range(len(attributes))]
        events = "event_weight" if self.history_tower == "attention" else "encoder.events"
        n_events = len(arrays[f"queries.history.{events}.weight"])
        return self._towers(features, arrays["items.id_rows"], n_events, attribute_sizes)
