"""Connections that live on: the client's between requests, the backend's between exchanges (RFC 9112, section 9)."""

import threading
import time

import pytest

from support.client import request_bytes
from support.status import Status, status_table
from support.wire import eventually, head


def test_requests_on_one_client_connection_share_one_backend_connection(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    client = limpet.client()
    for index in range(20):
        response = client.get(f"/{index}")
        assert response.status == 200 and response.text == "a"
    assert [request.target for request in a.requests] == [f"/{index}" for index in range(20)]
    assert len(a.connections) == 1


def test_clients_one_after_another_share_one_backend_connection(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    for _ in range(10):
        assert limpet.get().status == 200
    assert len(a.requests) == 10
    assert len(a.connections) == 1


def test_concurrent_exchanges_never_share_a_backend_connection(scene):
    everyone_is_there = threading.Barrier(5)

    def handler(connection, request):
        everyone_is_there.wait(5)
        connection.reply(body=request.target.encode())

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    clients = [limpet.client() for _ in range(5)]
    for index, client in enumerate(clients):
        client.send(request_bytes(target=f"/{index}"))
    assert [client.read_response().text for client in clients] == [f"/{index}" for index in range(5)]
    assert len(a.connections) == 5


def test_a_client_that_asks_for_close_is_told_so_and_closed(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    client = limpet.client()
    response = client.get("/", "Connection: close")
    assert response.status == 200
    assert response.tokens("Connection") == ["close"]
    assert client.is_closed()


def test_a_clients_close_does_not_cost_the_backend_connection(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    for _ in range(3):
        assert limpet.get("/", "Connection: close").status == 200
    assert len(a.connections) == 1
    assert not any("close" in request.tokens("Connection") for request in a.requests)


@pytest.mark.parametrize("option", ["close", "Close", "CLOSE", "foo, close", "close, foo", " , close ,"])
def test_close_is_recognised_however_it_is_written(scene, option):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    assert client.get("/", f"Connection: {option}").status == 200
    assert client.is_closed()


def test_a_response_that_persists_does_not_say_close(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    assert "close" not in client.get().tokens("Connection")
    assert client.is_silent()


def test_a_backends_close_does_not_close_the_client(scene):
    def handler(connection, request):
        connection.reply(fields=["Connection: close"], body=b"bye")
        connection.finish()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    for _ in range(3):
        response = client.get()
        assert response.status == 200 and response.text == "bye"
        assert "close" not in response.tokens("Connection")
    assert len(a.connections) == 3


def test_a_backend_that_said_close_is_not_sent_another_request_on_that_connection(scene):
    # The backend says close but leaves the connection open: its word counts (RFC 9112, section 9.6).
    def handler(connection, request):
        connection.reply(fields=["Connection: close"], body=b"bye")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    assert client.get().status == 200
    assert client.get().status == 200
    assert [len(connection.requests) for connection in a.connections] == [1, 1]


def test_a_connection_that_the_backend_closed_while_idle_is_not_used_again(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    assert client.get().status == 200
    a.drop_connections()
    time.sleep(0.05)
    assert client.get().status == 200
    assert [len(connection.requests) for connection in a.connections] == [1, 1]


def test_bytes_after_a_response_never_become_the_next_response(scene):
    # RFC 9112, section 6.3: what follows the last expected response must not be taken for another one.
    def handler(connection, request):
        if request.target == "/first":
            connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 5"]) + b"first" + head("HTTP/1.1 200 OK", ["Content-Length: 6"]) + b"poison")
        else:
            connection.reply(body=b"second")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    assert client.get("/first").text == "first"
    assert client.get("/second").text == "second"
    assert len(a.connections) == 2


def test_bytes_that_an_idle_backend_connection_sends_never_become_a_response(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    assert client.get().text == "a"
    a.connections[0].send(head("HTTP/1.1 200 OK", ["Content-Length: 6"]) + b"poison")
    time.sleep(0.05)
    assert client.get().text == "a"
    assert len(a.connections) == 2


def test_what_a_backend_writes_behind_an_answer_never_reaches_a_request_that_waits_for_the_connection(scene):
    # The answer fills the reads it takes, so that Limpet has read all of it and nothing of what is there already behind it. What comes
    # later than the next request nobody can tell from its answer: HAProxy and nginx send that at once.
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 65000\r\nX-Pad: "
    start += b"x" * (65536 - 65000 - len(start) - 4) + b"\r\n\r\n"
    first_came, may_answer = threading.Event(), threading.Event()

    def handler(connection, request):
        if request.target == "/first":
            first_came.set()
            may_answer.wait(5)
            connection.send(start + b"f" * 65000 + head("HTTP/1.1 200 OK", ["Content-Length: 6"]) + b"poison")
        else:
            connection.reply(body=b"second")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes(target="/first") + request_bytes(target="/second"))
    assert first_came.wait(5)
    with limpet.stopped():
        may_answer.set()
        time.sleep(0.1)
    assert len(client.read_response().body) == 65000
    assert client.read_response().text == "second"


def test_a_post_never_meets_the_end_that_came_with_the_answer_before_it(scene):
    # It must not be sent twice (RFC 9110, section 9.2.2), so the end has to be seen before it is sent. An end that comes later than
    # the next request is nothing that anybody can foresee.
    came, may_answer, closed = threading.Event(), threading.Event(), threading.Event()

    def handler(connection, request):
        connection.read_body()
        if request.target == "/first":
            came.set()
            may_answer.wait(5)
        connection.reply(body=b"a")
        if request.target == "/first":
            connection.close()
            closed.set()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(20):
        for event in (came, may_answer, closed):
            event.clear()
        client = limpet.client()
        client.send(request_bytes("POST", "/first", body=b"one") + request_bytes("POST", "/second", body=b"two"))
        assert came.wait(5)
        with limpet.stopped():
            may_answer.set()
            assert closed.wait(5)
        assert [client.read_response().status for _ in range(2)] == [200, 200]
        client.close()


def test_connections_that_are_closed_for_what_came_unasked_are_counted(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], status=status_table())
    assert limpet.get().text == "a"
    a.connections[0].send(head("HTTP/1.1 200 OK", ["Content-Length: 6"]) + b"poison")
    eventually(lambda: not a.open_connections)
    eventually(lambda: Status(limpet).metric("limpet_backend_strays_total", backend="a") == 1)
    assert limpet.get().text == "a"
    limpet.says("app/a: said something that no request asked for")
    assert limpet.stderr.count("app/a: said something that no request asked for") == 1


def test_an_unused_backend_connection_is_closed_after_keep_alive(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], pool={"timeouts": {"keep_alive": "200ms"}})
    assert limpet.get().status == 200
    assert a.open_connections
    eventually(lambda: not a.open_connections)
    assert limpet.get().status == 200
    assert len(a.connections) == 2


def test_an_idle_client_is_closed_without_a_word(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], timeouts={"idle": "250ms"})
    fresh, used = limpet.client(), limpet.client()
    assert used.get().status == 200
    assert fresh.read_to_end() == b""
    assert used.read_to_end() == b""


def test_a_busy_client_is_not_idle(scene):
    def handler(connection, request):
        time.sleep(0.6)
        connection.reply(body=b"late")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], timeouts={"idle": "200ms"})
    assert limpet.get().text == "late"


def test_an_empty_line_before_a_request_is_ignored(scene):
    # RFC 9112, section 2.2.
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    client.send(b"\r\n" + request_bytes(target="/1"))
    assert client.read_response().status == 200
    client.send(b"\r\n" + request_bytes(target="/2"))
    assert client.read_response().status == 200
    assert [request.start_line for request in a.requests] == ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]


def test_a_request_may_arrive_one_byte_at_a_time(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    data = request_bytes("POST", "/slow", ["X-Field: value"], b"body")
    client.send(*(data[index:index + 1] for index in range(len(data))), pause=0.001)
    assert client.read_response().status == 200
    assert a.last.get("X-Field") == "value" and a.last.body == b"body"


def test_a_response_may_arrive_one_byte_at_a_time(scene):
    data = head("HTTP/1.1 200 OK", ["X-Field: value", "Transfer-Encoding: chunked"]) + b"4\r\nbody\r\n0\r\n\r\n"

    def handler(connection, request):
        connection.send(*(data[index:index + 1] for index in range(len(data))), pause=0.001)

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    for _ in range(2):
        response = client.get()
        assert response.get("X-Field") == "value" and response.text == "body"
    assert len(a.connections) == 1
