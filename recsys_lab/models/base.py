"""The contract: a model answers from a history, never from a user id.

Adding a model takes one file here, one yaml in ``conf/model/`` and three lines of test that
inherit the conformance suite in ``tests/models/conformance.py``.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError, NotFittedError
from serving_min.manifest import Kind
from serving_min.queries import Queries
from serving_min.recency import Recency
from serving_min.rerank import NOTHING, TopK, fill, speaks, top_k

if TYPE_CHECKING:
    from recsys_lab.nn.query import ItemModule, QueryModule
    from serving_min.new_items import ItemReader

Arrays = dict[str, NDArray[Any]]
DESCRIPTION = {"class", "params", "history"}
SCORES_PER_BLOCK = 1 << 21  # 8 MiB of float32 scores at a time stay in the processor's cache
LARGEST_UNPACKED = 1 << 28  # weights: 1 GiB
EVENTS_PER_BATCH = 1 << 13  # encoded at once, padding included


class Recommender(ABC):
    """A model of I items. Subclasses implement ``_fit``, ``score``, ``_arrays`` and ``_restore``.

    Hyper-parameters are keyword arguments of ``__init__``, kept under their own names.
    ``score`` says -inf for "no opinion"; the base fills the places left from recent popularity,
    for an empty history all of them, as the server does.
    """

    kind: ClassVar[Kind | None]  # None: no bundle can hold it

    catalogue: Catalogue
    popularity: NDArray[np.float32]  # [I] the fallback's scores: recency-weighted event counts
    candidates: NDArray[np.bool_]  # [I] the items that may be recommended
    history: list[dict[str, float]]  # training curve, one entry per epoch; empty for closed forms
    watch: Callable[[float], None] | None = None  # told each epoch's validation score; what it raises ends the fit
    folder: Path | None = None  # where a long fit keeps what it needs to go on after it was killed

    # -- what a user calls -----------------------------------------------------------------

    def fit(self, train: InteractionLog, *, catalogue: Catalogue | None = None, valid: Fold | None = None) -> Self:
        """Learn from ``train``. ``catalogue`` describes its item codes; ``valid`` may stop early.

        Raises ModelError when there is nothing to learn from or the catalogue does not match.
        """
        if len(train) == 0:
            raise ModelError(f"{self.name}: the training log is empty; widen the split's history")
        if catalogue is None:
            catalogue = Catalogue.of_ids([str(code) for code in range(train.n_items)])
        if len(catalogue) != train.n_items:
            raise ModelError(f"{self.name}: catalogue has {len(catalogue)} rows for {train.n_items} item codes")
        self.catalogue = catalogue
        self.popularity = recent_popularity(train)
        self.candidates = np.ones(train.n_items, np.bool_)
        self.history = []
        try:
            self._fit(train, catalogue, valid)
        except BaseException:
            del self.popularity  # half a fit is none
            raise
        return self

    def recommend(
        self, queries: Queries, k: int, *, exclude_seen: bool = True, candidates: NDArray[np.bool_] | None = None
    ) -> TopK:
        """The best k items for each query, filled up from popularity where the model has no opinion.

        ``exclude_seen`` bars the items of the query's own history; ``candidates`` [I] narrows the
        catalogue further. Places are left blank (-1) only when nothing is left.
        Raises ConfigError for queries of items that the model does not know.
        """
        self._must_be_fitted()
        if k < 1:
            raise ConfigError(f"k: {k} asks for no item; use 1 or more")
        self._must_know(queries)
        if candidates is not None and not (candidates.shape == self.candidates.shape and candidates.dtype == np.bool_):
            raise ConfigError(
                f"candidates: shape {candidates.shape} of {candidates.dtype} must be ({len(self.candidates)},) of bool,"
                " one flag per item"
            )
        allowed = self.candidates if candidates is None else self.candidates & candidates
        order = np.argsort(-self.popularity, kind="stable").astype(np.int32)
        order = order[allowed[order]]
        worth = self.popularity[order]
        blocks = []
        by_length = np.argsort(queries.lengths, kind="stable")  # a block of like lengths is padded little
        size = max(1, SCORES_PER_BLOCK // max(1, len(self.popularity)))
        for start in range(0, len(queries), size):
            block = queries.take(by_length[start : start + size])
            lists = top_k(self.score_within(block, allowed, exclude_seen=exclude_seen), k)
            if (lists.items[:, -1] == NOTHING).any():
                barred = np.split(block.items, block.offsets[1:-1]) if exclude_seen else [block.items[:0]] * len(block)
                lists = fill(lists, order, worth, barred)
            blocks.append(lists)
        if not blocks:
            return top_k(np.zeros((0, len(self.popularity)), np.float32), k)
        place = np.argsort(by_length)
        return TopK(
            np.concatenate([block.items for block in blocks])[place],
            np.concatenate([block.scores for block in blocks])[place],
            np.concatenate([block.filled for block in blocks])[place],
        )

    @abstractmethod
    def score(self, queries: Queries) -> NDArray[np.float32]:
        """A fresh array [Q, I] that the caller may overwrite; -inf where there is no opinion."""

    def score_within(self, queries: Queries, allowed: NDArray[np.bool_], *, exclude_seen: bool) -> NDArray[np.float32]:
        """``score`` with -inf where an item may not be in the list: outside ``allowed`` [I], or seen."""
        scores = self.score(queries)
        if not allowed.all():
            scores[:, ~allowed] = -np.inf
        if exclude_seen:
            scores = np.ascontiguousarray(scores)
            places = np.repeat(np.arange(len(queries)) * scores.shape[1], queries.lengths)
            places += queries.items
            scores.reshape(-1)[places] = -np.inf  # in half the time that np.put takes
        return scores

    def refit(self, train: InteractionLog, catalogue: Catalogue | None = None, *, folder: Path | None = None) -> Self:
        """A new model with the same settings, fitted on ``train`` for as many epochs as validation chose here.

        It keeps this one's training curve, which says why.
        """
        settings = self.params()
        if "max_epochs" in settings:
            settings["max_epochs"] = max(1, self.best_epoch)
        again = type(self)(**settings)
        again.folder = folder
        again.fit(train, catalogue=catalogue)
        again.history = self.history or again.history
        return again

    def save(self, folder: Path) -> None:
        """Write ``model.json``, ``arrays.safetensors`` and ``items.parquet``. Raises ModelError if that fails."""
        self._must_be_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        described = {"class": f"{type(self).__module__}.{type(self).__qualname__}", "params": self.params()}
        (folder / "model.json").write_text(json.dumps({**described, "history": self.history}, indent=2))
        own = {f"model.{name}": np.ascontiguousarray(array) for name, array in self._arrays().items()}
        arrays = {"popularity": self.popularity, "candidates": self.candidates, **own}
        try:
            save_file(arrays, folder / "arrays.safetensors")
        except SafetensorError as error:  # the disk is full, for instance
            raise ModelError(f"{folder / 'arrays.safetensors'}: cannot be written: {error}") from error
        self.catalogue.save(folder / "items.parquet")

    @classmethod
    def load(cls, folder: Path, *, allowed: Sequence[str] = ("recsys_lab.",)) -> Self:
        """Read what ``save`` wrote. Called on a subclass, it refuses a model of another class, and always
        what is damaged, with ModelError.

        A class of your own package is imported when ``allowed`` has the start of its name.
        """
        described = _read_description(folder)
        module, _, name = str(described["class"]).rpartition(".")
        if not str(described["class"]).startswith(tuple(allowed)) and (module, name) != (cls.__module__, cls.__name__):
            raise ModelError(f"{folder}: class {module}.{name} is not under allowed_targets {list(allowed)}")
        for target in _targets(described["params"]):
            if not target.startswith((*allowed, "recsys_lab.")):
                raise ModelError(f"{folder}: class {target} is not under allowed_targets {list(allowed)}")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ModelError(f"{folder}: class {module}.{name} cannot be imported: {error}") from error
        if not (isinstance(found, type) and issubclass(found, cls)):
            raise ModelError(f"{folder}: holds {described['class']}, not {cls.__name__}")
        unknown = described["params"].keys() - inspect.signature(found).parameters.keys()
        if unknown:
            raise ModelError(f"{folder}: {found.__name__} takes no {sorted(unknown)}; the file is of another version")
        model = found(**described["params"])
        model.history = described["history"]
        prefix = "model."
        try:
            arrays = load_file(folder / "arrays.safetensors")
            model.catalogue = Catalogue.load(folder / "items.parquet")
            model.popularity, model.candidates = arrays["popularity"], arrays["candidates"]
            model._restore({name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)})
        except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:  # torch's are the last
            said = " ".join(str(error).split())
            raise ModelError(f"{folder}: damaged, or of another version ({said}); train the model again") from error
        return model

    @property
    def best_epoch(self) -> int:
        """How many epochs the validation fold chose; 0 for a model without epochs."""
        return 0

    @property
    def name(self) -> str:
        """What the model's file is called: ``itemknn``, ``sasrec`` …"""
        return type(self).__module__.rpartition(".")[2]

    def params(self) -> dict[str, Any]:
        """The hyper-parameters by name, as ``__init__`` takes them."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    # -- what a subclass provides ----------------------------------------------------------

    @abstractmethod
    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        """Learn; set ``candidates`` and ``history`` where they differ from the defaults."""

    @abstractmethod
    def _arrays(self) -> Arrays:
        """What was learned, by name."""

    @abstractmethod
    def _restore(self, arrays: Arrays) -> None:
        """Take back what ``_arrays`` gave; ``catalogue`` and ``popularity`` are already there."""

    def _must_be_fitted(self) -> None:
        if not hasattr(self, "popularity"):
            raise NotFittedError(f"{self.name}: call fit before asking for recommendations or saving")

    def _must_know(self, queries: object) -> None:
        """Other codes would be read, and written, beside the arrays."""
        if not isinstance(queries, Queries):
            raise ConfigError(f"queries: {type(queries).__name__} is none; make them with Queries.from_histories")
        lowest, highest = int(queries.items.min(initial=0)), int(queries.items.max(initial=0))
        if lowest < 0 or highest >= len(self.candidates):
            raise ConfigError(
                f"queries: item code {lowest if lowest < 0 else highest} is none of 0 to {len(self.candidates) - 1}; "
                "catalogue.codes has them by id"
            )


class VectorModel(Recommender):
    """Retrieval by inner product: exports as ONNX + FAISS, and is scored through the same graph."""

    kind = "vector"
    max_history: int  # events that the encoder looks at, the latest ones

    @abstractmethod
    def item_vectors(self) -> NDArray[np.float32]:
        """One vector per item code, [I, D]; rows outside ``candidates`` are not used."""

    @abstractmethod
    def query_module(self) -> QueryModule:
        """History → query vectors, the graph that is exported."""

    def new_items(self) -> tuple[ItemModule, ItemReader, NDArray[np.int64]] | None:
        """What gives an item that was not there in training its vector, exported too: the graph, how a catalogue
        entry is read for it, and the codes of the items whose own vectors come from it. None for a model, or a
        shop, that cannot."""
        return None

    def score(self, queries: Queries) -> NDArray[np.float32]:
        vectors = self.encode(queries)
        scores = vectors @ self.item_vectors().T
        # a zero vector, of a history whose items have none, would rank by item code
        scores[(queries.lengths == 0) | ~speaks(vectors)] = -np.inf
        return scores

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors [Q, D], zeros for an empty history; what is encoded at once has about one length, so that
        little is padded."""
        import torch

        module = self.query_module().eval()
        queries = queries.last(self.max_history)
        with torch.inference_mode():
            found = module.unpadded(torch.tensor(queries.items), torch.tensor(queries.offsets))
        if found is not None:
            return found.numpy()
        vectors = np.zeros((len(queries), self.item_vectors().shape[1]), np.float32)
        lengths = queries.lengths
        longest_first, start = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)], 0
        with torch.inference_mode():
            while start < len(longest_first):
                size = max(1, EVENTS_PER_BATCH // int(lengths[longest_first[start]]))
                rows = longest_first[start : start + size]
                packed = queries.take(rows).packed(module.inputs)
                vectors[rows] = module(*map(torch.from_numpy, packed.values())).numpy()
                start += size
        return vectors


class NeighbourModel(Recommender):
    """Scores are sums over the history of rows of one item × item matrix.

    An event of the history weighs what ``recency`` says, without one each distinct item counts once;
    only positive sums are opinions.
    """

    kind = "neighbours"

    @property
    def recency(self) -> Recency | None:
        """How much an event says by its age."""
        return None

    @abstractmethod
    def item_weights(self) -> Any:
        """The matrix [I, I]: row = item of the history, column = item recommended.
        A float32 ``numpy`` array, or a ``scipy.sparse.csr_array``."""

    def score(self, queries: Queries) -> NDArray[np.float32]:
        from scipy import sparse

        weights = self.item_weights()
        said = np.ones(len(queries.items), np.float32) if self.recency is None else self.recency.weights(queries)
        shape = (len(queries), weights.shape[0])
        # a copy, for sum_duplicates sorts in place and the items belong to the queries
        histories = sparse.csr_array((said, queries.items, queries.offsets), shape=shape, copy=True)
        histories.sum_duplicates()
        if self.recency is None:
            histories.data[:] = 1
        if sparse.issparse(weights) and _denser_is_sooner(histories.nnz, weights):
            weights = weights.toarray()
        product = histories @ weights
        scores: NDArray[np.float32] = product.toarray() if sparse.issparse(product) else product
        scores[scores <= 0] = -np.inf
        return scores


def _denser_is_sooner(touches: int, weights: Any) -> bool:
    """Whether unpacking ``weights`` [I, I] pays when so many rows of it are added up. Adding a weight takes about 8 ns
    packed and .4 ns unpacked, unpacking 1 ns each."""
    items = int(weights.shape[0])
    packed, unpacked = 8 * touches * weights.nnz / items, items**2 + 0.4 * touches * items
    return items**2 <= LARGEST_UNPACKED and bool(unpacked < packed)


def recent_popularity(
    train: InteractionLog,
    *,
    half_life_days: float | None = 30.0,
    window_days: float | None = None,
    event_weights: bool = False,
) -> NDArray[np.float32]:
    """Events per item, each halved in weight for every ``half_life_days`` before the log's end, [I].

    ``window_days`` leaves older events out, ``event_weights`` counts an event by its weight.
    Ties among untouched items stay ties; ``argsort(kind="stable")`` orders them by code.
    """
    ages = (train.times.max() - train.times) / 86_400
    counted = train.weights.astype(np.float64) if event_weights else np.ones(len(train))
    if half_life_days is not None:
        counted *= np.exp2(-ages / half_life_days)
    if window_days is not None:
        counted[ages > window_days] = 0
    return np.bincount(train.items, weights=counted, minlength=train.n_items).astype(np.float32)


def _targets(settings: Any) -> Iterator[str]:
    """The classes that nested settings name: those of a composite's members."""
    if isinstance(settings, dict):
        if "_target_" in settings:
            yield str(settings["_target_"])
        for child in settings.values():
            yield from _targets(child)


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    if not path.is_file():
        raise ModelError(f"{folder}: no model.json here; give the folder that save() wrote")
    try:
        described: dict[str, Any] = dict(json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({error}); train the model again") from error
    unknown, missing = described.keys() - DESCRIPTION, DESCRIPTION - described.keys()
    if unknown:
        raise ModelError(f"{path}: unknown keys {sorted(unknown)}; the file is of another version")
    if missing:
        raise ModelError(f"{path}: damaged ({', '.join(sorted(missing))} not there); train the model again")
    return described
