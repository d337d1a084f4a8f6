"""``manifest.json``: everything that the reader of a bundle has to know first.

These types are the bundle format: the lab writes them, the server reads them, and
``export/manifest.schema.json`` is generated from them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from serving_min.blend import By
from serving_min.errors import BundleError
from serving_min.recency import Recency

FORMAT: Final = 2  # 1 had encoders of padded histories
FILE_NAME = "manifest.json"

MemberKind = Literal["vector", "neighbours", "sessions", "static"]
Kind = Literal["vector", "neighbours", "sessions", "static", "hybrid", "ranker"]
EncoderInput = Literal["items", "vectors", "events", "ages", "places", "cells", "now", "attributes"]
NetworkInput = Literal["rows", "items", "history"]
ENCODER_INPUTS: tuple[str, ...] = get_args(EncoderInput)

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1)]
MEMBER_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

COMMON_FILES = ("items.arrow", "item_codes.npy", "fallback.npz", "golden.jsonl")
MODEL_FILES: dict[str, tuple[str, ...]] = {
    "vector": ("encoder.onnx", "items.faiss", "vectors.npy", "vectors.npz"),
    "neighbours": ("neighbours.npz",),
    "sessions": ("sessions.npz",),
    "static": (),
    "hybrid": (),
    "ranker": ("facts.npz",),
}
MEMBER_FILE = "fallback.npz"  # a member's own scores and candidates
TREES_FILE, NETWORK_FILE = "trees.npz", "ranker.onnx"  # what a ranker scores by: one of them

NEW_ITEM_FILES = ("items.onnx", "item_features.json")
SURFACES_FILE = "surfaces.json"
SEGMENTS_FILE = "segments.npz"


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the bundle comes from; the server only shows it."""

    class_: Name = msgspec.field(name="class")
    params: dict[str, Any]


class Fingerprints(Struct, frozen=True, forbid_unknown_fields=True):
    data: str
    split: str
    config: str


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """A mean over the test queries; ``ci95`` is null for metrics of the whole set of lists."""

    mean: float
    ci95: tuple[float, float] | None = None


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """``exclude_seen``: whether items of the history are left out, unless the request says otherwise."""

    exclude_seen: bool


class History(Struct, frozen=True, forbid_unknown_fields=True):
    """How a history becomes the encoder's inputs.

    ``max_length`` is the number of latest events that the encoder looks at (null: all of them),
    ``events`` the names of event kinds by code, ``attributes`` each user attribute with its values
    by code, where code 0 is "" (unknown). ``inputs`` is empty for bundles without an encoder.
    """

    max_length: Positive | None
    inputs: tuple[EncoderInput, ...]
    events: Annotated[tuple[str, ...], Meta(min_length=1, max_length=127)]
    attributes: tuple[tuple[Name, tuple[str, ...]], ...] = ()


class FaissIndex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="faiss"):
    """``factory`` is the string that built the index, ``settings`` its search-time parameters as
    FAISS's ``ParameterSpace`` spells them (``nprobe``, ``k_factor_rf``, ``efSearch``). ``recall`` is the
    measured share of the exact ``k`` best that it finds, ``target`` the share asked for. ``widening`` times as many
    items as are wanted are to be asked for, of which exact scores leave the best. The ``similar_probes`` lists around
    an item have as large a share of those most like it (0: all items are to be compared).
    """

    factory: Name
    settings: dict[str, float]
    dimension: Positive
    size: Count
    recall: Share
    target: Share
    k: Positive
    widening: Positive = 1
    metric: Literal["inner product"] = "inner product"
    similar_probes: Count = 0


class TableIndex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="table"):
    """A table of at most ``neighbours`` weights for each of ``size`` items; recall is measured
    against the untruncated model. ``recency`` weighs the events of the history (null: each distinct item
    counts once)."""

    size: Count
    neighbours: Count
    recall: Share
    target: Share
    k: Positive
    recency: Recency | None = None


class SessionIndex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="sessions"):
    """``size`` past sessions, and how they are asked: the latest ``length`` distinct items of the running session,
    which ``gap`` seconds of silence end (null: the whole history is one), find among the ``recent`` latest sessions
    of each item the ``neighbours`` most alike. With ``shrinkage`` the sessions are whole users, alike by a cosine
    (null: by their items' places in the running session).
    """

    size: Count
    length: Positive
    recent: Positive
    neighbours: Positive
    gap: Positive | None
    shrinkage: Annotated[float, Meta(ge=0)] | None = None


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A model inside a hybrid or a ranker; its files lie in the folder ``name``."""

    name: Annotated[str, Meta(pattern=f"^{MEMBER_NAME.pattern}$")]
    kind: MemberKind
    index: FaissIndex | TableIndex | SessionIndex | None
    max_length: Positive | None = None
    inputs: tuple[EncoderInput, ...] = ()

    def required_files(self) -> tuple[str, ...]:
        return tuple(f"{self.name}/{file}" for file in (MEMBER_FILE, *MODEL_FILES[self.kind]))


Members = Annotated[tuple[Member, ...], Meta(min_length=1)]


class BlendIndex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="blend"):
    """How the members' lists of ``depth`` are joined: see ``serving_min.blend``. ``weights`` has a row for histories of
    up to each of ``lengths`` events and one for longer ones, and in each a weight for each member."""

    members: Members
    depth: Positive
    by: By
    smoothing: Annotated[float, Meta(ge=0)]
    lengths: tuple[Positive, ...]
    weights: tuple[tuple[Annotated[float, Meta(ge=0)], ...], ...]


class RankingNetwork(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``ranker.onnx`` takes, of the history the latest ``max_length`` events."""

    inputs: Annotated[tuple[NetworkInput, ...], Meta(min_length=1)]
    max_length: Positive


class RankingIndex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="ranking"):
    """The members whose lists of ``depth`` name the candidates that are ranked; ``features`` is how many numbers are
    known of each. They are scored by ``network``, or by trees (null)."""

    members: Members
    depth: Positive
    features: Positive
    network: RankingNetwork | None = None

    @property
    def scorer_file(self) -> str:
        return NETWORK_FILE if self.network else TREES_FILE


Index = FaissIndex | TableIndex | SessionIndex | BlendIndex | RankingIndex


class Parity(Struct, frozen=True, forbid_unknown_fields=True):
    """What the export measured between the model's lists and the bundle's, on ``queries`` queries.

    ``identical`` is the share of lists that are the same up to ties, ``recall`` the mean share
    of the model's items found.
    """

    queries: Count
    k: Positive
    exact: bool
    identical: Share
    recall: Share
    worst_score_difference: float


class ItemEncoder(Struct, frozen=True, forbid_unknown_fields=True):
    """``items.onnx`` gives an item that was not there in training its vector. ``worst_difference`` is the largest
    one from the model's own vectors that the export measured, on ``items`` of the catalogue's entries."""

    items: Count
    worst_difference: float


class Segments(Struct, frozen=True, forbid_unknown_fields=True):
    """``segments.npz`` has tables of at most ``items`` for ``size`` values of these user ``attributes``, which speak in
    this order: the values of at least ``users`` users in training."""

    attributes: Annotated[tuple[Name, ...], Meta(min_length=1)]
    size: Positive
    users: Positive
    items: Positive


class File(Struct, frozen=True, forbid_unknown_fields=True):
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Count


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    version: Name
    created: Annotated[str, Meta(description="ISO 8601, UTC")]
    kind: Kind
    model: Model
    fingerprints: Fingerprints
    metrics: dict[str, Metric]
    policy: Policy
    history: History
    index: Index | None
    parity: Parity
    files: Annotated[dict[str, File], Meta(description="every file of the bundle but the manifest")]
    item_encoder: ItemEncoder | None = None
    companions: Annotated[
        tuple[Member, ...], Meta(description="further models that surfaces ask, each in a folder of its name")
    ] = ()
    segments: Annotated[Segments | None, Meta(description="what is popular among users of one kind")] = None
    format: Literal[2] = FORMAT

    def required_files(self) -> tuple[str, ...]:
        members = [file for member in (*self.members, *self.companions) for file in member.required_files()]
        own = (*MODEL_FILES[self.kind], *(NEW_ITEM_FILES if self.item_encoder else ()))
        scorer = (self.index.scorer_file,) if isinstance(self.index, RankingIndex) else ()
        segments = (SEGMENTS_FILE,) if self.segments else ()
        return (*COMMON_FILES, *own, *scorer, *segments, *members)

    @property
    def members(self) -> tuple[Member, ...]:
        """The models inside; none for a bundle of one model."""
        return self.index.members if isinstance(self.index, BlendIndex | RankingIndex) else ()

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def manifest_schema() -> bytes:
    """The JSON schema of ``manifest.json``, as it stands in ``export/manifest.schema.json``."""
    schema = msgspec.json.schema(Manifest)
    schema["$defs"]["Manifest"]["required"].append("format")  # a default for the writer; a must in the file
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


class _Format(Struct):
    format: int


def read_manifest(folder: Path) -> Manifest:
    """Raises BundleError when it is missing, damaged, of another format, or says two different things."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise BundleError(f"{folder}: no {FILE_NAME} here; give the folder that `recsys-lab export` wrote")
    try:
        written = path.read_bytes()
        format = msgspec.json.decode(written, type=_Format).format
        if format > FORMAT:
            raise BundleError(
                f"{path}: bundle format {format} is newer than this server's {FORMAT}; upgrade serving_min"
            )
        if format < FORMAT:
            raise BundleError(f"{path}: bundle format {format} is older than this server's {FORMAT}; export it anew")
        manifest = msgspec.json.decode(written, type=Manifest)
    except (OSError, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        raise BundleError(f"{path}: cannot be read: {error}") from error
    _must_agree(manifest, path)
    return manifest


INDEX: dict[str, type] = {
    "vector": FaissIndex,
    "neighbours": TableIndex,
    "sessions": SessionIndex,
    "static": type(None),
    "hybrid": BlendIndex,
    "ranker": RankingIndex,
}


def _must_agree(manifest: Manifest, path: Path) -> None:
    answering: list[tuple[str, Any, tuple[str, ...]]] = [(manifest.kind, manifest.index, manifest.history.inputs)]
    inside = (*manifest.members, *manifest.companions)
    answering += [(member.kind, member.index, member.inputs) for member in inside]
    for kind, index, inputs in answering:
        if not isinstance(index, INDEX[kind]):
            raise BundleError(f"{path}: kind {kind!r} with index of type {type(index).__name__}")
        if (kind == "vector") != ("places" in inputs):
            raise BundleError(f"{path}: kind {kind!r} with encoder inputs {list(inputs)}")
        if len(set(inputs)) != len(inputs):
            raise BundleError(f"{path}: an encoder's inputs name something twice: {list(inputs)}")
    names = [member.name for member in inside]
    if len(set(names)) != len(names):
        raise BundleError(f"{path}: two members have one name: {names}")
    if isinstance(manifest.index, BlendIndex):
        shape, members = {len(row) for row in manifest.index.weights}, len(manifest.members)
        if shape != {members} or len(manifest.index.weights) != len(manifest.index.lengths) + 1:
            raise BundleError(f"{path}: weights must be {len(manifest.index.lengths) + 1} rows of {members}")
    events = manifest.history.events
    if len(set(events)) != len(events):
        raise BundleError(f"{path}: history names something twice: {list(events)}")
    for name, values in manifest.history.attributes:
        if values[:1] != ("",):
            raise BundleError(f"{path}: history.attributes {name!r}: code 0 must be '' (unknown), not {values[:1]}")
    if manifest.segments is not None:
        told, known = manifest.segments.attributes, [name for name, _ in manifest.history.attributes]
        if len(set(told)) != len(told) or not set(told) <= set(known):
            raise BundleError(f"{path}: segments by {list(told)}; history.attributes are {known}")
    for name in manifest.required_files():
        if name not in manifest.files:
            raise BundleError(f"{path}: files does not list {name}, which a {manifest.kind} bundle has")
    for name in manifest.files:
        folder, _, file = name.rpartition("/")
        if Path(file).name != file or name == FILE_NAME or (folder and folder not in names):
            raise BundleError(f"{path}: files lists {name!r}; only plain names beside the manifest are read")
