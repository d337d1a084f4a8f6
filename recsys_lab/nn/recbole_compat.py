"""What RecBole 1.2.1 (2025) needs to run beside NumPy 2, SciPy 1.14+, pandas 3 and torch 2.6+.

RecBole is only ever called inside ``recbole_calls``; when that ends, every library is as it was.
Replaced while it lasts:

``numpy.float``
    gone since NumPy 1.24. RecBole's ``Config`` puts it back together with seven more, one of which
    is made of ``numpy.float_``, gone since 2.0. Only ``float`` is in fact used (``data/interaction.py``).
``dok_matrix._update``
    gone since SciPy 1.14. It filled a sparse matrix from a dict without checks; the graph models
    (LightGCN, NGCF, NCL, GCMC, SpectralCF) build their adjacency with it.
``yaml.FullLoader``
    RecBole teaches the shared loader its own idea of numbers, for the whole process; it gets a copy.
The root logger, standard output, the environment
    RecBole writes to all three. Log records from its files are dropped, others pass; what models print is
    dropped; variables are put back.
Warnings
    of the deprecated calls that RecBole makes: none of them is for the user to act on.

Four more things that break are not touched at all, because ``recbole_parts`` goes another way:
``torch.load`` of checkpoints that hold objects (weights stay in memory), ``Series.agg(len)`` on token
sequences and ``fillna(inplace=True)`` on a column (both are no-ops or errors in pandas 3; tables come
as codes without gaps), and the import of ray, which only ``recbole.quick_start`` does, for its tuner.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from unittest.mock import patch  # sets attributes and puts them back, also when they were not there

import numpy as np
import yaml
from scipy.sparse import dok_matrix

from recsys_lab.errors import ModelError, RecsysLabError


@contextmanager
def recbole_calls() -> Iterator[None]:
    """Around every import and call of RecBole."""
    root = logging.getLogger()
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        patch.dict(os.environ),
        patch.object(np, "float", np.float64, create=True),
        patch.object(dok_matrix, "_update", _update, create=True),
        patch.object(yaml, "FullLoader", type("FullLoader", (yaml.FullLoader,), {})),
    ):
        warnings.simplefilter("ignore")
        root.addFilter(_not_from_recbole)
        try:
            yield
        finally:
            root.removeFilter(_not_from_recbole)


@contextmanager
def blame(model: str) -> Iterator[None]:
    """Whatever RecBole's ``model`` raises becomes a ModelError; our own errors pass."""
    try:
        yield
    except RecsysLabError:
        raise
    except Exception as error:
        raise ModelError(f"recbole {model}: RecBole fails with {type(error).__name__}: {error}") from error


def _update(self: dok_matrix, entries: dict[tuple[int, int], float]) -> None:
    self._dict.update(entries)


def _not_from_recbole(record: logging.LogRecord) -> bool:
    return "recbole" not in record.pathname.replace("\\", "/").split("/")
