"""The four forms of a request's target, and the methods that mean something to an intermediary (RFC 9112, section 3.2)."""

import pytest

from support.client import request_bytes
from support.wire import head


VERBATIM = [
    "/", "/a/b?c=d", "/?", "//double//slash", "/a/../b", "/a/./b", "/%2e%2e/x", "/%2F%2f", "/a%00b", "/a;jsessionid=x?y=;z", "/?a=/../b",
    "/a b".replace(" ", "%20"), "/" + "x" * 2000, "/?q=" + "y" * 2000, "/~!$&'()*+,;=:@", "/index?http://other/", "/a%", "/[1]|2^3`{4}",
]


@pytest.mark.parametrize("target", VERBATIM, ids=lambda target: target[:20])
def test_an_origin_form_target_is_forwarded_as_it_came(one, target):
    response = one.get(target)
    if target.startswith("/[1]") and response.status == 400:
        return  # not a valid URI (RFC 3986): refusing it is as good
    assert response.status == 200
    assert one.backend.last.target == target


@pytest.mark.parametrize("uri, target, host", [
    ("http://www.example.com/a/b?c=d", "/a/b?c=d", "www.example.com"),
    ("http://www.example.com:8080/a", "/a", "www.example.com:8080"),
    ("http://www.example.com", "/", "www.example.com"),
    ("http://www.example.com?q=1", "/?q=1", "www.example.com"),
    ("http://www.example.com/", "/", "www.example.com"),
    ("HTTP://www.example.com/x", "/x", "www.example.com"),
    ("http://[::1]:80/x", "/x", "[::1]:80"),
])
def test_an_absolute_form_goes_out_as_origin_form_with_its_own_host(one, uri, target, host):
    # RFC 9112, section 3.2.2: the Host that came is ignored and replaced with the target's.
    for received in ("other.example", host):
        assert one.request("GET", uri, host=received).status == 200
        assert one.backend.last.target == target
        assert one.backend.last.get("Host") == host


@pytest.mark.parametrize("uri", ["http:///path", "http://", "http://user:secret@www.example.com/", "ftp://www.example.com/", "http:/x", "http://a b/", "http://www.example.com:port/", "javascript:1"])
def test_a_bad_absolute_form_is_refused(one, uri):
    before = one.backend.bytes_received
    client = one.client()
    client.send(request_bytes("GET", uri))
    assert client.read_response().status == 400
    assert client.is_closed()
    assert one.backend.bytes_received == before


def test_an_absolute_form_is_routed_by_its_own_host(scene):
    from support.limpet import pool_table

    a, b = scene.backend("a"), scene.backend("b")
    limpet = scene.limpet(pools=[pool_table("a", [a]), pool_table("b", [b])],
                          routes=[{"pool": "a", "host": "a.test"}, {"pool": "b", "host": "b.test"}])
    assert limpet.request("GET", "http://b.test/", host="a.test").text == "b"


def test_an_asterisk_is_forwarded_with_options(one):
    assert one.request("OPTIONS", "*").status == 200
    assert one.backend.last.start_line == "OPTIONS * HTTP/1.1"


def test_options_of_an_absolute_form_without_a_path_becomes_an_asterisk(one):
    # RFC 9112, section 3.2.4.
    assert one.request("OPTIONS", "http://app.test").status == 200
    assert one.backend.last.target == "*"
    assert one.request("OPTIONS", "http://app.test/").status == 200
    assert one.backend.last.target == "/"


@pytest.mark.parametrize("line", [
    b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"GET index.html HTTP/1.1", b"GET ?q HTTP/1.1", b"GET app.test:80 HTTP/1.1",
    b"GET /a b HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1",
    b"GET /\x00 HTTP/1.1", b"GET /a\x01b HTTP/1.1", b"GET /a\x7fb HTTP/1.1", b"GET /a\tb HTTP/1.1", b"GET /\x0bb HTTP/1.1",
    b"GET /#fragment HTTP/1.1", b"GET /\r HTTP/1.1",
    b"G\x00T / HTTP/1.1", b"G(T / HTTP/1.1", b"GET: / HTTP/1.1", b"/ HTTP/1.1", b"GET HTTP/1.1", b"HTTP/1.1 200 OK",
])
def test_a_malformed_request_line_is_refused_and_not_forwarded(one, line):
    before = one.backend.bytes_received
    client = one.client()
    client.send(line + b"\r\nHost: app.test\r\n\r\n")
    response = client.read_response()
    assert response.status == 400, response.raw_head
    assert client.is_closed()
    assert one.backend.bytes_received == before


@pytest.mark.parametrize("line", [b"GET  /x HTTP/1.1", b"GET /x  HTTP/1.1", b"GET /x HTTP/1.1 "])
def test_more_spaces_in_a_request_line_are_refused_or_become_one(one, line):
    # RFC 9112, section 3: a lenient reader may split at any white space, but two lenient readers may not do it differently.
    before = one.backend.bytes_received
    client = one.client()
    client.send(line + b"\r\nHost: app.test\r\n\r\n")
    if client.read_response().status == 200:
        assert one.backend.last.start_line == "GET /x HTTP/1.1"
    else:
        assert one.backend.bytes_received == before


def test_a_target_with_bytes_beyond_ascii_is_forwarded_as_it_came_or_refused(one):
    client = one.client()
    client.send(b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: app.test\r\n\r\n")
    response = client.read_response()
    if response.status == 200:
        assert one.backend.last.target.encode("latin-1") == b"/caf\xc3\xa9"
    else:
        assert response.status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "PURGE", "M-SEARCH", "QUERY", "VERSION-CONTROL",
                                    "BREW", "get", "Post", "GETX", "X", "x!y"])
def test_a_method_is_any_token_and_is_forwarded_as_it_stands_rfc_9110_9_1(one, method):
    """HAProxy 2.6 does the same; nginx 1.22 refuses methods with lower case letters or signs other than `-` and `_`."""
    response = one.request(method, "/x")
    assert response.status == 200
    assert one.backend.last.method == method


@pytest.mark.parametrize("method", ["G(T", "G,T", "G/T", '"GET"'])
def test_a_method_that_is_no_token_is_refused(one, method):
    before = one.backend.bytes_received
    assert one.request(method, "/x").status == 400
    assert one.backend.bytes_received == before


@pytest.mark.parametrize("data", [
    head("CONNECT app.test:443 HTTP/1.1", ["Host: app.test:443"]),
    head("CONNECT app.test:443 HTTP/1.1", ["Host: app.test"]),
    head("CONNECT / HTTP/1.1", ["Host: app.test"]),
])
def test_connect_is_not_implemented(one, data):
    before = one.backend.bytes_received
    client = one.client()
    client.send(data + b"bytes of a tunnel that is not there")
    assert client.read_response("CONNECT").status in ((501,) if b"CONNECT /" not in data else (400, 501))
    assert client.is_closed()
    assert one.backend.bytes_received == before


# Max-Forwards (RFC 9110, section 7.6.2).


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_counts_down(one, method):
    for value in (1, 2, 10):
        assert one.request(method, "/", [f"Max-Forwards: {value}"]).status == 200
        assert one.backend.last.get("Max-Forwards") == str(value - 1)


@pytest.mark.parametrize("zero", ["0", "00"])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_a_request_that_may_not_be_forwarded_is_answered_by_limpet(one, method, zero):
    before = one.backend.bytes_received
    client = one.client()
    response = client.request(method, "/", [f"Max-Forwards: {zero}", "Cookie: secret=1", "Authorization: Basic c2VjcmV0"])
    assert response.status in ((200, 204) if method == "OPTIONS" else (200, 405, 501))
    assert "secret" not in response.text and "c2VjcmV0" not in response.text
    assert one.backend.bytes_received == before
    assert client.get().status == 200


def test_options_of_everything_may_end_at_limpet_too(one):
    before = one.backend.bytes_received
    assert one.request("OPTIONS", "*", ["Max-Forwards: 0"]).status in (200, 204)
    assert one.backend.bytes_received == before


def test_max_forwards_means_nothing_to_other_methods(one):
    assert one.get("/", "Max-Forwards: 0").status == 200
    assert one.backend.last.get("Max-Forwards") in ("0", None)


# Host (RFC 9112, section 3.2; RFC 9110, section 7.2).


@pytest.mark.parametrize("host", ["app.test", "app.test:8080", "127.0.0.1", "[::1]", "[::1]:8080", "xn--bcher-kva.example", "a_b.test", "APP.Test"])
def test_a_host_is_forwarded_as_it_came(one, host):
    assert one.request("GET", "/", host=host).status == 200
    assert one.backend.last.get("Host") == host


def test_an_empty_host_is_valid(one):
    # The RFC lets a request have an empty Host where its target has no authority; refusing is stricter than it asks.
    response = one.request("GET", "/", host="")
    assert response.status in (200, 400)


@pytest.mark.parametrize("fields", [
    [], ["Host: a.test", "Host: a.test"], ["Host: a.test", "host: b.test"], ["Host: a.test, b.test"], ["Host: a b"], ["Host: a.test/path"],
    ["Host: user@a.test"], ["Host: a.test:"  "port"], ["Host: a.test:80:80"], ["Host: [::1"], ["Host: ::1]"], ["Host: a.test?q"], ["Host: a.test#f"],
    ["Host: a\\b"], ["Host: <a>"], ['Host: "a"'], ["Host: http://a.test"], ["Host: a.test\t.b"], ["Host: \x80"],
], ids=lambda fields: ",".join(fields).replace("\t", " ").encode("ascii", "replace").decode() or "none")
def test_a_missing_doubled_or_bad_host_is_refused_and_not_forwarded(one, fields):
    before = one.backend.bytes_received
    client = one.client()
    client.send(head("GET / HTTP/1.1", fields))
    assert client.read_response().status == 400
    assert client.is_closed()
    assert one.backend.bytes_received == before
