"""RecBole's settings, data set and training loop, held to our log, our validation and no files.

It imports RecBole, so import it inside ``recbole_compat.recbole_calls`` alone. The classes go around
what RecBole does to a whole process (arguments, environment) or to a disk (text files, checkpoints,
event files); the rest is RecBole's own, model by model.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import recbole.data.dataset as datasets
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.dataset import Dataset, KnowledgeBasedDataset
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.sampler import RepeatableSampler, Sampler
from recbole.trainer import trainer as trainers
from recbole.utils import FeatureSource, FeatureType, ModelType, get_model, get_trainer

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.recbole_compat import blame
from recsys_lab.nn.recbole_tables import ITEM, TIME, USER, Table

Curve = list[dict[str, float]]
Tables = tuple[Table, Table, Table]  # events, users, items
Validate = Callable[[dict[str, float]], float]
Arrays = dict[str, NDArray[Any]]

NAME = "recsys-lab"  # of the data set, where RecBole asks for one
FULL_RANKING = {"split": {"RS": [1, 0, 0]}, "group_by": "user", "order": "TO", "mode": "full"}
DATASETS = {
    ModelType.GENERAL: "Dataset",
    ModelType.TRADITIONAL: "Dataset",
    ModelType.CONTEXT: "Dataset",
    ModelType.SEQUENTIAL: "SequentialDataset",
}
STAGED = ("S3Rec", "RaCT")


class Settings(Config):
    """RecBole's defaults for a model, under ``given``."""

    def __init__(self, model: str, given: Mapping[str, Any], tables: Tables, device: str) -> None:
        self.tables = tables
        self.wanted_device = device
        self.validate: Validate | None = None
        fixed = {"eval_args": FULL_RANKING, "metrics": ["NDCG"], "valid_metric": "NDCG@10", "topk": 10, "eval_step": 1}
        described = {name: column.kind for name, column in tables[2].items() if name != ITEM}
        features = {
            "numerical_features": [name for name, kind in described.items() if kind == "float"],
            "selected_features": [name for name, kind in described.items() if kind != "float"],
        }
        super().__init__(model, NAME, config_dict={**fixed, **features, **given})

    def compatibility_settings(self) -> None:
        """Nothing: RecBole would rename numpy's types for good."""

    def _load_cmd_line(self) -> dict[str, Any]:
        """Nothing: the arguments in ``sys.argv`` are another program's."""
        return {}

    def _load_variable_config_dict(self, given: dict[str, Any]) -> dict[str, Any]:
        """As they are: RecBole would ``eval`` each string."""
        return given

    def _get_final_config_dict(self) -> dict[str, Any]:
        """One uniform negative by default, none for a loss over all items (RecBole leaves that to the user)."""
        final: dict[str, Any] = super()._get_final_config_dict()
        if "train_neg_sample_args" not in self.external_config_dict:
            all_items = not hasattr(self.model_class, "input_type") and final.get("loss_type") == "CE"
            final["train_neg_sample_args"] = None if all_items else {"distribution": "uniform", "sample_num": 1}
        return final

    def _init_device(self) -> None:
        """Ours; RecBole would also set CUDA_VISIBLE_DEVICES."""
        self.final_config_dict |= {"single_spec": True, "local_rank": 0, "device": torch.device(self.wanted_device)}


class FromTables(Dataset):
    """The data set out of ``config.tables``, which are coded and complete: nothing is read, filtered or recoded."""

    def _load_data(self, *_: Any) -> None:
        events, users, items = self.config.tables
        if self.config["MODEL_TYPE"] == ModelType.CONTEXT:
            events = {name: column for name, column in events.items() if name != TIME}  # it would be a feature
        self.inter_feat = self._frame(events, FeatureSource.INTERACTION)
        self.user_feat = self._frame(users, FeatureSource.USER) if len(users) > 1 else None
        self.item_feat = self._frame(items, FeatureSource.ITEM) if len(items) > 1 else None
        self.field2source |= {USER: FeatureSource.USER_ID, ITEM: FeatureSource.ITEM_ID}

    def _frame(self, table: Table, source: FeatureSource) -> pd.DataFrame:
        for name, column in table.items():
            longest = max(map(len, column.values)) if column.kind == "token_seq" else 1
            self.set_field_property(name, FeatureType(column.kind), source, longest)
            if column.kind == "float":
                self.field2bucketnum[name] = 2
            else:
                self.field2id_token[name] = range(column.size)  # only its length counts
        return pd.DataFrame({name: column.values for name, column in table.items()})

    def _data_processing(self) -> None:
        self.feat_name_list = self._build_feat_name_list()
        self._normalize()
        self._discretization()


class InMemory(trainers.Trainer):
    """RecBole's training loop; ``config.validate`` is the validation, checkpoints stay in memory."""

    def __init__(self, config: Settings, model: Any) -> None:
        silent = SimpleNamespace(add_scalar=_ignore, add_hparams=_ignore)
        with patch.object(trainers, "get_tensorboard", lambda _: silent):
            super().__init__(config, model)
        self.curve: Curve = []
        self.best: tuple[int, dict[str, Any], dict[str, Any]]  # epoch, weights, what else the model keeps
        self.not_recbole: Exception | None = None  # what the validation raised

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        losses = super()._train_epoch(train_data, epoch_idx, *args, **kwargs)
        total = float(sum(losses) if isinstance(losses, tuple) else losses)
        took = time.perf_counter() - began
        self.curve.append({"epoch": epoch_idx + 1.0, "train_loss": total / len(train_data), "seconds": took})
        return losses

    def _valid_epoch(self, *_: Any, **__: Any) -> tuple[float, dict[str, float]]:
        try:
            return self.config.validate(self.curve[-1]), {}
        except Exception as error:
            self.not_recbole = error
            raise

    def _save_checkpoint(self, epoch: int, *_: Any, **__: Any) -> None:
        self.best = epoch + 1, copy.deepcopy(self.model.state_dict()), self.model.other_parameter()


class RecBoleModel:
    """One model of RecBole with the data set it is made for.

    ``asks_who``: it scores users, not histories. Raises ConfigError for a model or a setting that
    RecBole does not have, ModelError for a kind of model that cannot be had here or when RecBole fails.
    """

    def __init__(self, name: str, given: Mapping[str, Any], tables: Tables, device: str) -> None:
        self.name = name
        try:
            found = get_model(name)
        except (ImportError, ValueError, AttributeError):  # in its last folder are models of lightgbm and xgboost
            raise ConfigError(f"model: RecBole has no {name!r} here; write it as its list does: LightGCN") from None
        kind = getattr(datasets, f"{name}Dataset", getattr(datasets, DATASETS.get(found.type, "KnowledgeBasedDataset")))
        if issubclass(kind, KnowledgeBasedDataset):
            raise ModelError(f"recbole {name}: needs a knowledge graph; use a general, sequential or context-aware one")
        if name in STAGED:
            raise ModelError(f"recbole {name}: trains in stages that hand on a pickled file, which is not read here")
        with blame(name):
            self.config = Settings(name, given, tables, device)
            _must_know(self.config, given)
            self.dataset = type("OurDataset", (FromTables, kind), {})(self.config)
            self.dataset._change_feat_format()
            self.loader = _loader(self.config, self.dataset)  # before the model, which reads settings it adds
            self.model = found(self.config, self.dataset).to(self.config["device"])
            self.asks_who = found.type != ModelType.SEQUENTIAL or self._reads_users()

    def train(self, validate: Validate | None) -> tuple[Curve, int]:
        """The curve and the epoch whose weights are kept: the best by ``validate``, or the last."""
        self.config.validate = validate
        kind = get_trainer(self.config["MODEL_TYPE"], self.name)
        trainer = type("OurTrainer", (InMemory, kind), {})(self.config, self.model)
        try:
            with blame(self.name):
                trainer.fit(self.loader, valid_data=validate, verbose=False)
        except ModelError:
            if trainer.not_recbole is not None:
                raise trainer.not_recbole from None
            raise
        epoch, weights, others = trainer.best
        self.model.load_state_dict(weights)
        self.model.load_other_parameter(others)
        return trainer.curve, epoch

    def scores(self, users: NDArray[np.int32], items: NDArray[np.int64], lengths: NDArray[np.int64]) -> Any:
        """Scores [B, I] for users [B] or histories [B, L] (padded behind with 0), in RecBole's codes."""
        with blame(self.name):
            asked = {USER: users.astype(np.int64)} if self.asks_who else {}
            return self._scores({**asked, **self._histories(items, lengths)})

    def arrays(self) -> Arrays:
        """The weights, and those of the model's other parameters that are tensors; the rest is rebuilt."""
        others = {name: value for name, value in self.model.other_parameter().items() if torch.is_tensor(value)}
        named = {"weights": self.model.state_dict(), "other": others}
        return {
            f"{kind}.{name}": tensor.detach().cpu().numpy()
            for kind, tensors in named.items()
            for name, tensor in tensors.items()
        }

    def load(self, arrays: Arrays) -> None:
        """Take back what ``arrays`` gave."""
        named: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "other": {}}
        for name, array in arrays.items():
            kind, _, own = name.partition(".")
            if kind in named:
                named[kind][own] = torch.from_numpy(array).to(self.config["device"])
        self.model.load_state_dict(named["weights"])
        self.model.load_other_parameter(named["other"])

    def _histories(self, items: NDArray[np.int64], lengths: NDArray[np.int64]) -> dict[str, Any]:
        if self.config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            return {}
        listed = ITEM + self.config["LIST_SUFFIX"]
        unused = {self.config["NEG_PREFIX"] + listed: np.zeros_like(items)}  # DIEN reads it, for its loss alone
        return {listed: items, self.config["ITEM_LIST_LENGTH_FIELD"]: lengths, **unused}

    def _reads_users(self) -> bool:
        """Seen by asking for a history without a user."""
        history = np.zeros((1, self.config["MAX_ITEM_LIST_LENGTH"]), np.int64)
        history[0, 0] = 1
        try:
            with torch.no_grad():
                self._scores(self._histories(history, np.ones(1, np.int64)))
        except KeyError as missing:
            if USER not in missing.args:
                raise
            return True
        return False

    def _scores(self, asked: dict[str, Any]) -> NDArray[np.float32]:
        """One row of [B, I + 1] per user or history; the column of nobody's item is left out."""
        self.model.eval()
        queries = Interaction({name: torch.as_tensor(values) for name, values in asked.items()})
        if USER in asked:
            queries = self.dataset.join(queries)
        queries = queries.to(self.config["device"])
        try:
            found = self.model.full_sort_predict(queries)
        except NotImplementedError:
            items = self.dataset.get_item_feature().to(self.config["device"])
            pairs = queries.repeat_interleave(len(items))
            pairs.update(items.repeat(len(queries)))
            found = self.model.predict(pairs)
        table: NDArray[np.float32] = found.view(-1, self.dataset.item_num)[:, 1:].float().cpu().numpy()
        return table


def _must_know(config: Settings, given: Mapping[str, Any]) -> None:
    general = {name for names in config.parameters.values() for name in names}
    unknown = sorted(given.keys() - general - config.internal_config_dict.keys())
    if unknown:
        own = sorted(config.internal_config_dict.keys() - general)
        raise ConfigError(f"settings: RecBole's {config['model']} has no {unknown[0]!r}; of its own it has {own}")


def _loader(config: Settings, dataset: Any) -> Any:
    """Batches of the whole data set with RecBole's negatives."""
    chosen = config["train_neg_sample_args"]
    sampler = None
    if chosen["distribution"] != "none":
        kind = RepeatableSampler if config["repeatable"] else Sampler
        sampler = kind("train", dataset, chosen["distribution"], chosen["alpha"]).set_phase("train")
    return get_dataloader(config, "train")(config, dataset, sampler, shuffle=config["shuffle"])


def _ignore(*_: Any, **__: Any) -> None:
    pass
