"""Real processes behind one port."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from serving_min.keys import hashed
from serving_min.releases import Registry
from tests.serving_min.process import ROOT, Running, command, running
from tests.serving_min.state.stores import RedisServer

NO_REDIS = "redis://127.0.0.1:1/0"  # requests without a user need none

BODY = b'{"history": ["A"], "k": 2}'


def workers_of(supervisor: int) -> list[int]:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(child) for child in children]


@contextmanager
def two(bundle: Path, *options: str | Path, redis: str = NO_REDIS, quiet: bool = True) -> Iterator[Running]:
    with running(bundle, "--workers", "2", "--redis", redis, "--admin-port", "0", *options, quiet=quiet) as server:
        yield server


def operators(server: Running) -> str:
    found = re.search(r"for operators at (http://\S+)", server.ready)
    assert found
    return found[1]


class Load:
    """Clients that open a connection for each request, so that what fails was in somebody's hands."""

    def __init__(self, address: str, clients: int = 4, key: str = "") -> None:
        self.address, self.over = address, False
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.answered = 0
        self.failed: list[str] = []
        self.models: set[str] = set()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self.over:
            connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
            try:
                connection.request("POST", "/v1/recommend", BODY, self.headers)
                response = connection.getresponse()
                self.models.add(json.loads(response.read())["model"])
                self.answered += 1
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failed.append(repr(error))
            finally:
                connection.close()
            time.sleep(0.005)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        for thread in self._threads:
            thread.join()


def test_without_redis_it_says_what_to_give(bundles: dict[str, Path]) -> None:
    words = command(bundles["static"], "--port", "0", "--workers", "2")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "serving_min: 2 workers share no memory: say where they keep what users do, --redis redis://HOST:PORT/0\n"
    )


def test_a_worker_that_is_killed_under_load_takes_only_what_it_held(bundles: dict[str, Path]) -> None:
    with two(bundles["vector"], quiet=False) as server:
        assert "2 workers, for operators at" in server.ready
        before = workers_of(server.process.pid)
        shadow = {"bundle": str(bundles["static"]), "role": "shadow", "share": 1.0}
        httpx.put(f"{operators(server)}/admin/fleet", json={"others": [shadow]}, timeout=30).raise_for_status()
        with Load(server.address) as load:
            time.sleep(0.3)
            os.kill(before[0], signal.SIGKILL)
            assert server.process.stderr is not None
            said = [server.process.stderr.readline() for _ in range(3)]
            assert re.match(r"serving_min: worker \d was ended by SIGKILL; another takes its place", said[-1])
            answered = load.answered
            while len(workers_of(server.process.pid)) < 2:
                time.sleep(0.01)
            time.sleep(0.3)
            assert load.answered > answered, "the other one goes on meanwhile"
        assert len(load.failed) <= 4, "no more than one for each client"
        for _ in range(200):  # the new one is asked as well, and is told what the others were
            workers = httpx.get(f"{operators(server)}/admin/fleet", timeout=30).json()["workers"]
            if [len(worker["members"]) for worker in workers] == [2, 2]:
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"the new one does not know of the shadow: {workers}")
        after = workers_of(server.process.pid)
        assert len(set(before) & set(after)) == 1
        server.process.terminate()
        assert server.process.wait(20) == 0
        complaints = server.process.stderr.read().splitlines()
        assert [line for line in complaints if "state store: away" not in line] == []


def test_every_process_writes_its_log_as_the_settings_say(tmp_path: Path, bundles: dict[str, Path]) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[logging]\nformat = "json"\nlevel = "info"\naccess = 1.0\n')
    with two(bundles["static"], "--settings", settings, quiet=False) as server:
        for number in range(4):
            headers = {"X-Request-Id": f"r{number}"}
            assert httpx.post(f"{server.address}/v1/recommend", json={}, headers=headers).status_code == 200
        assert server.terminate() == 0
        assert server.process.stderr is not None
        lines = [json.loads(line) for line in server.process.stderr]
    access = [line for line in lines if line["logger"] == "serving_min.access"]
    assert sorted(line["request_id"] for line in access) == ["r0", "r1", "r2", "r3"]
    started = {line["message"] for line in lines if line["message"].startswith("Started server process")}
    assert len(started) == 3, "the supervisor's too"


def test_reload_reaches_all_workers_and_fails_nobody(tmp_path: Path, bundles: dict[str, Path]) -> None:
    registry = Registry(tmp_path / "registry")
    registry.promote(bundles["vector"])
    (tmp_path / "keys.toml").write_text(
        f"""[[keys]]\nname = "ann"\nsha256 = "{hashed("secret")}"\nroles = ["admin"]\n"""
        f"""[[keys]]\nname = "shop"\nsha256 = "{hashed("open")}"\nroles = ["read"]\n"""
    )
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[doors]\nkeys = "{tmp_path / "keys.toml"}"\n')
    admin = {"Authorization": "Bearer secret"}
    with two(registry.folder, "--settings", settings) as server:
        assert "test-vector 1: 6 items at" in server.ready
        with Load(server.address, key="open") as load:
            registry.promote(bundles["neighbours"])
            assert httpx.post(f"{operators(server)}/admin/reload").status_code == 401
            reloaded = httpx.post(f"{operators(server)}/admin/reload", headers=admin, timeout=30)
            loaded = {"name": "test-neighbours", "version": "1", "bundle": str(bundles["neighbours"].resolve())}
            assert reloaded.json() == {"workers": [loaded] * 2}
            registry.promote(bundles["static"])
            server.process.send_signal(signal.SIGHUP)
            assert server.process.stdout is not None
            assert server.process.stdout.readline().startswith(f"test-static 1 at {server.address}, 2 workers")
        with Load(server.address, key="open") as later:  # clients that hold no answer from before
            time.sleep(0.3)
        assert (load.failed, later.failed, later.models) == ([], [], {"test-static"})
        (tmp_path / "registry" / "releases.jsonl").write_text("{}\n")
        refused = httpx.post(f"{operators(server)}/admin/reload", headers=admin)
        assert refused.status_code == 409
        assert "refused, nothing has changed: " in refused.json()["error"]
        assert server.terminate() == 0


def fleets(server: Running) -> list[list[str]]:
    workers = httpx.get(f"{operators(server)}/admin/fleet", timeout=30).json()["workers"]
    return [[member["name"] for member in worker["members"]] for worker in workers]


def kill_one(server: Running) -> None:
    """And wait for the next one."""
    before = workers_of(server.process.pid)
    os.kill(before[0], signal.SIGKILL)
    for _ in range(1_000):
        after = workers_of(server.process.pid)
        if len(after) == 2 and before[0] not in after:
            return
        time.sleep(0.01)
    pytest.fail("nobody takes its place")


def test_a_canary_that_leaves_one_worker_leaves_all(tmp_path: Path, bundles: dict[str, Path]) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"""[[fleet.others]]\nbundle = "{bundles["static"]}"\nrole = "canary"\nshare = 1.0\n"""
        """[fleet.budget]\nwindow = 5\nleast = 5\nseconds = 1e-9\n"""
    )
    with two(bundles["vector"], "--settings", settings) as server:
        with httpx.Client() as client:  # one connection, so one worker
            for _ in range(10):
                client.post(f"{server.address}/v1/recommend", content=BODY).raise_for_status()
        for _ in range(200):
            if fleets(server) == [["test-vector"]] * 2:
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"it is still there: {fleets(server)}")
        kill_one(server)
        assert fleets(server) == [["test-vector"]] * 2


def test_a_new_worker_serves_what_the_others_do(tmp_path: Path, bundles: dict[str, Path]) -> None:
    registry, folder = Registry(tmp_path / "registry"), shutil.copytree(bundles["vector"], tmp_path / "1")
    registry.promote(folder)
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"""[[fleet.others]]\nbundle = "{bundles["static"]}"\nrole = "canary"\nshare = 1.0\n"""
        """[fleet.budget]\nwindow = 5\nleast = 5\nseconds = 1e-9\n"""
    )
    with two(registry.folder, "--settings", settings) as server:
        assert fleets(server) == [["test-vector", "test-static"]] * 2
        for _ in range(20):  # each of them gets half
            httpx.post(f"{server.address}/v1/recommend", content=BODY).raise_for_status()
        assert fleets(server) == [["test-vector"]] * 2, "it was too slow"
        registry.promote(bundles["neighbours"])
        kill_one(server)
        assert fleets(server) == [["test-vector"]] * 2, "neither the canary, nor what is not reloaded yet"
        shutil.rmtree(folder)
        kill_one(server)
        assert sorted(fleets(server)) == [["test-neighbours"], ["test-vector"]], "what is gone cannot be loaded"
        assert server.terminate() == 0


def test_a_bundle_that_cannot_be_loaded_is_exit_2_and_no_worker_stays(tmp_path: Path) -> None:
    words = command(tmp_path, "--port", "0", "--workers", "2", "--redis", NO_REDIS)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == lines[1]
    assert "no manifest.json here" in lines[0]
    assert lines[2:] == ["serving_min: a worker could not start; the line above says why"]


def test_what_no_worker_knows_is_a_404_whatever_its_letters(bundles: dict[str, Path]) -> None:
    with two(bundles["static"]) as server:
        for path in ("nothing", "%C3%A9", "x%20y", "a%0Ab", "x?y=%C3%A9"):
            answer = httpx.get(f"{operators(server)}/admin/{path}", timeout=30)
            assert answer.status_code == 404, path
            assert answer.json()["error"].startswith("no route /admin/")
        assert server.terminate() == 0


def test_workers_end_with_their_supervisor(bundles: dict[str, Path]) -> None:
    with two(bundles["static"]) as server:
        orphans = workers_of(server.process.pid)
        server.process.kill()
        server.process.wait()
        for _ in range(200):
            if not any(Path(f"/proc/{worker}/cmdline").exists() for worker in orphans):
                break
            time.sleep(0.05)
        else:
            pytest.fail("they are still there")


def test_told_twice_they_wait_for_nobody(bundles: dict[str, Path]) -> None:
    with two(bundles["static"]) as server:
        port = int(server.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
            half.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(20) == 0


def test_what_was_sent_before_sigterm_is_answered(bundles: dict[str, Path]) -> None:
    head = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with two(bundles["static"]) as server, ExitStack() as clients:
        workers = workers_of(server.process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # they find all that follows at once
        port = int(server.address.rpartition(":")[2])
        asking = [clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(20)]
        for client in asking:
            client.sendall(head + BODY)
        server.process.terminate()
        time.sleep(0.2)
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert [client.recv(15) for client in asking] == [b"HTTP/1.1 200 OK"] * 20
        assert server.process.wait(20) == 0


def test_who_is_forgotten_is_in_no_worker_s_kept_answers(
    tmp_path: Path, bundles: dict[str, Path], redis_server: RedisServer
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[cache]\nseconds = 600\n")
    misses = re.compile(r'recsys_cache_total\{outcome="miss"\} (\S+)')
    with (
        two(bundles["static"], "--settings", settings, redis=redis_server.url) as server,
        httpx.Client(base_url=server.address) as one,
        httpx.Client(base_url=server.address) as other,  # a connection each, so a worker each
    ):

        def made(wanted: int) -> bool:
            """Whether so many answers are made, and not more."""
            count = 0.0
            for _ in range(100):
                for client in (one, other):
                    client.post("/v1/recommend", content=BODY).raise_for_status()
                found = misses.search(one.get("/metrics").text)
                count = float(found[1]) if found else count
                if count >= wanted:
                    break
                time.sleep(0.05)
            return count == wanted

        assert made(2)
        one.delete("/v1/users/ann").raise_for_status()
        assert made(4), "once more by each"


def test_what_one_worker_saw_the_others_know(bundles: dict[str, Path], redis_server: RedisServer) -> None:
    with two(bundles["vector"], redis=redis_server.url) as server:
        event = {"id": "1", "user": "ann", "item": "A", "event": "purchase"}
        assert httpx.post(f"{server.address}/v1/events", json={"events": [event]}).json()["accepted"] == 1
        for _ in range(8):  # a connection each: either may answer
            answer = httpx.post(f"{server.address}/v1/recommend", json={"user_id": "ann", "k": 5}).json()
            assert (answer["fallback"], "A" in [item["id"] for item in answer["items"]]) == (None, False)
