"""Clients that close one direction, or both, before they are served (RFC 9112, section 9.6)."""

import threading
import time

import pytest

from support.client import request_bytes
from support.wire import Closed, eventually, head


# A client that has left and one that has only sent its last byte look alike until something is sent to them. HAProxy goes on
# serving both unless it has `abortonclose`; nginx ends what is under way for both, as Limpet does.
HALF_CLOSE = {"listener": {"half_close": True}}


def awaiting_its_end(gone):
    def handler(connection, request):
        connection.read_body()
        if connection.read_some() == b"":
            gone.append(request.target)
        connection.close()

    return handler


@pytest.mark.parametrize("request_", [request_bytes(target="/slow"), request_bytes("POST", "/slow", body=b"hello"),
                                      request_bytes("POST", "/slow", chunks=[b"hello"]), request_bytes(target="/slow") * 3])
def test_a_client_that_leaves_while_its_backend_thinks_is_noticed(scene, request_):
    gone = []
    a = scene.backend("a", awaiting_its_end(gone))
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_)
    a.wait_for_requests(1)
    client.close()
    eventually(lambda: gone, what="the backend still works for a client that is gone")
    line = limpet.log_of("/slow")[0]
    assert (line["status"], line["end"], line["backend"]) == (499, "client_gone", "a")
    assert len(a.requests) == 1


def test_a_half_closed_client_still_gets_its_answer_where_the_listener_says_so(scene):
    def handler(connection, request):
        time.sleep(0.1)
        connection.reply(body=b"x" * 200_000)

    a = scene.backend("a", handler)
    client = scene.limpet([a], **HALF_CLOSE).client()
    client.send(request_bytes())
    client.half_close()
    assert len(client.read_response().body) == 200_000
    assert client.is_closed()


def test_a_client_that_half_closes_after_its_body_still_gets_its_answer(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    limpet = scene.limpet([a], **HALF_CLOSE)
    for request in (request_bytes("POST", body=b"hello"), request_bytes("POST", chunks=[b"hello"])):
        client = limpet.client()
        client.send(request)
        client.half_close()
        assert client.read_response().text == "hello"
        assert client.is_closed()
    assert len(a.connections) == 1


def test_a_client_that_half_closes_in_mid_body_is_never_taken_for_complete(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    limpet = scene.limpet([a])
    for data in (request_bytes("POST", body=b"hello")[:-2], request_bytes("POST", chunks=[b"hello"])[:-5], request_bytes("POST", chunks=[b"hello"])[:-7]):
        client = limpet.client()
        client.send(data)
        client.half_close()
        try:
            assert client.read_response().status == 400
        except Closed as closed:
            assert closed.received == b""
    eventually(lambda: not a.open_connections)
    assert not any(request.complete for request in a.requests)


def test_a_client_that_half_closes_in_mid_head_is_closed(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    client.send(b"GET / HTTP/1.1\r\nHost: app")
    client.half_close()
    answer = client.read_to_end()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert a.bytes_received == 0


def test_a_client_that_leaves_in_mid_answer_takes_its_backend_connection_with_it(scene):
    stopped = threading.Event()

    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]))
        try:
            for _ in range(10_000):
                connection.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                time.sleep(0.001)
        except OSError:
            stopped.set()
            raise

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes(target="/endless"))
    client.read_head()
    client.close()
    assert stopped.wait(5), "the backend is still writing an answer that nobody takes"
    assert limpet.log_of("/endless")[0]["end"] != "ok"


def test_a_client_that_resets_while_its_backend_thinks_is_noticed(scene):
    gone = threading.Event()

    def handler(connection, request):
        if connection.read_some() == b"":
            gone.set()
        connection.close()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes(target="/slow"))
    a.wait_for_requests(1)
    client.reset()
    assert gone.wait(5), "the backend still works for a client that is gone"
    line = limpet.log_of("/slow")[0]
    assert line["end"] == "client_gone" and line["backend"] == "a"


def test_clients_that_leave_before_saying_anything_leave_no_trace(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    for index in range(20):
        client = limpet.client()
        client.reset() if index % 2 else client.close()
    assert limpet.get("/honest").status == 200
    assert [line["target"] for line in limpet.log(1)] == ["/honest"]
    assert len(a.requests) == 1


def test_a_client_that_pipelines_and_leaves_does_not_disturb_others(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=b"x" * 300_000))
    limpet = scene.limpet([a])
    for index in range(10):
        client = limpet.client()
        client.send(request_bytes() * 5)
        if index % 3:
            client.read_head()
        client.reset() if index % 2 else client.close()
    assert len(limpet.get().body) == 300_000
