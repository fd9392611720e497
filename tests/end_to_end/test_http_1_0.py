"""HTTP/1.0 clients and backends (RFC 9112, sections 2.3, 6.1, 9.3 and appendix C)."""

import pytest

from support.client import request_bytes
from support.wire import Closed, head


def test_an_http_1_0_client_is_closed_after_its_answer(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    response = client.request(version="HTTP/1.0")
    assert response.status == 200 and response.text == "a"
    assert client.is_closed()


def test_an_http_1_0_client_may_ask_to_persist(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    for _ in range(3):
        response = client.request(fields=["Connection: keep-alive"], version="HTTP/1.0")
        assert response.text == "a"
        assert "keep-alive" in response.tokens("Connection")
    assert len(a.connections) == 1


def test_close_wins_over_keep_alive(scene):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    assert client.request(fields=["Connection: keep-alive, close"], version="HTTP/1.0").status == 200
    assert client.is_closed()


def test_an_http_1_0_request_goes_out_as_http_1_1(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    limpet.request(version="HTTP/1.0")
    assert a.last.version == "HTTP/1.1"
    assert a.last.get("Host") == "app.test"
    assert "keep-alive" not in a.last.tokens("Connection") and "close" not in a.last.tokens("Connection")
    limpet.request(version="HTTP/1.0")
    assert len(a.connections) == 1


def test_an_http_1_0_request_without_host_goes_out_with_its_backends_address_rfc_9112_3_2(scene):
    """As by nginx 1.22; HAProxy 2.6 sends such a request on in HTTP/1.0, without Host. An empty one is 400 to many servers."""
    a = scene.backend("a")
    limpet = scene.limpet([a])
    assert limpet.request(version="HTTP/1.0", host=None).status == 200
    assert a.last.all("Host") == [f"127.0.0.1:{a.port}"]
    assert not a.last.has("X-Forwarded-Host")
    assert limpet.request(version="HTTP/1.1", host="").status == 200
    assert a.last.all("Host") == [""]


def test_an_http_1_0_client_can_send_a_body_by_length(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    assert scene.limpet([a]).request("POST", "/", body=b"hello", version="HTTP/1.0").text == "hello"


def test_chunks_are_decoded_for_an_http_1_0_client(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(chunks=[b"hello, ", b"x" * 5000, b"world"], trailers=["X-Sum: 1"]))
    limpet = scene.limpet([a])
    for fields in ([], ["Connection: keep-alive"]):
        client = limpet.client()
        response = client.request(fields=fields, version="HTTP/1.0")
        assert not response.has("Transfer-Encoding") and not response.has("Trailer")
        assert response.framing == "close"
        assert response.text == "hello, " + "x" * 5000 + "world"
        assert "keep-alive" not in response.tokens("Connection")
    assert len(a.connections) == 1


def test_a_cut_chunked_answer_looks_cut_to_an_http_1_0_client_where_it_can(scene):
    # Without chunks and without a length the end of a body is the end of the stream: only a reset can say that it came too early.
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\n")
        connection.close()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes(version="HTTP/1.0"))
    try:
        response = client.read_head()
        client.read_to_end()
        assert response.status == 502
    except Closed as closed:
        assert closed.was_reset


def test_an_http_1_0_backend_that_closes_is_understood(scene):
    def handler(connection, request):
        connection.reply(version="HTTP/1.0", body=b"old", length=False)
        connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(2):
        response = limpet.get()
        assert response.text == "old" and response.version == "HTTP/1.1"
    assert len(a.connections) == 2


def test_an_http_1_0_backend_with_a_length_is_not_used_again_unless_it_says_keep_alive(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(version="HTTP/1.0", body=b"old"))
    client = scene.limpet([a]).client()
    assert [client.get().text for _ in range(2)] == ["old", "old"]
    assert [len(connection.requests) for connection in a.connections] == [1, 1]


def test_an_http_1_0_backend_that_says_keep_alive_is_used_again(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(version="HTTP/1.0", fields=["Connection: keep-alive"], body=b"old"))
    client = scene.limpet([a]).client()
    for _ in range(3):
        response = client.get()
        assert response.text == "old" and response.version == "HTTP/1.1"
    assert len(a.connections) == 1


def test_a_transfer_coding_in_an_http_1_0_answer_is_faulty_framing(scene):
    # RFC 9112, section 6.1: such a message must be treated as faulty and its connection closed after it.
    a = scene.backend("a", lambda connection, request: connection.reply(version="HTTP/1.0", fields=["Connection: keep-alive"], chunks=[b"old"]))
    client = scene.limpet([a]).client()
    assert client.get().status in (200, 502)
    if not client.ended:
        client.get()
    assert all(len(connection.requests) <= 1 for connection in a.connections)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1", "HTTP/1.", "HTTP/11", "HTTP/1.10", "HTTP/ 1.1", "http/1.1", "ICE/1.0", "HTTP1.1", "HTTP/-1.1"])
def test_any_other_version_is_refused(scene, version):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    client.send(request_bytes(version=version))
    response = client.read_response()
    assert response.status in (400, 505)
    assert client.is_closed()
    assert a.bytes_received == 0


@pytest.mark.parametrize("line", [b"GET /\r\n\r\n", b"GET / \r\n\r\n"])
def test_an_http_0_9_request_is_refused(scene, line):
    a = scene.backend("a")
    client = scene.limpet([a]).client()
    client.send(line)
    assert client.read_response().status in (400, 505)
    assert client.is_closed()
    assert a.bytes_received == 0


def test_the_http_2_preface_is_refused_where_that_is_not_spoken(scene):
    a = scene.backend("a")
    client = scene.limpet([a], listener={"http2": False}).client()
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert client.read_response().status in (400, 505)
    assert a.bytes_received == 0
