"""Against librdkafka's own mock of a cluster of brokers, since no real one runs here."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import confluent_kafka
import pytest

from serving_min.errors import StartError
from serving_min.sinks.kafka import Kafka
from serving_min.sinks.sink import EventSink
from tests.serving_min.sinks.lines import answer, event

MOCK = {"test.mock.num.brokers": 3}


def received(servers: str, topic: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The first messages of a topic: key and decoded value."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": "test"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign(
        [confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING) for number in partitions]
    )
    found, deadline = [], time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append((message.key().decode(), json.loads(message.value())))
    consumer.close()
    return found


def test_lines_arrive_keyed_by_user_and_in_their_order() -> None:
    target = Kafka("", settings=MOCK)
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in target._producer.list_topics().brokers.values())
    sink = EventSink([target])
    sink.start()
    for number in range(50):
        sink.write(event(str(number), user="ann" if number % 2 else "bob"))
    sink.write(answer("r1"))
    while sink.status().written < 51:
        time.sleep(0.01)
    assert target._producer.flush(20) == 0
    events = received(servers, "recsys.events", 50)
    assert [value["id"] for key, value in events if key == "ann"] == [str(number) for number in range(1, 50, 2)]
    assert len(events) == 50
    ((key, value),) = received(servers, "recsys.answers", 1)
    assert (key, value["shown"][0]["propensity"]) == ("ann", 0.75)
    asyncio.run(sink.stop())
    assert sink.status().lost == 0


def test_brokers_that_are_away_cost_messages_that_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    settings = {"queue.buffering.max.messages": 10, "log_level": 0}
    target = Kafka("127.0.0.1:1", settings=settings, flush=0.1)
    sink = EventSink([target])
    sink.start()
    for number in range(30):
        assert sink.write(event(str(number)))
    with caplog.at_level(logging.ERROR):
        asyncio.run(sink.stop())
    assert (sink.status().written, sink.status().lost) == (0, 30)
    assert "kafka: messages are lost" in caplog.text


def test_brokers_that_are_away_are_complained_of_once_until_they_are_back(caplog: pytest.LogCaptureFixture) -> None:
    target = Kafka("127.0.0.1:1", flush=0.1)
    deadline = time.monotonic() + 20
    while not caplog.messages and time.monotonic() < deadline:
        target.sync()
    text = caplog.messages[0].partition("] ")[2]
    assert "Connection refused (after" in text

    def again(text: str) -> int:
        target._said.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#producer-1", text)
        return len(caplog.messages)

    assert [again(text), again(text.partition(" (after ")[0] + " (after 9ms in state CONNECT)")] == [1, 1]
    assert again(text.replace("Connection refused", "No route to host")) == 2
    target._delivered(None, None)
    assert [again(text), again(text)] == [3, 3]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("no.such.setting", 1, r'No such configuration property: "no\.such\.setting"'),
        ("linger.ms", -5, r'Configuration property "queue\.buffering\.max\.ms" value -5 is outside .* 0\.\.900000'),
        ("error_cb", "x", "expected error_cb property as a callable function"),
    ],
)
def test_a_setting_that_the_client_does_not_take(name: str, value: str | int, complaint: str) -> None:
    with pytest.raises(StartError, match=rf"^log\.librdkafka: {complaint}; the names and values are librdkafka's own$"):
        Kafka("host:9092", settings={name: value})


def test_durability_is_not_to_be_set() -> None:
    target = Kafka("", settings={**MOCK, "acks": "0"})  # overruled, or the idempotent producer would refuse it
    target.close()
    assert target.lost == 0
