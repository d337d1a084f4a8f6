"""Sentence embeddings of item texts from a model folder that the user has; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.errors import ConfigError
from serving_min.content import unit

GRAPHS = ("model.onnx", "onnx/model.onnx")
BATCH, LONGEST = 32, 256  # texts at a time, and their tokens


def catalogue_texts(catalogue: Catalogue, folder: str | Path | None) -> NDArray[np.float32]:
    """What the sentence model in ``folder`` makes of title and text, by code [I, D], unit rows or zeros.

    Without a folder the catalogue's own column ``text_vector`` is taken; D = 0 where there is none.
    """
    if folder is None:
        return unit(catalogue.vectors(columns.TEXT_VECTOR))
    titles, texts = catalogue.strings(columns.TITLE), catalogue.strings(columns.TEXT)
    return text_vectors([f"{title} {text}".strip() for title, text in zip(titles, texts, strict=True)], folder)


def text_vectors(texts: Sequence[str], folder: str | Path) -> NDArray[np.float32]:
    """Unit rows [N, D], zeros for a blank text: the mean of a text's token vectors.

    ``folder`` is that of a sentence-transformers model in ONNX: ``tokenizer.json`` beside ``model.onnx`` or
    ``onnx/model.onnx``, whose first output is [B, T, D]; mean pooling as in Reimers & Gurevych,
    "Sentence-BERT", EMNLP 2019, section 3. Texts are cut after 256 tokens.
    Raises ConfigError when the folder holds no such model, or the package ``tokenizers`` is missing.
    """
    tokenizer, session = _open(Path(folder))
    wanted = {node.name for node in session.get_inputs()}
    rows = [row for row, text in enumerate(texts) if text.strip()]
    rows.sort(key=lambda row: len(texts[row]))  # texts of one length share a batch
    blocks = []
    for start in range(0, len(rows), BATCH):
        encoded = tokenizer.encode_batch([texts[row] for row in rows[start : start + BATCH]])
        inputs = {
            "input_ids": np.array([one.ids for one in encoded], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], np.int64),
        }
        tokens = session.run(None, {name: array for name, array in inputs.items() if name in wanted})[0]
        mask = inputs["attention_mask"][..., None]
        mean = (tokens * mask).sum(axis=1) / mask.sum(axis=1)
        blocks.append(mean / np.linalg.norm(mean, axis=1, keepdims=True).clip(1e-12))
    width = blocks[0].shape[1] if blocks else 0
    vectors = np.zeros((len(texts), width), np.float32)
    if blocks:
        vectors[rows] = np.concatenate(blocks)
    return vectors


def _open(folder: Path) -> tuple[Any, Any]:
    import onnxruntime

    graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
    words = folder / "tokenizer.json"
    if graph is None or not words.is_file():
        raise ConfigError(f"text_model: {folder} has no tokenizer.json and {' or '.join(GRAPHS)}; export one to ONNX")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigError(
            "text_model: reading it needs the package tokenizers: pip install 'recsys-lab[text]'"
        ) from None
    tokenizer = Tokenizer.from_file(str(words))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return tokenizer, onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
