"""Connections of HTTP/2 that carry much: what one request leaves behind, or uses up, is not missing to those that follow."""

import pathlib
import subprocess
import threading

import pytest

from support.http2 import INITIAL_WINDOW_SIZE
from support.limpet import SANITIZER_OPTIONS, settings
from support.wire import eventually

LEFT = 10  # numbers of streams


@pytest.fixture
def last_streams(tmp_path):
    """A library to preload."""
    library = tmp_path / "last_streams.so"
    source = pathlib.Path(__file__).parent.parent / "support" / "last_streams.cc"
    subprocess.run(["g++", "-std=c++20", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def test_a_connection_whose_numbers_of_streams_are_used_up_is_replaced(scene, last_streams):
    backend = scene.http2_backend("a")
    environment = {"LD_PRELOAD": str(last_streams), "STREAMS_LEFT": str(LEFT),
                   "ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    client = scene.start(settings([backend], pool={"protocol": "h2"}), environment=environment).http2()
    assert [client.get().status for _ in range(LEFT * 2 + 1)] == [200] * (LEFT * 2 + 1)
    assert [len(connection.requests) for connection in backend.connections] == [LEFT, LEFT, 1]
    eventually(lambda: len(backend.open_connections) == 1)
    streams = [client.open() for _ in range(LEFT * 2)]
    assert [stream.answer().status for stream in streams] == [200] * (LEFT * 2)


@pytest.mark.parametrize("to", ["http/1.1", "h2"])
def test_uploads_that_are_cancelled_while_they_wait_hold_no_other_up(scene, to):
    held = threading.Event()

    def handler(connection, request):
        if request.target == "/held":
            held.wait(10)
        connection.reply(body=connection.read_body())
    backend = scene.backend("a", handler, version=to)
    limpet = scene.limpet([{**backend.as_table(), "max_connections": 1}], pool={"protocol": to})
    first = limpet.http2().open(target="/held")
    backend.wait_for_requests(1)
    client = limpet.http2()
    client.ping()
    for _ in range(10):
        waiting = client.open("POST", ends=False)
        waiting.send(b"x" * 60_000)
        client.ping()
        waiting.reset()
    held.set()
    assert first.answer().status == 200
    body = b"x" * 300_000
    assert client.request("POST", body=body).body == body


@pytest.mark.soak
def test_answers_that_their_client_leaves_hold_no_other_up(scene):
    """All are on one connection to the backend, and of each a part has come that nobody took: more than that connection's window in all."""
    sent = threading.Semaphore(0)

    def handler(connection, request):
        connection.reply(body=b"x" * 200_000)
        sent.release()
    backend = scene.http2_backend("a", handler)
    limpet = scene.limpet([backend], pool={"protocol": "h2"})
    for _ in range(30):
        client = limpet.http2(settings={INITIAL_WINDOW_SIZE: 1000})
        client.opens = False
        streams = [client.open() for _ in range(50)]
        for _ in streams:
            assert sent.acquire(timeout=10)
        client.close()
    assert len(backend.connections) == 1
    assert len(limpet.http2().get().body) == 200_000
