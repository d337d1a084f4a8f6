"""What the server notes of each answer: for Prometheus, for traces, against the export."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from starlette.types import Scope

from serving_min.cache import Outcome
from serving_min.drift import Drift, Drifted, own_part
from serving_min.errors import StartError
from serving_min.exposition import Exposition
from serving_min.logs import AccessLog
from serving_min.messages import Request
from serving_min.meters import Gauge, Labels, Meters, Tally, Together

if TYPE_CHECKING:
    from serving_min.engine import Engine, Served
    from serving_min.events import Receipt
    from serving_min.fleet.deployment import Answered
    from serving_min.fleet.fleet import Fleet
    from serving_min.given import Given
    from serving_min.settings import Settings
    from serving_min.tracing import Otlp
    from serving_min.visitors import Visitors

DRIFTED: dict[str, tuple[str, Together]] = {  # and which of several processes' values is the worst
    "scores": ("Stability index of the model's scores against the export's; above .25 they have changed.", max),
    "popularity": ("Stability index of the popularity of the model's items against the export's.", max),
    "coverage": ("Distinct items in as many lists as the export had, relative to the export's.", min),
}


class Observation:
    """``folder`` is shared by the processes of one server, whose meters are shown together."""

    def __init__(self, *, folder: Path | None = None, access: float = 0.0, otlp: Otlp | None = None) -> None:
        self.meters = Meters()
        self.exposition = Exposition(self.meters, folder)
        self.otlp = otlp
        self.access = AccessLog(access) if access else None
        self._drifts: dict[str, Drift] = {}
        self.meters.watch(*(self._drift_gauge(name, *how) for name, how in DRIFTED.items()))

    async def start(self) -> None:
        await self.exposition.start()

    async def stop(self) -> None:
        await self.exposition.stop()
        if self.otlp is not None:
            self.otlp.stop()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises StartError when traces are wanted and cannot be sent, or metrics are to be shared where nothing can be
        written."""
        otlp = None
        if settings.otlp is not None:
            from serving_min.tracing import Otlp

            otlp = Otlp(settings.otlp)
        folder = None if settings.meters is None else Path(settings.meters)
        if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise StartError(f"meters: {folder}: no folder that can be written to; make it before the start")
        return cls(folder=folder, access=settings.logging.access, otlp=otlp)

    def made(self, answered: Answered) -> None:
        """An answer was made."""
        served, batch = answered.served, answered.batch
        surface = served.answer.surface
        if surface not in batch.surfaces:
            batch.surfaces.add(surface)
            for stage, seconds in batch.by_stage().items():
                self.meters.stages.observe(seconds, surface, stage)
        self._compare(served, answered.engine)

    def given(self, given: Given, request: Request, outcome: Outcome | None, seconds: float) -> None:
        """An answer was given, so many seconds after the request came; None where it could not be kept."""
        named = len(request.history) + len(request.cart) + (request.item is not None)
        self.meters.answered(given.answer, seconds, named)
        self.meters.cache.add(outcome or "never kept")
        if self.otlp is not None:
            batch = given.batch if outcome in (None, "miss") else None
            self.otlp.answered(given.answer, request.request_id or "", seconds, batch)

    def ended(self, scope: Scope, status: int, began: float) -> None:
        """A request was responded to that had begun then, by ``time.monotonic``."""
        if status >= 400:
            self.refused(status)
        if self.access is not None:
            self.access.ended(scope, status, began)

    def refused(self, status: int) -> None:
        """A request was responded to with this status, which is none of success."""
        self.meters.refusals.add(str(status))

    def reported(self, receipt: Receipt) -> None:
        """Visitors did something."""
        self.meters.events.add("accepted", by=receipt.accepted)
        self.meters.events.add("duplicate", by=receipt.duplicates)
        self.meters.events.add("rejected", by=receipt.rejected)

    def _compare(self, served: Served, engine: Engine) -> None:
        reference = engine.bundle.drift
        if reference is None or (own := own_part(served)) is None:
            return
        model = served.answer.model_version  # one that is loaded again goes on where it was
        drift = self._drifts.get(model)
        if drift is None:
            drift = self._drifts[model] = Drift(reference, engine.bundle.popularity)
        drift.saw(*own)

    def _drift_gauge(self, name: str, help: str, worst: Together) -> Gauge:
        def read() -> Mapping[Labels, float]:
            measured: dict[str, Drifted | None] = {model: drift.measure() for model, drift in self._drifts.items()}
            return {(model,): getattr(one, name) for model, one in measured.items() if one is not None}

        return Gauge(f"recsys_drift_{name}", help, read, ("version",), together=worst)


def watched(fleet: Fleet, visitors: Visitors) -> list[Gauge | Tally]:
    """What can be read off at any time."""

    def gauge(name: str, help: str, read: Callable[[], float], together: Together = sum) -> Gauge:
        return Gauge(f"recsys_{name}", help, lambda: {(): float(read())}, together=together)

    def tally(name: str, help: str, read: Callable[[], float]) -> Tally:
        return Tally(f"recsys_{name}", help, lambda: {(): float(read())})

    def models() -> dict[Labels, float]:
        return {(member.name, member.version, member.role): 1.0 for member in fleet.status().members}

    store, log = visitors.store, visitors.log
    return [
        gauge("queue", "Requests that wait for their turn.", lambda: fleet.waits),
        gauge("state_reachable", "1 while the state store answers.", lambda: store.status().reachable, min),
        gauge("state_delayed", "Writes that wait for the state store.", lambda: store.status().delayed),
        tally("state_lost", "Writes that were given up.", lambda: store.status().lost),
        tally("log_written", "Lines that all targets of the event log have.", lambda: log.status().written),
        gauge("log_waiting", "Lines that wait for the event log.", lambda: log.status().waiting),
        tally("log_lost", "Lines that the event log could not keep.", lambda: log.status().lost),
        Gauge("recsys_model", "1 for each bundle that answers.", models, ("model", "version", "role"), together=max),
    ]
