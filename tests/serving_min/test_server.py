from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import StartError
from serving_min.listening import listen
from serving_min.messages import Golden
from serving_min.settings import Settings
from serving_min.sinks.segments import finished
from tests.serving_min.handmade import write_bundle
from tests.serving_min.process import ROOT, command, running


def start(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kind", ["vector", "neighbours", "static"])
def test_golden_requests_over_http_and_a_quiet_end(bundles: dict[str, Path], kind: str) -> None:
    with running(bundles[kind]) as server:
        assert f"test-{kind} 1: 6 items at http://127.0.0.1:" in server.ready
        for line in (bundles[kind] / "golden.jsonl").read_bytes().splitlines():
            golden = msgspec.json.decode(line, type=Golden)
            response = httpx.post(f"{server.address}/v1/recommend", content=bytes(golden.request))
            assert response.content == bytes(golden.answer)
        assert server.terminate() == 0


def test_many_clients_at_once_get_their_own_answers(bundles: dict[str, Path]) -> None:
    wanted = dict.fromkeys(("A", "D", "AB", "DE", ""))
    mixed: list[str] = []

    def ask(address: str, history: str) -> None:
        with httpx.Client(base_url=address) as client:
            for _ in range(8):
                answer = client.post("/v1/recommend", json={"history": list(history), "k": 2}).json()
                if answer["items"] != wanted[history]:
                    mixed.append(history)

    with running(bundles["vector"]) as server:
        for history in wanted:
            body = {"history": list(history), "k": 2}
            wanted[history] = httpx.post(f"{server.address}/v1/recommend", json=body).json()["items"]
        threads = [threading.Thread(target=ask, args=(server.address, history)) for history in wanted for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert mixed == []


@pytest.mark.parametrize("more", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["alone", "pipelined"])
def test_sigterm_lets_a_request_finish(bundles: dict[str, Path], more: bytes) -> None:
    body = json.dumps({"history": ["A"], "k": 1}).encode()
    head = f"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with running(bundles["vector"]) as server:
        port = int(server.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
            half.sendall(head + body[:5])
            time.sleep(0.2)
            server.process.terminate()
            time.sleep(0.3)
            half.sendall(body[5:] + more)
            assert half.recv(65536).startswith(b"HTTP/1.1 200 OK")
            assert server.process.wait(20) == 0  # it closes the connection


def test_what_was_sent_before_sigterm_is_answered(bundles: dict[str, Path]) -> None:
    sent = b'POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n{"history": ["A"], "k": 2}'
    with running(bundles["vector"]) as server, ExitStack() as clients:
        port = int(server.address.rpartition(":")[2])
        server.process.send_signal(signal.SIGSTOP)  # it finds all that follows at once
        asking = [clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(12)]
        for client in asking:
            client.sendall(sent)
        server.process.terminate()
        time.sleep(0.2)  # until it is time to look whether it is to stop
        server.process.send_signal(signal.SIGCONT)
        assert [client.recv(15) for client in asking] == [b"HTTP/1.1 200 OK"] * 12
        assert server.process.wait(20) == 0


def test_told_twice_it_waits_for_nobody_and_still_writes_what_it_accepted(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    event = {"id": "1", "user": "ann", "item": "D", "event": "view"}
    with running(bundles["vector"], "--log", tmp_path, quiet=False) as server:
        port = int(server.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
            half.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert httpx.post(f"{server.address}/v1/events", json={"events": [event]}).json()["accepted"] == 1
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(20) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""
    (segment,) = finished(tmp_path)
    assert json.loads(segment.read_text())["id"] == "1"


@pytest.mark.parametrize("module", [("serving_min",), ("recsys_lab", "serve")])
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_ends_in_silence(
    bundles: dict[str, Path], module: tuple[str, ...], told: signal.Signals
) -> None:
    with running(bundles["static"], quiet=False, module=module) as server:
        server.process.send_signal(told)
        assert server.process.wait(20) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


def test_a_client_that_leaves_in_the_middle_is_no_bug(
    bundles: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with running(bundles["static"]) as server:
        port = int(server.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
            half.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            time.sleep(0.2)
        assert httpx.get(f"{server.address}/readyz").status_code == 200
        assert server.terminate() == 0
    assert capfd.readouterr().err == ""


def test_faiss_keeps_to_one_thread_where_it_answers(bundles: dict[str, Path]) -> None:
    import faiss

    engine = Engine(Bundle.load(bundles["vector"]))
    counts: list[int] = []

    def work() -> None:
        engine.own_this_thread()
        counts.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert counts == [1]


def test_a_damaged_bundle_is_one_line_and_exit_2(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", "static")
    (folder / "items.arrow").write_bytes(b"")
    done = start(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "items.arrow: 0 bytes where the manifest says" in done.stderr
    assert start(tmp_path / "nowhere").stderr.startswith(f"serving_min: {tmp_path / 'nowhere'}: no manifest.json here")


def test_a_port_in_use_is_one_line_and_exit_2(bundles: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(bundles["static"], "--port", str(port))
    assert done.returncode == 2
    says = f"serving_min: cannot listen on 127.0.0.1 port {port}: Address already in use; choose another"
    assert done.stderr == f"{says} --port or --host\n"


def test_a_host_that_is_none_is_told_in_words() -> None:
    with pytest.raises(StartError, match=r"^cannot listen on ::nowhere port 0: [^(]+; choose another") as raised:
        listen("::nowhere", 0)
    assert "Unknown error" not in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("--port", "70000", "<= 65535"), ("--admin-port", "-1", ">= 0"), ("--workers", "0", ">= 1")],
)
def test_an_option_that_cannot_be_is_named(bundles: dict[str, Path], option: str, value: str, says: str) -> None:
    done = start(bundles["static"], option, value)
    assert done.returncode == 2
    assert done.stderr.startswith(f"serving_min: settings: {option} {value}: Expected `int` {says}")


def test_what_the_file_says_wrongly_is_not_blamed_on_options(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("port = 70000\nworkers = 2\n")
    with pytest.raises(StartError, match=r"^settings: .*s\.toml: Expected `int` <= 65535"):
        Settings.read(tmp_path / "s.toml", workers=0, port=None)


def test_the_server_imports_neither_the_lab_nor_torch(bundles: dict[str, Path]) -> None:
    program = (
        "import sys, serving_min.server as server, serving_min.bundle as bundle\n"
        "from serving_min.engine import Engine\n"
        "from serving_min.messages import Request\n"
        f"Engine(bundle.Bundle.load({str(bundles['vector'])!r})).recommend([Request(history=['A'])])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"faiss", "onnxruntime", "starlette"} <= imported
    forbidden = [
        "recsys_lab",
        "torch",
        "pandas",
        "hydra",
        "omegaconf",
        "lightning",
        "pytorch_lightning",
        "scipy",
        "onnx",
    ]
    assert not imported.intersection(forbidden)
