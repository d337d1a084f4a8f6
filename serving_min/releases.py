"""Which bundle is live, and which were before it: a folder with ``releases.jsonl``, one line for each change.

The history is never shortened. To roll back is a change as well: it names the bundle that is live again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from serving_min.errors import BundleError, ReleaseError
from serving_min.manifest import FILE_NAME
from serving_min.verification import verified

HISTORY_FILE = "releases.jsonl"


class Release(Struct, frozen=True):
    """``bundle`` is a path, relative to the registry if it lies inside; ``manifest`` the sha256 of its manifest, which
    holds the checksums of all its other files. ``at`` is ISO 8601, UTC."""

    at: str
    action: Literal["promote", "rollback"]
    bundle: str
    name: str
    version: str
    manifest: str


class Registry:
    """The releases in ``folder``. Processes may share it: changes wait for each other."""

    def __init__(self, folder: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = Path(folder)
        self.path = self.folder / HISTORY_FILE
        self.clock = clock

    @classmethod
    def there(cls, folder: Path | str) -> bool:
        """Whether the folder is a registry."""
        return (Path(folder) / HISTORY_FILE).is_file()

    def must_exist(self) -> None:
        """Raises ReleaseError when there is no such folder."""
        if not self.folder.is_dir():
            raise ReleaseError(f"{self.folder}: no such folder; `recsys-lab promote BUNDLE` makes a registry")

    def history(self) -> list[Release]:
        """Oldest first. Raises ReleaseError when the file is damaged."""
        try:
            return msgspec.json.Decoder(Release).decode_lines(self.path.read_bytes() if self.path.exists() else b"")
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ReleaseError(f"{self.path}: {error}") from error

    def standing(self) -> list[Release]:
        """What would be live after one rollback, after two …, in reverse; the last one is live now."""
        releases: list[Release] = []
        for release in self.history():
            if release.action == "rollback":
                releases = releases[:-1]
            else:
                releases.append(release)
        return releases

    def current(self) -> Path:
        """The folder of the live bundle. Raises ReleaseError when there is none, or it is another one by now."""
        standing = self.standing()
        if not standing:
            raise ReleaseError(f"{self.folder}: nothing is released here; `recsys-lab promote BUNDLE` does")
        return self._folder_of(standing[-1])

    def promote(self, bundle: Path | str) -> Release:
        """Make a bundle the live one. Raises BundleError when it does not verify, ReleaseError when it is live."""
        bundle = Path(bundle).resolve()
        manifest = verified(bundle).bundle.manifest
        inside = bundle.is_relative_to(self.folder.resolve())
        named = str(bundle.relative_to(self.folder.resolve())) if inside else str(bundle)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            release = Release(self._now(), "promote", named, manifest.name, manifest.version, _fingerprint(bundle))
            standing = self.standing()
            if standing and (standing[-1].bundle, standing[-1].manifest) == (release.bundle, release.manifest):
                raise ReleaseError(f"{bundle}: is live already, since {standing[-1].at}")
            self._append(release)
        return release

    def rollback(self) -> Release:
        """Go back to the release before the live one. Raises ReleaseError when there is none, BundleError when
        its bundle does not verify any more."""
        with self._alone():
            standing = self.standing()
            if len(standing) < 2:
                raise ReleaseError(f"{self.folder}: no release to go back to; `recsys-lab releases` lists them")
            verified(self._folder_of(standing[-2]))
            release = msgspec.structs.replace(standing[-2], at=self._now(), action="rollback")
            self._append(release)
        return release

    def _folder_of(self, release: Release) -> Path:
        folder = self.folder / release.bundle
        if _fingerprint(folder) != release.manifest:
            raise ReleaseError(f"{folder}: is not the bundle that was released {release.at}; promote it again")
        return folder

    def _append(self, release: Release) -> None:
        before = self.path.read_bytes() if self.path.exists() else b""
        beside = self.path.with_name(f".{HISTORY_FILE}.part")
        with beside.open("wb") as file:
            file.write(before + msgspec.json.encode(release) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.must_exist()
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="seconds")


def live_bundle(path: Path | str) -> Path:
    """The bundle to serve: the live one of a registry, or ``path`` itself."""
    return Registry(path).current() if Registry.there(path) else Path(path)


def _fingerprint(bundle: Path) -> str:
    try:
        return hashlib.sha256((bundle / FILE_NAME).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{bundle / FILE_NAME}: {error.strerror or error}") from error
