"""Fields that concern one connection are not forwarded (RFC 9110, section 7.6.1)."""

import pytest

from support.client import request_bytes
from support.transport import HTTP2, by_each_version
from support.wire import head


@pytest.mark.parametrize("field", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "keep-alive: x", "PROXY-CONNECTION: close"])
def test_a_requests_hop_by_hop_field_is_removed(one, field):
    assert one.get("/", field, "X-Stays: yes").status == 200
    assert not one.backend.last.has(field.partition(":")[0])
    assert one.backend.last.get("X-Stays") == "yes"


@pytest.mark.parametrize("connection", [
    ["Connection: X-Private"], ["Connection: x-private"], ["Connection: keep-alive, X-Private"], ["connection:X-Private,keep-alive"],
    ["Connection: keep-alive", "Connection: X-Private"], ["Connection:  ,, X-Private\t,"], ["Connection: close, x-PRIVATE"],
])
def test_a_field_that_connection_names_is_removed_from_a_request(one, connection):
    assert one.get("/", "X-Private: 1", *connection, "X-Stays: yes", "x-private: 2").status == 200
    assert not one.backend.last.has("X-Private")
    assert not {"x-private", "close"} & set(one.backend.last.tokens("Connection"))
    assert one.backend.last.get("X-Stays") == "yes"


def test_more_connection_options_than_anybody_needs_are_refused(one):
    """Each is looked for among all fields, which a client could make expensive."""
    assert one.get("/", "Connection: " + "x, " * 64).status == 200
    assert one.get("/", "Connection: " + "x, " * 65).status == 400
    assert one.get("/", *["Connection: x"] * 65).status == 400


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding"])
def test_connection_cannot_remove_what_frames_or_routes_a_request(one, name):
    client = one.client()
    body = {"body": b"hello"} if name == "Content-Length" else {"chunks": [b"hello"]}
    client.send(request_bytes("POST", fields=[f"Connection: {name}"], **body) + request_bytes(target="/after"))
    response = client.read_response()
    if response.status == 200:
        request = one.backend.last if one.backend.last.target != "/after" else one.backend.requests[-2]
        assert bytes(request.body) == b"hello" and request.get("Host") == "app.test"
        assert client.read_response().status == 200
        assert one.backend.last.target == "/after"
    else:
        assert response.status == 400 and client.is_closed()


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id", "Via"])
def test_connection_cannot_remove_what_limpet_writes(one, name):
    assert one.get("/", f"Connection: close, {name}").status == 200
    assert one.backend.last.has(name)


def test_connection_cannot_hide_an_expectation_rfc_9110_10_1_1(one):
    """nginx 1.22 drops Expect unread, HAProxy 2.6 passes it on with the Connection that names it."""
    before = one.backend.bytes_received
    assert one.get("/", "Connection: expect", "Expect: miracles").status == 417
    assert one.backend.bytes_received == before


def test_te_goes_no_further_than_trailers(one):
    # RFC 9110, section 10.1.4: TE is for one connection; what Limpet says of its own must be named in Connection.
    for value in ("trailers", "trailers, deflate;q=0.5", "gzip", "deflate, TRAILERS"):
        assert one.get("/", f"TE: {value}", "Connection: TE").status == 200
        request = one.backend.last
        assert request.tokens("TE") in ([], ["trailers"])
        if request.has("TE"):
            assert "trailers" in value.lower()
            assert "te" in request.tokens("Connection")


def test_end_to_end_fields_are_forwarded_as_they_came_and_in_order(one):
    fields = ["X-One: 1", "x-two:2", "X-ONE: again", "Accept: */*", "X-Empty:", "X-Spaces:   a  b  ", "X-Bytes: \xe9\xff", "Authorization: Basic x=="]
    assert one.get("/", *fields).status == 200
    expected = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    names = {name for name, _ in expected}
    assert [field for field in one.backend.last.fields if field[0] in names] == expected


@by_each_version
def test_an_answers_hop_by_hop_fields_are_removed(scene, version):
    fields = ["Connection: keep-alive, X-Private", "Keep-Alive: timeout=5, max=100", "Proxy-Connection: keep-alive", "X-Private: 1", "X-Stays: yes", "Upgrade: h2c",
              "Set-Cookie: a=1", "Set-Cookie: b=2"]
    a = scene.backend("a", lambda connection, request: connection.reply(fields=fields, body=b"ok"))
    response = scene.limpet([a]).client_by(version).get()
    assert response.text == "ok" and response.get("X-Stays") == "yes"
    for name in ("Keep-Alive", "Proxy-Connection", "X-Private", *(["Connection", "Upgrade", "Transfer-Encoding"] if version == HTTP2 else [])):
        assert not response.has(name)
    assert "x-private" not in response.tokens("Connection")
    assert response.all("Set-Cookie") == ["a=1", "b=2"]


@by_each_version
@pytest.mark.parametrize("name", ["Content-Length", "Set-Cookie"])
def test_an_answers_connection_cannot_break_its_framing(scene, name, version):
    a = scene.backend("a", lambda connection, request: connection.reply(fields=[f"Connection: {name}", "Set-Cookie: a=1"], body=b"ok"))
    client = scene.limpet([a]).client_by(version)
    for _ in range(2):
        assert client.get().text == "ok"


@by_each_version
def test_an_answers_fields_are_forwarded_as_they_came_and_in_order(scene, version):
    fields = ["Server: old/1", "Date: Mon, 01 Jan 2024 00:00:00 GMT", "X-One: 1", "x-two:2", "X-ONE: again", "X-Empty:", "ETag: \"x\"", "X-Bytes: \xe9"]
    a = scene.backend("a", lambda connection, request: connection.reply(fields=fields, body=b"ok"))
    response = scene.limpet([a]).client_by(version).get()
    expected = [(name.lower() if version == HTTP2 else name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    names = {name for name, _ in expected}
    assert [field for field in response.fields if field[0] in names] == expected


@pytest.mark.parametrize("status_line, reason", [("HTTP/1.1 200 Fine, thanks", "Fine, thanks"), ("HTTP/1.1 299 Odd", "Odd"), ("HTTP/1.1 999 ?", "?"), ("HTTP/1.1 200 ", "")])
def test_a_status_is_forwarded_as_it_came(scene, status_line, reason):
    a = scene.backend("a", lambda connection, request: connection.send(head(status_line, ["Content-Length: 2"]) + b"ok"))
    response = scene.limpet([a]).client().get()
    assert response.status == int(status_line.split()[1]) and response.reason == reason


def test_via_can_be_left_out(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], via="")
    response = limpet.get("/", "Via: 1.1 before")
    assert response.all("Via") == []
    assert a.last.all("Via") == ["1.1 before"]
