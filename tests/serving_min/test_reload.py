"""Real servers whose bundles change while they answer."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from serving_min.releases import Registry
from tests.serving_min.process import Running, running


class Load:
    """Clients that ask without a pause. ``failed`` are answers that were none."""

    def __init__(self, address: str) -> None:
        self.address, self.over = address, False
        self.failed: list[str] = []
        self.models: list[str] = []

    def ask(self) -> None:
        with httpx.Client(base_url=self.address) as client:
            while not self.over:
                try:
                    response = client.post("/v1/recommend", json={"history": ["A"], "k": 2})
                    self.models.append(response.raise_for_status().json()["model"])
                except httpx.HTTPError as error:
                    self.failed.append(str(error))
                time.sleep(0.005)

    @contextmanager
    def running(self, clients: int = 4) -> Iterator[None]:
        threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over = True
            for thread in threads:
                thread.join()


def operators(server: Running) -> str:
    found = re.search(r"for operators at (http://\S+)", server.ready)
    assert found
    return found[1]


def test_reload_under_load_fails_nobody(tmp_path: Path, bundles: dict[str, Path]) -> None:
    registry = Registry(tmp_path / "registry")
    registry.promote(bundles["vector"])
    with running(registry.folder, "--admin-port", "0") as server:
        load, admin = Load(server.address), operators(server)
        assert "test-vector 1: 6 items" in server.ready
        with load.running():
            for kind in ("neighbours", "static", "vector"):
                registry.promote(bundles[kind])
                loaded = {"name": f"test-{kind}", "version": "1", "bundle": str(bundles[kind].resolve())}
                assert httpx.post(f"{admin}/admin/reload").json() == loaded
                time.sleep(0.1)
            registry.rollback()
            server.process.send_signal(signal.SIGHUP)
            assert server.process.stdout is not None
            assert server.process.stdout.readline().startswith("test-static 1: 6 items at http://127.0.0.1:")
            time.sleep(0.1)
        assert load.failed == []
        assert set(load.models) == {"test-vector", "test-neighbours", "test-static"}
        assert httpx.get(f"{server.address}/v1/model").json()["name"] == "test-static"
        assert server.terminate() == 0


def test_what_does_not_verify_is_refused_and_the_old_one_goes_on(tmp_path: Path, bundles: dict[str, Path]) -> None:
    folder = shutil.copytree(bundles["vector"], tmp_path / "b")
    with running(folder, "--admin-port", "0", quiet=False) as server:
        (folder / "vectors.npz").write_bytes(b"")
        refused = httpx.post(f"{operators(server)}/admin/reload")
        assert refused.status_code == 409
        assert re.fullmatch(
            r"refused, nothing has changed: \S+vectors\.npz: 0 bytes where the manifest says \d+",
            refused.json()["error"],
        )
        server.process.send_signal(signal.SIGHUP)
        assert server.process.stderr is not None
        line = server.process.stderr.readline()
        assert line.startswith("serving_min: not reloaded, the old bundle stays: ")
        assert "vectors.npz: 0 bytes" in line
        assert httpx.post(f"{server.address}/v1/recommend", json={"history": ["A"]}).json()["model"] == "test-vector"
        assert server.terminate() == 0


def test_operators_see_the_fleet_and_change_it(bundles: dict[str, Path]) -> None:
    with running(bundles["vector"], "--admin-port", "0") as server, httpx.Client(base_url=operators(server)) as admin:
        assert httpx.get(f"{server.address}/admin/fleet").status_code == 404, "not on the public port"
        canary = {"bundle": str(bundles["static"]), "role": "canary", "share": 1.0}
        changed = admin.put("/admin/fleet", json={"others": [canary]})
        assert [member["name"] for member in changed.json()["members"]] == ["test-vector", "test-static"]
        answer = httpx.post(f"{server.address}/v1/recommend", json={"user_id": "ann"}).json()
        assert answer["model"] == "test-static"
        (live, other) = admin.get("/admin/fleet").json()["members"]
        assert (live["answered"], other["answered"]) == (0, 1)
        two = {"others": [{**canary, "share": 0.6}, {**canary, "bundle": "x", "share": 0.6}]}
        assert "shares of `others` are 1.2 together" in admin.put("/admin/fleet", json=two).json()["error"]
        nowhere = admin.put("/admin/fleet", json={"others": [{**canary, "bundle": "nowhere"}]})
        assert (nowhere.status_code, len(admin.get("/admin/fleet").json()["members"])) == (409, 2)
