"""The meters as Prometheus reads them, of one process or of all that share a folder."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from serving_min.meters import Counter, Gauge, Histogram, Labels, Meter, Meters

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

Values = list[float]
Series = dict[str, list[tuple[Labels, Values]]]  # by the meter's name


class Snapshot(Struct, frozen=True):
    """What one process counted until ``time``; what ended since is counted still, but has no gauges any more."""

    time: float
    counted: Series
    gauges: Series


class Exposition:
    """Shows ``meters``. With a ``folder``, each process keeps its latest snapshot there, every ``seconds``, and each
    answers for all: the scraper meets any of them. The folder is emptied when the server starts, not when a process
    of it does, since counters must not fall."""

    def __init__(self, meters: Meters, folder: Path | None = None, *, seconds: float = 1.0) -> None:
        self.meters, self.folder, self.seconds = meters, folder, seconds
        self._own = f"{os.getpid()}.json"
        self._sharing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self.folder is not None:
            self._sharing = asyncio.create_task(self._share(self.folder))

    async def stop(self) -> None:
        if self._sharing is not None and self.folder is not None:
            self._sharing.cancel()
            with suppress(asyncio.CancelledError):
                await self._sharing
            self._write(self.folder)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The text that Prometheus, or OpenMetrics where ``accept`` says so, reads, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    def collect(self) -> Iterator[Metric]:
        """What ``prometheus_client`` asks a collector for."""
        snapshots = [self.snapshot(), *self._others()]
        newest = max(snapshot.time for snapshot in snapshots)
        for meter in self.meters.own:
            together = meter.together if isinstance(meter, Gauge) else sum
            said: dict[Labels, list[Values]] = {}
            for snapshot in snapshots:
                alive = newest - snapshot.time < 10 * self.seconds
                gauges = snapshot.gauges.get(meter.name, []) if alive else []
                for labels, values in [*snapshot.counted.get(meter.name, []), *gauges]:
                    said.setdefault(tuple(labels), []).append(values)
            yield _metric(meter, {labels: [*map(together, zip(*rows, strict=True))] for labels, rows in said.items()})

    def snapshot(self) -> Snapshot:
        counted: Series = {}
        gauges: Series = {}
        for meter in self.meters.own:
            (gauges if isinstance(meter, Gauge) else counted)[meter.name] = _series(meter)
        return Snapshot(time.time(), counted, gauges)

    async def _share(self, folder: Path) -> None:
        while True:
            try:
                self._write(folder)
            except OSError as error:
                log.error("metrics: %s: %s", folder, error.strerror or error)
            await asyncio.sleep(self.seconds)

    def _write(self, folder: Path) -> None:
        beside = folder / f".{self._own}"
        beside.write_bytes(msgspec.json.encode(self.snapshot()))
        beside.rename(folder / self._own)

    def _others(self) -> Iterator[Snapshot]:
        for path in [] if self.folder is None else sorted(self.folder.glob("[0-9]*.json")):
            if path.name == self._own:
                continue
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Snapshot)
            except (OSError, msgspec.DecodeError) as error:  # what is left is worth more than nothing
                log.error("metrics: %s: %s", path, error)


def _series(meter: Meter) -> list[tuple[Labels, Values]]:
    if isinstance(meter, Histogram):
        return [(key, [*row]) for key, row in list(meter.values.items())]
    values = dict(meter.values) if isinstance(meter, Counter) else meter.read()
    return [(key, [value]) for key, value in values.items()]


def _metric(meter: Meter, series: dict[Labels, Values]) -> Metric:
    from prometheus_client import core

    if isinstance(meter, Histogram):
        histogram = core.HistogramMetricFamily(meter.name, meter.help, labels=meter.labels)
        for labels, (*counts, total) in series.items():
            histogram.add_metric(labels, _cumulated(meter.bounds, counts), total)
        return histogram
    simple: core.CounterMetricFamily | core.GaugeMetricFamily
    kind = core.GaugeMetricFamily if isinstance(meter, Gauge) else core.CounterMetricFamily
    simple = kind(meter.name, meter.help, labels=meter.labels)
    for labels, (value,) in series.items():
        simple.add_metric(labels, value)
    return simple


def _cumulated(bounds: Sequence[float], counts: Sequence[float]) -> list[tuple[str, float]]:
    at_most, buckets = 0.0, []
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        at_most += count
        buckets.append((bound, at_most))
    return buckets
