"""Pipelined requests are answered in the order in which they came (RFC 9112, section 9.3.2)."""

import threading
import time

from support.client import request_bytes
from support.limpet import pool_table
from support.wire import eventually


def echo_target(connection, request):
    body = connection.read_body()
    connection.reply(body=f"{request.method} {request.target} ".encode() + body)


def test_pipelined_requests_are_answered_in_order(scene):
    a = scene.backend("a", echo_target)
    client = scene.limpet([a]).client()
    client.send(b"".join(request_bytes(target=f"/{index}") for index in range(50)))
    assert [client.read_response().text for _ in range(50)] == [f"GET /{index} " for index in range(50)]
    assert [request.target for request in a.requests] == [f"/{index}" for index in range(50)]


def test_pipelined_bodies_go_to_the_requests_that_they_belong_to(scene):
    a = scene.backend("a", echo_target)
    client = scene.limpet([a]).client()
    client.send(
        request_bytes("POST", "/1", body=b"one")
        + request_bytes("POST", "/2", chunks=[b"t", b"wo"])
        + request_bytes("GET", "/3")
        + request_bytes("POST", "/4", body=b"")
        + request_bytes("PUT", "/5", body=b"GET /not-a-request HTTP/1.1\r\nHost: x\r\n\r\n")
        + request_bytes("POST", "/6", chunks=[])
        + request_bytes("GET", "/7")
    )
    assert [client.read_response().text for _ in range(7)] == [
        "POST /1 one", "POST /2 two", "GET /3 ", "POST /4 ", "PUT /5 GET /not-a-request HTTP/1.1\r\nHost: x\r\n\r\n", "POST /6 ", "GET /7 ",
    ]


def test_pipelined_heads_and_heads_of_head_requests_stay_in_step(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(
        fields=["Content-Length: 2"] if request.method == "HEAD" else [], body=b"" if request.method == "HEAD" else b"ok",
        length=request.method != "HEAD"))
    client = scene.limpet([a]).client()
    client.send(b"".join(request_bytes(method) for method in ("GET", "HEAD", "HEAD", "GET")))
    for method in ("GET", "HEAD", "HEAD", "GET"):
        response = client.read_response(method)
        assert response.status == 200 and response.get("Content-Length") == "2"
        assert response.text == ("" if method == "HEAD" else "ok")


def test_a_slow_answer_holds_back_a_fast_one_behind_it(scene):
    may_answer = threading.Event()

    def slow(connection, request):
        may_answer.wait(5)
        connection.reply(body=b"slow")

    slow_backend, fast_backend = scene.backend("slow", slow), scene.backend("fast")
    limpet = scene.limpet(
        pools=[pool_table("slow", [slow_backend]), pool_table("fast", [fast_backend])],
        routes=[{"pool": "slow", "path": "/slow"}, {"pool": "fast"}],
    )
    client = limpet.client()
    client.send(request_bytes(target="/slow") + request_bytes(target="/fast"))
    slow_backend.wait_for_requests(1)
    assert client.is_silent(0.1)
    may_answer.set()
    assert [client.read_response().text for _ in range(2)] == ["slow", "fast"]


def test_nothing_after_a_request_with_close_is_served(scene):
    # RFC 9112, section 9.6: the server must not process requests that came after close.
    a = scene.backend("a", echo_target)
    client = scene.limpet([a]).client()
    client.send(request_bytes(target="/last", fields=["Connection: close"]) + request_bytes(target="/after"))
    assert client.read_response().text == "GET /last "
    assert client.is_closed()
    time.sleep(0.05)
    assert [request.target for request in a.requests] == ["/last"]


def test_good_requests_are_answered_before_a_bad_one_behind_them_is_refused(scene):
    a = scene.backend("a", echo_target)
    client = scene.limpet([a]).client()
    client.send(request_bytes(target="/1") + request_bytes(target="/2") + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + request_bytes(target="/3"))
    assert [client.read_response().text for _ in range(2)] == ["GET /1 ", "GET /2 "]
    assert client.read_response().status == 400
    assert client.is_closed()
    assert [request.target for request in a.requests] == ["/1", "/2"]


def test_pipelined_requests_are_all_answered_after_the_client_half_closed_where_the_listener_says_so(scene):
    a = scene.backend("a", echo_target)
    client = scene.limpet([a], listener={"half_close": True}).client()
    client.send(b"".join(request_bytes(target=f"/{index}") for index in range(5)))
    client.half_close()
    assert [client.read_response().text for _ in range(5)] == [f"GET /{index} " for index in range(5)]
    assert client.is_closed()


def test_pipelined_requests_cut_at_any_byte_are_answered_alike(scene):
    a = scene.backend("a", echo_target)
    limpet = scene.limpet([a])
    data = request_bytes("POST", "/1", body=b"one") + request_bytes("POST", "/2", chunks=[b"two", b"three"]) + request_bytes(target="/3")
    for cut in range(1, len(data), 3):
        client = limpet.client()
        client.send(data[:cut], data[cut:], pause=0.001)
        assert [client.read_response().text for _ in range(3)] == ["POST /1 one", "POST /2 twothree", "GET /3 "]
        client.close()


def test_a_client_that_pipelines_without_reading_is_held_back(scene):
    # The answers do not fit into the client's window, so Limpet must stop serving further requests instead of storing answers.
    a = scene.backend("a", lambda connection, request: connection.reply(body=b"x" * 500_000))
    limpet = scene.limpet([a])
    client = limpet.client(receive_buffer=65536)
    client.send(b"".join(request_bytes(target=f"/{index}") for index in range(100)))
    a.wait_for_requests(1)
    seen = eventually(lambda: settled(lambda: len(a.requests)))
    assert seen < 60, "Limpet fetched answers that nobody took"
    for _ in range(100):
        assert len(client.read_response().body) == 500_000


def settled(count):
    before = count()
    time.sleep(0.3)
    return before if count() == before else None
