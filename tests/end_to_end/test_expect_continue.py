"""Expect: 100-continue and other 1xx (RFC 9110, sections 10.1.1 and 15.2)."""

import threading

import pytest

from support.client import request_bytes
from support.wire import head

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = head("HTTP/1.1 103 Early Hints", ["Link: </style.css>; rel=preload"])


def asking(length, *fields):
    return head("POST /upload HTTP/1.1", ["Host: app.test", "Expect: 100-continue", f"Content-Length: {length}", *fields])


def continues(connection, request):
    assert request.get("Expect", "").lower() == "100-continue"
    connection.send(CONTINUE)
    connection.reply(body=connection.read_body())


def test_a_backends_100_reaches_the_client_before_it_sends_the_body(scene):
    a = scene.backend("a", continues)
    client = scene.limpet([a]).client()
    for _ in range(2):
        client.send(asking(4))
        assert client.read_interim().status == 100
        client.send(b"body")
        assert client.read_response().text == "body"
    assert len(a.connections) == 1


def test_a_chunked_body_may_be_asked_for_as_well(scene):
    a = scene.backend("a", continues)
    client = scene.limpet([a]).client()
    client.send(head("POST / HTTP/1.1", ["Host: app.test", "Expect: 100-continue", "Transfer-Encoding: chunked"]))
    assert client.read_interim().status == 100
    client.send(b"4\r\nbody\r\n0\r\n\r\n")
    assert client.read_response().text == "body"


@pytest.mark.parametrize("status", [200, 401, 413, 417])
def test_a_final_answer_instead_of_100_reaches_the_client(scene, status):
    def handler(connection, request):
        if request.has("Expect"):
            connection.reply(status, reason="No", fields=["Connection: close"], body=b"no body, please")
            connection.finish()
        else:
            connection.reply(body=b"fine")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(asking(4))
    response = client.read_response()
    assert response.status == status and response.text == "no body, please"
    assert response.interim == []
    # The client may not know whether its body is still wanted: either it is closed, or the body is awaited and dropped.
    if "close" in response.tokens("Connection"):
        assert client.is_closed()
    else:
        client.send(b"body")
        assert client.get().text == "fine"
    assert limpet.get().text == "fine"


def test_after_a_final_answer_the_unsent_body_is_never_taken_for_a_request(scene):
    # The backend keeps its connection open; whether the client sends the body is its own choice, so nothing may be mistaken.
    def handler(connection, request):
        if request.has("Expect"):
            connection.reply(401, reason="Unauthorized", body=b"who are you")
            # As RFC 9110 asks of a server that wants to go on: it reads (and drops) the body, or closes.
            connection.finish()
        else:
            connection.reply(body=request.target.encode())

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    smuggled = request_bytes(target="/smuggled")
    client.send(asking(len(smuggled)))
    response = client.read_response()
    assert response.status == 401
    try:
        client.send(smuggled)
        client.send(request_bytes(target="/honest"))
    except OSError:
        pass
    if "close" not in response.tokens("Connection"):
        assert client.read_response().text == "/honest"
    assert "/smuggled" not in [request.target for request in a.requests]


def test_a_client_that_does_not_wait_for_100_is_served(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    client = scene.limpet([a]).client()
    client.send(asking(4) + b"body")
    assert client.read_response().text == "body"
    assert client.get().status == 200


def test_a_client_that_gives_up_waiting_is_served(scene):
    # The backend ignores the expectation, as RFC 9110 lets it.
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    client = scene.limpet([a]).client()
    client.send(asking(4))
    a.wait_for_requests(1)
    client.is_silent(0.1)
    client.send(b"body")
    assert client.read_response().text == "body"


def test_other_1xx_reach_the_client_in_order(scene):
    def handler(connection, request):
        connection.send(HINTS)
        connection.send(head("HTTP/1.1 102 Processing", []))
        connection.send(HINTS)
        connection.reply(body=b"final")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    for _ in range(2):
        response = client.get()
        assert [interim.status for interim in response.interim] == [103, 102, 103]
        assert response.interim[0].get("Link") == "</style.css>; rel=preload"
        assert response.text == "final"
    assert len(a.connections) == 1


def test_a_1xx_is_forwarded_before_the_final_answer_is_there(scene):
    go_on = threading.Event()

    def handler(connection, request):
        connection.send(HINTS)
        go_on.wait(5)
        connection.reply(body=b"final")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes())
    assert client.read_interim().status == 103
    go_on.set()
    assert client.read_response().text == "final"


def test_1xx_and_the_final_answer_may_come_in_one_piece(scene):
    a = scene.backend("a", lambda connection, request: connection.send(
        CONTINUE + HINTS + head("HTTP/1.1 200 OK", ["Content-Length: 5"]) + b"final"))
    client = scene.limpet([a]).client()
    response = client.get()
    assert [interim.status for interim in response.interim][-1] == 103
    assert response.text == "final"


def test_a_1xx_before_the_answer_to_head_has_no_body_either(scene):
    a = scene.backend("a", lambda connection, request: connection.send(HINTS + head("HTTP/1.1 200 OK", ["Content-Length: 5"])))
    client = scene.limpet([a]).client()
    for _ in range(2):
        response = client.request("HEAD")
        assert [interim.status for interim in response.interim] == [103] and response.get("Content-Length") == "5"


def test_an_http_1_0_client_never_sees_a_1xx(scene):
    # RFC 9110, section 15.2.
    def handler(connection, request):
        connection.send(CONTINUE + HINTS)
        connection.reply(body=connection.read_body())

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    response = limpet.request("POST", "/", ["Expect: 100-continue"], b"body", version="HTTP/1.0")
    assert response.interim == [] and response.status == 200 and response.text == "body"


def test_a_body_that_is_too_large_is_refused_instead_of_asked_for(scene):
    a = scene.backend("a")
    client = scene.limpet([a], limits={"body": "1KiB"}).client()
    client.send(asking(4096))
    response = client.read_response()
    assert response.status == 413 and response.interim == []
    assert a.requests == []


def test_expect_is_recognised_in_any_case(scene):
    a = scene.backend("a", lambda connection, request: (connection.send(CONTINUE), connection.reply(body=connection.read_body())))
    client = scene.limpet([a]).client()
    client.send(head("POST / HTTP/1.1", ["Host: app.test", "expect: 100-Continue", "Content-Length: 4"]))
    assert client.read_interim().status == 100
    client.send(b"body")
    assert client.read_response().text == "body"
