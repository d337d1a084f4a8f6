"""The process's own log: one JSON object a line, with the request's id, and nothing that says who asked."""

from __future__ import annotations

import json
import logging
import logging.config
import random
import time
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.types import Scope

from serving_min.guard import KEY
from serving_min.wire import REQUEST_ID, asking

access = logging.getLogger("serving_min.access")


class LoggingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is below ``level`` is not written. ``access`` is the share of requests that get a line of their own."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "warning"
    access: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def configure(self) -> None:
        """For this whole process, uvicorn's own lines too."""
        text = {"format": "%(levelname)s:     %(message)s"}  # as uvicorn has it
        formatter = {"()": Json} if self.format == "json" else text
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"line": formatter},
                "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
                "root": {"handlers": ["stderr"], "level": self.level.upper()},
                "loggers": {access.name: {"level": "INFO" if self.access else "WARNING"}},
            }
        )


class Json(logging.Formatter):
    """Fields: time (UTC), level, logger, message, then request_id, traceback and what the line brings in ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        scope = asking.get()
        if scope is not None:
            line["request_id"] = scope[REQUEST_ID]
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line |= getattr(record, "fields", {})
        return json.dumps(line, ensure_ascii=False, default=str)


class AccessLog:
    """A line for the ``share`` of requests that ``draw`` chooses: method, route, status, milliseconds, key. The route
    is the one with {braces}: paths have users' ids in them."""

    def __init__(
        self,
        share: float,
        *,
        draw: Callable[[], float] = random.random,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.share, self.draw, self.timer = share, draw, timer

    def ended(self, scope: Scope, status: int, began: float) -> None:
        if self.draw() >= self.share:
            return
        fields = {
            "method": scope["method"],
            "route": getattr(scope.get("route"), "path", "none"),
            "status": status,
            "milliseconds": round(1_000 * (self.timer() - began), 3),
        }
        if KEY in scope:
            fields["key"] = scope[KEY]
        line = " ".join(str(value) for value in fields.values())
        access.info("%s", line, extra={"fields": fields})
