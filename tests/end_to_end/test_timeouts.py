"""Timeouts: each is configurable, and each is answered by its own status."""

import contextlib
import threading
import time

import pytest

from support.client import request_bytes
from support.wire import Closed, eventually, head


def test_a_head_that_does_not_end_is_408(scene):
    a = scene.backend("a")
    client = scene.limpet([a], timeouts={"head": "250ms"}).client()
    client.send(b"GET / HTTP/1.1\r\nHost: ")
    assert client.read_response().status == 408
    assert client.is_closed()
    assert a.bytes_received == 0


def test_a_head_that_trickles_in_is_408_all_the_same(scene):
    # The time counts from the request's first byte: another byte now and then buys nothing.
    a = scene.backend("a")
    client = scene.limpet([a], timeouts={"head": "300ms", "idle": "5s"}).client()
    end = time.monotonic() + 5
    try:
        for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 1000:
            client.send(bytes([byte]))
            if not client.is_silent(0.03):
                break
            assert time.monotonic() < end, "a trickled head was waited for without end"
    except OSError:
        pass
    assert client.read_response().status == 408
    assert a.bytes_received == 0


def test_the_time_for_a_head_counts_for_each_request_by_itself(scene):
    a = scene.backend("a")
    client = scene.limpet([a], timeouts={"head": "300ms", "idle": "5s"}).client()
    for _ in range(3):
        time.sleep(0.2)
        assert client.get().status == 200
    client.send(b"GET /")
    assert client.read_response().status == 408


def test_a_body_that_does_not_come_is_408(scene):
    a = scene.backend("a")
    client = scene.limpet([a], timeouts={"body": "250ms"}).client()
    client.send(request_bytes("POST", body=b"hello")[:-1])
    assert client.read_response().status == 408
    assert client.is_closed()
    eventually(lambda: not a.open_connections)
    assert not any(request.complete for request in a.requests)


def test_a_body_that_trickles_in_without_end_is_408(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], timeouts={"body": "500ms", "body_rate": 1000})
    client = limpet.client()
    client.send(request_bytes("PUT", "/upload", ["Content-Length: 1000000"]))
    end = time.monotonic() + 20
    while client.is_silent(0.05):
        assert time.monotonic() < end, "a trickled body is waited for without end"
        client.send(b"x")
    assert client.read_response().status == 408
    line = limpet.log_of("/upload")[0]
    assert (line["status"], line["end"]) == (408, "client_timeout") and line["bytes_in"] >= 5
    eventually(lambda: not a.open_connections)
    assert limpet.get().status == 200, "the backend is blamed"


def test_a_stream_that_trickles_in_is_waited_for(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    limpet = scene.limpet([a], timeouts={"body": "500ms", "body_rate": 1000})
    client = limpet.client()
    client.send(request_bytes("PUT", fields=["Transfer-Encoding: chunked"]), *[b"1\r\nx\r\n"] * 20, b"0\r\n\r\n", pause=0.05)
    assert client.read_response().text == "x" * 20


def test_a_body_that_comes_slowly_but_steadily_is_waited_for(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    client = scene.limpet([a], timeouts={"body": "500ms", "head": "500ms", "idle": "500ms"}, pool={"timeouts": {"head": "500ms", "body": "500ms"}}).client()
    pieces = [bytes([48 + index]) * 100 for index in range(10)]
    client.send(request_bytes("POST", fields=["Content-Length: 1000"]), *pieces, pause=0.1)
    assert client.read_response().text.encode() == b"".join(pieces)


def test_a_client_that_does_not_take_its_answer_is_cut(scene):
    finished = threading.Event()

    def handler(connection, request):
        try:
            connection.reply(body=b"x" * 30_000_000)
        finally:
            finished.set()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], timeouts={"body": "300ms"})
    client = limpet.client(receive_buffer=32768)
    client.send(request_bytes(target="/untaken"))
    assert finished.wait(6), "the backend still writes to a client that takes nothing"
    assert limpet.log_of("/untaken")[0]["end"] != "ok"
    with pytest.raises(Closed):
        client.read_response()


@pytest.mark.parametrize("begin, piece", [(request_bytes("POST", "/untaken", fields=["Transfer-Encoding: chunked"]), b"1\r\nx\r\n"),
                                          (request_bytes("POST", "/untaken", fields=["Content-Length: 1000000"]), b"x" * 1000),
                                          (request_bytes("GET", "/untaken", fields=["Connection: Upgrade", "Upgrade: bytes"]), b"x")], ids=["chunks", "length", "tunnel"])
def test_a_client_that_sends_on_and_takes_nothing_is_cut(scene, begin, piece):
    def handler(connection, request):
        if request.has("Upgrade"):
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n" + b"x" * 30_000_000)
        else:
            connection.reply(body=b"x" * 30_000_000)

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], timeouts={"body": "500ms"})
    client = limpet.client(receive_buffer=32768)
    client.send(begin)

    def is_cut():
        with contextlib.suppress(OSError):
            client.send(piece)
        time.sleep(0.1)
        return "/untaken" in limpet.stdout

    eventually(is_cut)
    line = limpet.log_of("/untaken")[0]
    assert line["end"] in ("client_timeout", "tunnel_timeout") and line["total_ms"] < 3000


def test_a_client_that_takes_its_answer_slowly_is_served(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=b"x" * 8_000_000))
    limpet = scene.limpet([a], timeouts={"body": "600ms"}, pool={"timeouts": {"body": "600ms"}})
    client = limpet.client(receive_buffer=65536)
    client.send(request_bytes())
    response = client.read_head()
    seen = 0
    for piece in client.body_pieces(response, "length"):
        before, seen = seen, seen + len(piece)
        if before // 500_000 != seen // 500_000:
            time.sleep(0.1)
    assert seen == 8_000_000


def test_a_backend_that_does_not_answer_is_504(scene):
    released = threading.Event()

    def handler(connection, request):
        connection.read_body()
        released.wait(5)
        connection.close()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], pool={"timeouts": {"head": "250ms"}})
    client = limpet.client()
    for method in ("GET", "POST"):
        assert client.request(method, "/slow", body=b"x" if method == "POST" else None).status == 504
    assert sum(request.target == "/slow" for request in a.requests) == 2, "a request that the backend has was sent again"
    released.set()
    assert all(line["status"] == 504 for line in limpet.log_of("/slow", 2))


def test_after_504_the_late_answer_is_never_taken_for_another(scene):
    may_answer, answered = threading.Event(), threading.Event()

    def handler(connection, request):
        if request.target == "/slow":
            may_answer.wait(10)
        connection.reply(body=request.target.encode())
        if request.target == "/slow":
            answered.set()

    a = scene.backend("a", handler)
    client = scene.limpet([a], pool={"timeouts": {"head": "1s"}}).client()
    assert client.get("/slow").status == 504
    if not client.ended:
        assert client.get("/fast").text == "/fast"
        may_answer.set()
        assert answered.wait(10)
        assert client.get("/fast").text == "/fast"


def test_a_backend_that_stops_in_mid_head_is_504(scene):
    def handler(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-")
        connection.read_to_end()
        connection.close()

    a = scene.backend("a", handler)
    assert scene.limpet([a], pool={"timeouts": {"head": "250ms"}}).get().status == 504


def test_an_interim_answer_is_no_answer(scene):
    def handler(connection, request):
        connection.send(head("HTTP/1.1 103 Early Hints", ["X: y"]))
        connection.read_to_end()
        connection.close()

    a = scene.backend("a", handler)
    assert scene.limpet([a], pool={"timeouts": {"head": "250ms"}}).get().status == 504


def test_the_backends_time_counts_from_the_requests_last_byte(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    client = scene.limpet([a], pool={"timeouts": {"head": "250ms"}}).client()
    data = request_bytes("POST", body=b"hello")
    client.send(data[:-1])
    time.sleep(0.6)
    client.send(data[-1:])
    assert client.read_response().text == "hello"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_backend_that_stops_in_mid_body_cuts_the_client(scene, framing):
    def handler(connection, request):
        fields = {"length": ["Content-Length: 10"], "chunked": ["Transfer-Encoding: chunked"], "close": []}[framing]
        connection.send(head("HTTP/1.1 200 OK", fields) + (b"5\r\nhello\r\n" if framing == "chunked" else b"hello"))
        connection.read_to_end()
        connection.close()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], pool={"timeouts": {"body": "250ms"}})
    client = limpet.client()
    client.send(request_bytes(target="/stuck"))
    with pytest.raises(Closed) as cut:
        client.read_response()
    assert bytes(cut.value.message.body) == b"hello"
    assert limpet.log_of("/stuck")[0]["end"] == "backend_timeout"
    eventually(lambda: not a.open_connections)


def test_a_body_that_comes_slowly_but_steadily_from_a_backend_is_waited_for(scene):
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 8"]), *[b"x"] * 8, pause=0.1)

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], pool={"timeouts": {"head": "500ms", "body": "500ms"}}, timeouts={"idle": "500ms", "body": "500ms"})
    assert limpet.get().text == "x" * 8


def test_a_connection_that_is_not_established_is_given_up(scene):
    limpet = scene.limpet([scene.hanging()], pool={"timeouts": {"connect": "250ms"}})
    response = limpet.get("/hanging")
    assert response.status in (503, 504)
    assert limpet.log_of("/hanging")[0]["status"] == response.status


def test_a_connection_that_is_not_established_is_tried_elsewhere(scene):
    a = scene.backend("a")
    limpet = scene.limpet([scene.hanging(), a], pool={"timeouts": {"connect": "250ms"}, "affinity": ["cookie"], "placement": "round-robin"})
    answers = [limpet.get() for _ in range(2)]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "a"), (200, "a")]


def test_a_client_that_disappears_while_connecting_does_no_harm(scene):
    limpet = scene.limpet([scene.hanging()], pool={"timeouts": {"connect": "300ms"}})
    for index in range(10):
        client = limpet.client()
        client.send(request_bytes("POST", body=b"x" * 100))
        time.sleep(0.02)
        client.reset() if index % 2 else client.close()
    assert limpet.get().status in (503, 504)
