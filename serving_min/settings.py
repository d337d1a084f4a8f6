"""How a server runs: ``--settings FILE.toml``, and command-line options that go before it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from serving_min.errors import StartError

Positive = Annotated[int, Meta(ge=1)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``waiting`` requests may queue, more get a 503. What is asked after ``deadline`` seconds in the queue gets the
    fallback."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    waiting: Positive = 512
    deadline: Annotated[float, Meta(gt=0)] = 1.0

    @classmethod
    def read(cls, path: Path | None = None, **options: Any) -> Settings:
        """The file's settings, replaced by those ``options`` that are not None.

        Raises StartError for a file that cannot be read, a setting that does not exist or cannot be.
        """
        try:
            written = {} if path is None else msgspec.toml.decode(path.read_bytes())
            given = {name: value for name, value in options.items() if value is not None}
            return msgspec.convert({**written, **given}, cls)
        except OSError as error:
            raise StartError(f"settings: {path}: {error.strerror or error}") from error
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise StartError(f"settings: {path or 'options'}: {error}") from error
