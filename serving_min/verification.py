"""A bundle proves itself before anybody gets its answers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError, ServingError
from serving_min.messages import Golden, Request

GOLDEN_FILE = "golden.jsonl"


def verified(folder: Path | str) -> Engine:
    """The engine of a bundle whose files are whole, and which answers its golden requests to the byte.

    It has answered, so it is warm. Raises BundleError, one line.
    """
    engine = Engine(Bundle.load(folder))
    engine.own_this_thread()
    path = Path(folder) / GOLDEN_FILE
    engine.recommend([Request()])
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            golden = msgspec.json.decode(line, type=Golden)
            answer = engine.recommend([msgspec.json.decode(golden.request, type=Request)], golden.surface)[0]
        except (ServingError, msgspec.DecodeError) as error:
            raise BundleError(f"{path}: line {number}: {error}") from error
        if msgspec.json.encode(answer) != bytes(golden.answer):
            raise BundleError(f"{path}: line {number} is answered differently here: export the bundle again")
    return engine
