"""Keeps what operators said of items, and makes engines that know it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from serving_min.assortment.applied import Embedder, applied, unknown
from serving_min.assortment.changes import Assortment, Changes
from serving_min.assortment.journal import Journal
from serving_min.assortment.settings import ItemSettings
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import RequestError
from serving_min.releases import Registry
from serving_min.vectors import Vectors

ITEMS_FILE = "items.jsonl"  # in a registry
MOST_HIDDEN = 100_000


class Receipt(Struct, frozen=True):
    """What the live model has now: ``new`` items, of which so many are ``embedded``, ``changed`` and ``hidden`` ones.
    There may be ``limit`` new and changed ones."""

    new: int
    embedded: int
    changed: int
    hidden: int
    limit: int

    @classmethod
    def of(cls, before: Bundle, now: Bundle, said: Assortment, limit: int) -> Receipt:
        """``now`` is the bundle ``before`` with what was ``said``."""
        vectors = [len(model.codes) for model in (before.model, now.model) if isinstance(model, Vectors)]
        return cls(
            new=len(now.items) - len(before.items),
            embedded=vectors[-1] - vectors[0] if vectors else 0,
            changed=len(unknown(before, said)[0]),
            hidden=0 if now.items.shown is None else int(np.count_nonzero(~now.items.shown)),
            limit=limit,
        )


class Keeper:
    """Raises StartError when the ``journal`` cannot be read."""

    def __init__(
        self, journal: Journal | None = None, *, most: int = 10_000, clock: Callable[[], float] = time.time
    ) -> None:
        self.journal, self.most, self.clock = journal or Journal(), most, clock
        self.said = Assortment()
        self._embedder = Embedder()
        self.refresh()

    @classmethod
    def open(cls, settings: ItemSettings, path: Path | None) -> Keeper:
        """Of a server of the registry or bundle at ``path``."""
        file = None if settings.file is None else Path(settings.file)
        if file is None and path is not None and Registry.there(path):
            file = path / ITEMS_FILE
        return cls(Journal(file), most=settings.most)

    def refresh(self) -> Assortment:
        """Hear what other processes were told."""
        self.said = self.said.after(*self.journal.news())
        return self.said

    def after(self, changes: Changes, engine: Engine) -> tuple[Changes, Assortment]:
        """The changes with their time, and all that will be said then. Raises RequestError when they are too many, or
        the item tower of ``engine`` cannot read them."""
        changes = replace(changes, time=int(self.clock()))
        said = self.refresh().after(changes)
        self._check(changes, said, engine.bundle)
        if engine.bundle.new_items is not None:
            engine.bundle.new_items.reader.read([entry.content for entry in changes.items])
        return changes, said

    def _check(self, changes: Changes, said: Assortment, bundle: Bundle) -> None:
        count = sum(map(len, unknown(bundle, said)))
        if changes.items and count > self.most:
            what = f"{count} new or changed items, the limit is {self.most}"
            raise RequestError(f"{what}: export and promote a bundle that knows them - at `$.items`")
        if changes.hide and len(said.hidden) > MOST_HIDDEN:
            raise RequestError(f"{len(said.hidden)} hidden items, the limit is {MOST_HIDDEN} - at `$.hide`")

    def keep(self, changes: Changes, said: Assortment) -> None:
        self.journal.append(changes)
        self.said = said

    def informed(self, engine: Engine, said: Assortment | None = None) -> Engine:
        """An engine of the same bundle that knows what was ``said`` (None: so far)."""
        bundle = applied(engine.bundle, self.said if said is None else said, self._embedder)
        if bundle is engine.bundle:
            return engine
        knowing = Engine(bundle, clock=engine.clock, timer=engine.retrieval.timer)
        _ = knowing.popularity.top(1)  # now, and not when somebody waits for it
        return knowing

    def receipt(self, before: Engine, now: Engine) -> Receipt:
        """Of the engine of a bundle, and of the one ``informed``."""
        return Receipt.of(before.bundle, now.bundle, self.said, self.most)
