"""Answers that begin before the request's body has ended (RFC 9112, section 9.3; RFC 9110, section 7.5)."""

import threading
import time

import pytest

from support.client import request_bytes
from support.wire import Closed, head

BLOCK = b"x" * 100_000


def upload_until_refused(client, blocks):
    """Keeps sending, as a client that does not read meanwhile; true if everything could be sent."""
    try:
        for _ in range(blocks):
            client.send(BLOCK)
            time.sleep(0.001)
        return True
    except OSError:
        return False


def test_an_early_answer_reaches_a_client_that_is_still_sending(scene):
    def handler(connection, request):
        connection.reply(body=b"early")
        connection.read_body(sink=lambda piece: None)

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes("POST", fields=[f"Content-Length: {10 * len(BLOCK)}"]) + BLOCK)
    response = client.read_response()
    assert response.status == 200 and response.text == "early"


def test_a_client_may_finish_its_body_after_an_early_answer(scene):
    def handler(connection, request):
        connection.reply(body=b"early")
        connection.read_body(sink=lambda piece: None)

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes("POST", fields=[f"Content-Length: {10 * len(BLOCK)}"]) + BLOCK)
    response = client.read_response()
    if "close" in response.tokens("Connection"):
        upload_until_refused(client, 9)
    else:
        assert upload_until_refused(client, 9)
        assert client.get("/next").text == "early"
    assert limpet.get("/other").status == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_refusal_in_mid_upload_reaches_the_client_although_it_goes_on_sending(scene, framing):
    # The backend answers and stops reading. A reset towards the client would destroy the answer before it is read (RFC 9112, 9.6).
    def handler(connection, request):
        next(connection.body_pieces(request, request.body_framing()))
        connection.reply(413, reason="Content Too Large", fields=["Connection: close"], body=b"too much")
        connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(5):
        client = limpet.client()
        if framing == "length":
            client.send(request_bytes("POST", fields=[f"Content-Length: {30 * len(BLOCK)}"]))
            upload_until_refused(client, 30)
        else:
            client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
            try:
                for _ in range(30):
                    client.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
                client.send(b"0\r\n\r\n")
            except OSError:
                pass
        response = client.read_response()
        assert response.status == 413 and response.text == "too much"
        client.close()


def test_a_backend_that_answers_and_resets_in_mid_upload_is_heard(scene):
    answered = threading.Event()

    def handler(connection, request):
        next(connection.body_pieces(request, request.body_framing()))
        connection.reply(403, reason="Forbidden", fields=["Connection: close"], body=b"no")
        answered.wait(5)
        connection.reset()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes("POST", fields=[f"Content-Length: {3 * len(BLOCK)}"]) + BLOCK)
    response = client.read_response()
    assert response.status == 403 and response.text == "no"
    answered.set()


def test_after_an_early_answer_the_backend_connection_is_not_used_for_another_request_in_mid_body(scene):
    def handler(connection, request):
        connection.reply(body=request.target.encode())
        connection.read_body(sink=lambda piece: None)

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    uploader = limpet.client()
    uploader.send(request_bytes("POST", "/upload", fields=["Content-Length: 1000"]) + b"x" * 10)
    assert uploader.read_response().text == "/upload"
    assert limpet.get("/other").text == "/other"
    by_connection = [[request.target for request in connection.requests] for connection in a.connections]
    assert by_connection == [["/upload"], ["/other"]]


def test_a_conversation_of_request_and_answer_pieces_works(scene):
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]))
        for piece in connection.body_pieces(request, "chunked"):
            connection.send(b"%x\r\n" % len(piece) + piece.upper() + b"\r\n")
        connection.send(b"0\r\n\r\n")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(2):
        client = limpet.client()
        client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
        response = client.read_head()
        pieces = client.body_pieces(response, "chunked")
        for word in (b"hello", b"again", b"bye"):
            client.send(b"%x\r\n" % len(word) + word + b"\r\n")
            assert next(pieces) == word.upper()
        client.send(b"0\r\n\r\n")
        assert list(pieces) == []
    assert len(a.connections) == 1


def test_a_client_that_dies_after_an_early_answer_cuts_its_request_at_the_backend(scene):
    cut = threading.Event()

    def handler(connection, request):
        connection.reply(body=b"early")
        try:
            connection.read_body(sink=lambda piece: None)
        except Closed:
            cut.set()
            raise

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes("POST", fields=["Content-Length: 1000"]) + b"x" * 10)
    assert client.read_response().text == "early"
    client.close()
    assert cut.wait(5), "the backend still waits for a body that cannot come"
