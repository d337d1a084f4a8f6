from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving_min.logs import AccessLog, Json
from serving_min.wire import PROBLEMS, RequestIds
from tests.serving_min.process import ROOT


class Lines(logging.Handler):
    """What would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(Json())
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def written() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("serving_min")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def client(log: AccessLog) -> TestClient:
    async def about(request: Request) -> Response:
        logging.getLogger("serving_min.routes").warning("about %s", "this")
        if request.path_params["user"] == "bug":
            raise RuntimeError("a bug")
        return HTMLResponse("<p>page</p>")

    app = Starlette(
        routes=[Route("/v1/users/{user}", about)],
        middleware=[Middleware(RequestIds, ended=log.ended)],
        exception_handlers=PROBLEMS,
    )
    return TestClient(app, raise_server_exceptions=False)


def test_lines_carry_the_id_of_the_request_and_no_users(written: Lines) -> None:
    asker = client(AccessLog(1.0, timer=lambda: 1e9))
    response = asker.get("/v1/users/ann", headers={"X-Request-Id": "one"})
    assert "'unsafe-inline'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response = asker.get("/v1/users/bug", headers={"X-Request-Id": "two"})
    assert (response.status_code, response.headers["X-Request-Id"]) == (500, "two")
    assert "Content-Security-Policy" not in response.headers, "only pages need one"
    asker.get("/elsewhere", headers={"X-Request-Id": "three"})
    said, access, _, failed, nowhere = written.lines
    assert (said["message"], said["level"], said["request_id"]) == ("about this", "warning", "one")
    assert (access["route"], access["status"], access["method"]) == ("/v1/users/{user}", 200, "GET")
    assert isinstance(access["milliseconds"], float)
    assert access["milliseconds"] > 0
    assert (failed["request_id"], failed["status"]) == ("two", 500)
    assert (nowhere["route"], nowhere["status"]) == ("none", 404)
    assert "ann" not in json.dumps(written.lines)


def test_a_share_of_requests_is_written_down(written: Lines) -> None:
    draws = iter([0.1, 0.9, 0.5, 0.49])
    asker = client(AccessLog(0.5, draw=lambda: next(draws)))
    for number in range(4):
        asker.get("/v1/users/ann", headers={"X-Request-Id": str(number)})
    assert [line["request_id"] for line in written.lines if "status" in line] == ["0", "3"]


def test_a_traceback_is_part_of_the_line(written: Lines) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("serving_min").exception("it failed")
    (line,) = written.lines
    assert line["message"] == "it failed"
    assert str(line["traceback"]).endswith("ValueError: wrong")
    assert "request_id" not in line


def test_settings_hold_for_the_whole_process() -> None:
    program = (
        "import logging; from serving_min.logs import LoggingSettings, access\n"
        "LoggingSettings(format='json', access=0.5).configure()\n"
        "logging.getLogger('uvicorn.error').warning('a'); logging.getLogger('b').info('b'); access.info('c')\n"
        "LoggingSettings().configure(); logging.getLogger('d').warning('d'); access.info('e')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second, third = done.stderr.splitlines()
    assert [json.loads(line)["message"] for line in (first, second)] == ["a", "c"]
    assert third == "WARNING:     d"
