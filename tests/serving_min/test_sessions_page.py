"""What docs/sessions.md shows is what the server takes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from serving_min.events import Batch, Receipt
from serving_min.settings import Settings
from serving_min.sinks.records import AnswerLine, EventLine
from tests.serving_min.process import ROOT

PAGE = (ROOT / "docs" / "sessions.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_events_and_their_receipt() -> None:
    assert msgspec.json.decode(block("json"), type=Batch).events[0].position == 2
    shown = re.search(r'`(\{"accepted".*?\})`', PAGE)
    assert shown is not None
    assert msgspec.json.decode(shown[1], type=Receipt) == Receipt(1, 0, 0)


def test_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(block("toml"))
    read = Settings.read(path)
    assert (read.log.format, read.log.librdkafka["security.protocol"]) == ("parquet", "SASL_SSL")


@pytest.mark.parametrize("line", [EventLine, AnswerLine])
def test_the_fields_of_the_log(line: type[EventLine] | type[AnswerLine]) -> None:
    fields = ", ".join(line.__struct_fields__)
    row = next(row for row in PAGE.splitlines() if row.startswith(f"| {line.stream} |"))
    assert re.sub(r" \(.*?\)", "", row.split("|")[2]).strip() == fields
