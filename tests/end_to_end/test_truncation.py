"""A backend that cuts a body short cuts the client's too, so that the client can tell (RFC 9112, section 8)."""

import pytest

from support.client import request_bytes
from support.wire import Closed, head

CUTS = {
    "length": (["Content-Length: 10"], b"hello"),
    "length, nothing of it": (["Content-Length: 10"], b""),
    "chunked, between chunks": (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
    "chunked, in a chunk": (["Transfer-Encoding: chunked"], b"8\r\nhello"),
    "chunked, in the last chunk": (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n"),
    "chunked, in the trailers": (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\nX: y\r\n"),
    "chunked, nothing of it": (["Transfer-Encoding: chunked"], b""),
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_body_is_cut_for_the_client_too(scene, name, reset):
    fields, body = CUTS[name]

    def handler(connection, request):
        if reset:
            connection.read_exactly(1)
        connection.send(head("HTTP/1.1 200 OK", fields) + body)
        if reset:
            connection.read_exactly(1)  # the client has the head: a reset would destroy what was not read yet
            connection.reset()
        else:
            connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes("POST", "/cut", fields=["Content-Length: 2"]) + b"1" if reset else request_bytes(target="/cut"))
    response = client.read_head()
    if reset:
        client.send(b"2")
    assert response.status == 200
    with pytest.raises(Closed) as cut:
        for piece in client.body_pieces(response, response.body_framing()):
            response.body.extend(piece)
    assert not cut.value.message.complete
    assert bytes(response.body) in (b"hello", b"")
    assert limpet.log_of("/cut")[0]["end"] == "backend_cut"
    assert sum(request.target == "/cut" for request in a.requests) == 1, "a request whose answer had begun was sent again"


def test_what_arrived_before_the_cut_is_passed_on(scene):
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 1000000"]) + b"x" * 600_000)
        connection.finish()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    with pytest.raises(Closed):
        client.send(request_bytes())
        response = client.read_head()
        for piece in client.body_pieces(response, "length"):
            response.body.extend(piece)
    assert 0 < len(response.body) <= 600_000


def test_a_cut_answer_does_not_disturb_the_next_client(scene):
    def handler(connection, request):
        if request.target == "/cut":
            connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 10"]) + b"hello")
            connection.finish()
        else:
            connection.reply(body=b"whole")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(5):
        with pytest.raises(Closed):
            limpet.get("/cut")
        assert limpet.get("/whole").text == "whole"


def test_a_pipelined_request_behind_a_cut_answer_is_not_answered_in_its_place(scene):
    def handler(connection, request):
        if request.target == "/cut":
            connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 10"]) + b"hello")
            connection.finish()
        else:
            connection.reply(body=b"poison")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes(target="/cut") + request_bytes(target="/next"))
    with pytest.raises(Closed) as cut:
        client.read_response()
    assert bytes(cut.value.message.body) == b"hello"
