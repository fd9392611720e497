"""Answers that have no body whatever their fields say: to HEAD, and 204 and 304 (RFC 9112, section 6.3)."""

import time

import pytest

from support.transport import HTTP2, by_each_version
from support.wire import head

CASES = [
    ("HEAD", "HTTP/1.1 200 OK", ["Content-Length: 1000"]),
    ("HEAD", "HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]),
    ("HEAD", "HTTP/1.1 200 OK", []),
    ("HEAD", "HTTP/1.1 404 Not Found", ["Content-Length: 12"]),
    ("HEAD", "HTTP/1.1 304 Not Modified", ["Content-Length: 12"]),
    ("GET", "HTTP/1.1 204 No Content", []),
    ("POST", "HTTP/1.1 204 No Content", []),
    ("GET", "HTTP/1.1 304 Not Modified", ['ETag: "x"']),
    ("GET", "HTTP/1.1 304 Not Modified", ["Content-Length: 1000", 'ETag: "x"']),
    ("GET", "HTTP/1.1 304 Not Modified", ["Transfer-Encoding: chunked"]),
]


@by_each_version
@pytest.mark.parametrize("method, status_line, fields", CASES, ids=[f"{c[0]}-{c[1].split()[1]}-{'-'.join(c[2])[:20]}" for c in CASES])
def test_an_answer_without_a_body_ends_with_its_head_on_both_sides(scene, method, status_line, fields, version):
    def handler(connection, request):
        connection.read_body()
        if request.target == "/next":
            connection.reply(body=b"next")
        else:
            connection.send(head(status_line, fields))

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client_by(version)
    for _ in range(2):
        response = client.request(method, "/bodiless", body=b"" if method == "POST" else None)
        assert response.complete and not response.body
        assert response.status == int(status_line.split()[1])
        for field in fields:
            name, _, value = field.partition(": ")
            if name == "Content-Length":
                assert response.get(name) == value
        assert client.get("/next").text == "next"
    assert len(a.connections) == 1


CONTRADICTIONS = [
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5, 5"],
    ["Content-Length: five"],
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: gzip"],
]


@by_each_version
@pytest.mark.parametrize("method, status", [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("fields", CONTRADICTIONS, ids=["lengths", "list", "word", "both", "coding"])
def test_contradicting_fields_of_an_answer_without_a_body_are_not_passed_on_rfc_9112_6_3_rule_1(scene, method, status, fields, version):
    """nginx 1.22 takes these answers too, and passes the last of two lengths on; HAProxy 2.6 answers 502 to two lengths that differ,
    to one that is no number and to a coding that it does not know."""
    def handler(connection, request):
        if request.target == "/next":
            connection.reply(body=b"next")
        else:
            connection.send(head(f"HTTP/1.1 {status} So", fields))

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client_by(version)
    for _ in range(2):
        response = client.request(method, "/bodiless")
        assert response.status == status
        assert not response.has("Content-Length") and not response.has("Transfer-Encoding")
        assert client.get("/next").text == "next"
    assert len(a.connections) == 3  # who contradicts himself may send anything behind that


def test_a_204_does_not_announce_a_body(scene):
    # RFC 9112, section 6.1: no Transfer-Encoding in a 204.
    a = scene.backend("a", lambda connection, request: connection.send(head("HTTP/1.1 204 No Content")))
    response = scene.limpet([a]).client().get()
    assert not response.has("Transfer-Encoding")
    assert response.get("Content-Length") in (None, "0")


@by_each_version
@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_body_where_none_may_be_never_becomes_the_next_answer(scene, method, status, version):
    poison = head("HTTP/1.1 200 OK", ["Content-Length: 6"]) + b"poison"

    def handler(connection, request):
        if request.target == "/next":
            connection.reply(body=b"next")
        else:
            connection.send(head(f"HTTP/1.1 {status} X", [f"Content-Length: {len(poison)}"]) + poison)

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client_by(version)
    response = client.request(method, "/")
    assert response.status in (status, 502) and (response.status == 502 or not response.body)
    time.sleep(0.02)
    if version == HTTP2 or not client.ended and "close" not in response.tokens("Connection"):
        assert client.get("/next").text == "next"


def test_head_is_forwarded_as_head(scene):
    a = scene.backend("a", lambda connection, request: connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 5"])))
    scene.limpet([a]).client().request("HEAD", "/x")
    assert a.last.method == "HEAD"


def test_a_404_from_limpet_to_head_has_no_body(scene):
    a = scene.backend("a")
    client = scene.limpet([a], routes=[{"pool": "app", "host": "other.test"}]).client()
    response = client.request("HEAD")
    assert response.status == 404
    assert client.is_silent() or client.is_closed()
