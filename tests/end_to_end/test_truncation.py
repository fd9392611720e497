"""A backend that cuts a body short cuts the client's too, so that the client can tell (RFC 9112, section 8; RFC 9113, section 8.1)."""

import pytest

from support.client import request_bytes
from support.http2 import INTERNAL_ERROR
from support.transport import HTTP2, by_each_version
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
@by_each_version
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_body_is_cut_for_the_client_too(scene, name, reset, version):
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
    client = limpet.client_by(version)
    if version == HTTP2:
        response = client.open("POST", "/cut", ["Content-Length: 2"], b"1", ends=False) if reset else client.open(target="/cut")
        response.read_head()
        if reset:
            response.send(b"2", ends=True)
        assert (response.status, response.answer().error) == (200, INTERNAL_ERROR)
    else:
        client.send(request_bytes("POST", "/cut", fields=["Content-Length: 2"]) + b"1" if reset else request_bytes(target="/cut"))
        response = client.read_head()
        if reset:
            client.send(b"2")
        assert response.status == 200
        with pytest.raises(Closed):
            for piece in client.body_pieces(response, response.body_framing()):
                response.body.extend(piece)
    assert not response.complete
    assert bytes(response.body) in (b"hello", b"")
    assert limpet.log_of("/cut")[0]["end"] == "backend_cut"
    assert sum(request.target == "/cut" for request in a.requests) == 1, "a request whose answer had begun was sent again"


@by_each_version
def test_what_arrived_before_the_cut_is_passed_on(scene, version):
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 1000000"]) + b"x" * 600_000)
        connection.finish()

    a = scene.backend("a", handler)
    response = scene.limpet([a]).client_by(version).try_request()
    assert not response.complete
    assert 0 < len(response.body) <= 600_000


@by_each_version
def test_a_cut_answer_disturbs_nobody_else(scene, version):
    def handler(connection, request):
        if request.target == "/cut":
            connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 10"]) + b"hello")
            connection.finish()
        else:
            connection.reply(body=b"whole")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    other = limpet.http2()
    for _ in range(5):
        client = limpet.client_by(version)
        assert not client.try_request("GET", "/cut").complete
        assert limpet.get("/whole").text == other.get("/whole").text == "whole"
        if version == HTTP2:
            assert client.get("/whole").text == "whole"


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
