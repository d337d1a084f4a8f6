"""The log as Kafka topics, one for each stream."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from serving_min.errors import StartError
from serving_min.sinks.sink import Encoded

log = logging.getLogger(__name__)


class Kafka:
    """A target for the sink. Each message is a line of JSON, keyed by user, so that a user's stay in order.

    All replicas acknowledge each message, and retries make no duplicates (``enable.idempotence``). While brokers are
    away messages wait in the client's own bounded queue, for five minutes; then, or when it is full, they are lost and
    counted. ``settings`` are librdkafka's.
    """

    def __init__(
        self, servers: str, *, prefix: str = "recsys.", settings: Mapping[str, Any] | None = None, flush: float = 10
    ) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise StartError("kafka: the package is missing; pip install confluent-kafka") from error
        chosen = {"bootstrap.servers": servers, "linger.ms": 50, "compression.type": "zstd", **(settings or {})}
        chosen |= {"enable.idempotence": True, "acks": "all"}
        self._said = Said()
        try:
            self._producer = confluent_kafka.Producer(chosen, logger=self._said)
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            told = error.args[0]
            why = told.str().strip() if isinstance(told, confluent_kafka.KafkaError) else told
            raise StartError(f"log.librdkafka: {why}; the names and values are librdkafka's own") from error
        self._refusals = (BufferError, confluent_kafka.KafkaException)
        self.prefix, self.flush = prefix, flush
        self.written = self.lost = 0

    def append(self, stream: str, lines: Sequence[Encoded]) -> None:
        for user, line in lines:
            try:
                self._producer.produce(self.prefix + stream, line, key=user.encode(), on_delivery=self._delivered)
            except self._refusals as error:
                self._lose(1, error)
        self._producer.poll(0)

    def sync(self) -> None:
        self._producer.poll(0)

    def close(self) -> None:
        """Gives the brokers ``flush`` seconds to take what waits."""
        if left := self._producer.flush(self.flush):
            self._lose(left, f"not taken within {self.flush:g} seconds")

    def _delivered(self, error: Any, _: Any) -> None:
        if error is None:
            self.written += 1
            self._said.forget()
        else:
            self._lose(1, error)

    def _lose(self, count: int, why: object) -> None:
        if not self.lost:
            log.error("kafka: messages are lost: %s", why)
        self.lost += count


class Said:
    """The client's logger. While brokers are away it complains several times a second; what it has said is not said
    again, whatever its numbers, until it is to ``forget``."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def log(self, level: int, form: str, *parts: str) -> None:
        kind = re.sub(r"\d+", "", " ".join(parts)).partition(" (after ")[0]
        if kind not in self._kinds:
            self._kinds.add(kind)
            log.log(level, form, *parts)

    def forget(self) -> None:
        self._kinds.clear()
