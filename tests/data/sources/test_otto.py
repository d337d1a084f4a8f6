import json
from pathlib import Path

import pytest

from recsys_lab.data.sources.otto import Otto
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

SESSIONS = [
    {
        "session": 0,
        "events": [
            {"aid": 15, "ts": 1659304800025, "type": "clicks"},
            {"aid": 16, "ts": 1659304800999, "type": "carts"},
        ],
    },
    {"session": 7, "events": [{"aid": 15, "ts": 1659304801000, "type": "orders"}]},
    {"session": 8, "events": []},
]
COLUMNS = "row_id, user_id, session_id, item_id, timestamp, event"


def lines(*sessions: dict[str, object]) -> str:
    return "".join(json.dumps(session) + "\n" for session in sessions)


@pytest.mark.parametrize("packing", PACK)
def test_sessions_become_users(tmp_path: Path, packing: str) -> None:
    loaded = Loaded(Otto(write(tmp_path / "train.jsonl", lines(*SESSIONS), packing=packing)))
    assert loaded.events(COLUMNS) == [
        (0, "0", "0", "15", 1_659_304_800, "click"),
        (1, "0", "0", "16", 1_659_304_800, "cart"),
        (2, "7", "7", "15", 1_659_304_801, "purchase"),
    ]


def test_brackets_in_a_name_are_no_wildcards(tmp_path: Path) -> None:
    write(tmp_path / "train1.jsonl", lines(SESSIONS[0]))
    path = write(tmp_path / "train[1].jsonl", lines(SESSIONS[1]))
    assert Loaded(Otto(path)).events("user_id") == [("7",)]


def test_every_file_of_a_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", lines(SESSIONS[1]))
    write(tmp_path / "test.jsonl", lines(SESSIONS[0]), packing=".gz")
    assert Loaded(Otto(tmp_path)).events("user_id") == [("0",), ("0",), ("7",)]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"ends with \.jsonl"):
        Otto(tmp_path).files()
    path = write(tmp_path / "train.jsonl", "")
    with pytest.raises(EmptyDataError, match="is empty"):
        Loaded(Otto(path))
    write(path, lines(SESSIONS[2]))
    with pytest.raises(EmptyDataError, match="no row"):
        Loaded(Otto(path))
    write(path, "session,aid\n1,2\n")
    with pytest.raises(SourceError, match="line 1 is no JSON object but 'session,aid'"):
        Loaded(Otto(path))
    write(path, lines({"user": 1, "events": []}))
    with pytest.raises(SchemaError, match="'session' is missing; it has user, events"):
        Loaded(Otto(path))
    write(path, lines({"session": 1, "events": [{"aid": 1, "type": "clicks"}]}))
    with pytest.raises(SchemaError, match="'ts' is missing; it has aid, type"):
        Loaded(Otto(path))
    write(path, lines({"session": 1, "events": "none"}))
    with pytest.raises(SchemaError, match="no list of objects"):
        Loaded(Otto(path))
    write(path, lines({"session": 1, "events": [{"aid": 1, "ts": "noon", "type": "clicks"}]}))
    with pytest.raises(SchemaError, match="the first is 'noon'"):
        Loaded(Otto(path))
    write(path, lines(SESSIONS[0]) + "{broken\n")
    with pytest.raises(SourceError, match=r"cannot be read.*Malformed JSON"):
        Loaded(Otto(path))


def test_real_otto_fixture() -> None:
    loaded = Loaded(Otto(real_data("otto")))
    assert loaded.query("SELECT count(*), count(DISTINCT user_id) FROM raw_events") == [(862, 20)]
    assert loaded.events(COLUMNS)[0] == (0, "0", "0", "1517085", 1_659_304_800, "click")
    kinds = "SELECT event, count(*) FROM raw_events GROUP BY event ORDER BY event"
    assert [kind for kind, _ in loaded.query(kinds)] == ["cart", "click", "purchase"]
