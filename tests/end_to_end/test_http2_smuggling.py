"""Requests over HTTP/2 that would mean something else, or two things, once they are written in HTTP/1.1 (RFC 9113, section 10.3): they are
refused, or what a backend receives is one request that can be read in one way. Looked at are the bytes that it received."""

import re

import pytest

from support.client import HOST
from support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, frame, literals
from support.wire import eventually

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED
METHOD, SCHEME, PATH, AUTHORITY = (":method", "POST"), (":scheme", "http"), (":path", "/outer"), (":authority", HOST)
HEAD = [METHOD, SCHEME, PATH, AUTHORITY]
INJECTED = "\r\nTransfer-Encoding: chunked"
SECOND = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test"
CONTROLS = ("\0", "\r", "\n", "\r\n", INJECTED, "\n" + INJECTED[2:], SECOND, SECOND.replace("\r", ""))


def having(*fields):
    return [*HEAD, *fields]


def but(*changed):
    """The usual pseudo-fields, of which these have other values."""
    values = dict(changed)
    return [(name, values.get(name, value)) for name, value in HEAD]


REFUSED = {
    # What frames content in HTTP/1.1 (section 8.2.2).
    **{f"transfer-encoding: {value!r}": having(("transfer-encoding", value)) for value in (
        "chunked", "Chunked", "identity", "gzip, chunked", "chunked, identity", "", " chunked", "xchunked", "chunked\0", "\x0bchunked", "chunked;q=1")},
    "transfer-encoding and content-length": having(("content-length", "5"), ("transfer-encoding", "chunked")),
    "content-length and transfer-encoding": having(("transfer-encoding", "chunked"), ("content-length", "5")),
    "transfer-encoding twice": having(("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")),
    "Transfer-Encoding": having(("Transfer-Encoding", "chunked")),
    **{f"{name}: {value}": having((name, value)) for name, value in (
        ("connection", "close"), ("connection", "transfer-encoding"), ("connection", "content-length"), ("connection", "x-forwarded-for"), ("connection", "upgrade"),
        ("keep-alive", "timeout=1"), ("proxy-connection", "close"), ("upgrade", "h2c"), ("upgrade", "websocket"), ("upgrade", "HTTP/1.1"),
        ("te", "chunked"), ("te", "trailers, chunked"), ("te", "trailers;q=1"), ("te", "gzip"))},
    **{f"content-length: {value!r}": having(("content-length", value)) for value in (
        "0", "1", str(len(CHUNKS) - 1), str(len(CHUNKS) + 1), "-1", "+5", "0x5", "5e0", "5 ", " 5", "5\t", "5,5", "5, 6", "5\r\n", "5\0", "five", "", "\xd9\xa5",
        "18446744073709551616", "99999999999999999999999", f"{len(CHUNKS)}, {len(CHUNKS)}")},
    "content-length twice": having(("content-length", str(len(CHUNKS))), ("content-length", str(len(CHUNKS)))),
    "two lengths": having(("content-length", str(len(CHUNKS))), ("content-length", "0")),
    "two lengths, the right one last": having(("content-length", "0"), ("content-length", str(len(CHUNKS)))),
    "Content-Length": having(("Content-Length", str(len(CHUNKS)))),
    # What ends a line, a name or a head (sections 8.2.1 and 10.3).
    **{f"{bad!r} in a value": having(("x", f"y{bad}z")) for bad in CONTROLS},
    **{f"{bad!r} at the end of a value": having(("x", f"y{bad}")) for bad in CONTROLS},
    **{f"{bad!r} at the beginning of a value": having(("x", f"{bad}y")) for bad in CONTROLS},
    **{f"{bad!r} in a name": having((f"x{bad}", "z")) for bad in (*CONTROLS, ": y\r\ntransfer-encoding: chunked\r\nz", ":", " ", "\t", " y", ": chunked")},
    **{f"{bad!r} before a name": having((f"{bad}x", "z")) for bad in ("\0", "\r", "\n", "\r\n", " ", "\t", ":")},
    "a folded line": having(("x", "y\r\n z")),
    "a name that is transfer-encoding with a space": having(("transfer-encoding ", "chunked")),
    "a name that is transfer-encoding behind a space": having((" transfer-encoding", "chunked")),
    "a name that is transfer-encoding with a tab": having(("transfer-encoding\t", "chunked")),
    "a name that is content-length with a NUL": having(("content-length\0", "5")),
    "a name that is whole": having(("transfer-encoding: chunked", "")),
    "no name": having(("", "transfer-encoding: chunked")),
    **{f"{bad!r} in a cookie": having(("cookie", f"a=b{bad}"), ("cookie", "c=d")) for bad in CONTROLS},
    # The request line.
    **{f"{bad!r} in :method": but((":method", f"POST{bad}")) for bad in (
        *CONTROLS, " ", " /smuggled", " /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\nGET", " / HTTP/1.1\r\nX: ", "\t", "/", ":", "(", "\x7f", "\xff")},
    **{f"{bad!r} in :path": but((":path", f"/outer{bad}")) for bad in (
        *CONTROLS, " ", " HTTP/1.1", " HTTP/1.1\r\nX: ", " HTTP/1.0\r\n\r\n", "\t", "\x0b", "\x7f", "#fragment")},
    **{f":path {path!r}": but((":path", path)) for path in ("", "outer", " /outer", "*", "http://evil.test/", "//evil.test/ HTTP/1.1", "?x", "\r\n/outer")},
    **{f"{bad!r} in :authority": but((":authority", f"{HOST}{bad}")) for bad in (
        *CONTROLS, " ", " evil.test", "\t", "/", "/path", "?x", "#x", "@evil.test", ":80:80", ":port", "\x7f", "\\")},
    "an empty :authority": but((":authority", "")),
    "user and password in :authority": but((":authority", "user:secret@app.test")),
    **{f"{bad!r} in :scheme": but((":scheme", f"http{bad}")) for bad in (*CONTROLS, " ", "://evil.test", "://evil.test/ HTTP/1.1\r\nX: ", ":")},
    ":scheme of another protocol": but((":scheme", "ftp")),
    "CONNECT": [(":method", "CONNECT"), (":authority", "evil.test:443")],
    # Host.
    "another host": having(("host", "evil.test")),
    "another host's port": having(("host", HOST + ":81")),
    "two hosts": [METHOD, SCHEME, PATH, ("host", HOST), ("host", HOST)],
    "two other hosts": having(("host", HOST), ("host", "evil.test")),
    "a list of hosts": [METHOD, SCHEME, PATH, ("host", f"{HOST}, evil.test")],
    "no host": [METHOD, SCHEME, PATH],
    "an empty host": [METHOD, SCHEME, PATH, ("host", "")],
    "a host with a space": [METHOD, SCHEME, PATH, ("host", f"{HOST} evil.test")],
    # Pseudo-fields.
    ":path twice": [METHOD, SCHEME, PATH, (":path", "/smuggled"), AUTHORITY],
    ":method twice": [METHOD, (":method", "GET"), SCHEME, PATH, AUTHORITY],
    ":authority twice": having((":authority", "evil.test")),
    ":status": having((":status", "200")),
    ":path behind a field": [METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH],
    ":host": having((":host", "evil.test")),
}

# What looks odd, and is a value like any other.
PASSES = {
    "HTTP/1.1 in a value": having(("x", "GET /smuggled HTTP/1.1")),
    "a field in a value": having(("x", "Transfer-Encoding: chunked")),
    "an escaped line end in a value": having(("x", "y%0d%0aTransfer-Encoding: chunked")),
    "an escaped line end in :path": but((":path", "/outer%0d%0aTransfer-Encoding:%20chunked")),
    "an escaped NUL in :path": but((":path", "/outer%00")),
    "HTTP/1.1 in :path": but((":path", "/outer/HTTP/1.1")),
    "a URI in a query": but((":path", "/outer?http://evil.test/")),
    "bytes beyond ASCII in a value": having(("x", "\xff\xfe\xc4\x80")),  # one of which is a line end to who cuts it to a byte
    "letters that become ASCII where they are cut": having(("x", "\xe5\x98\x8d\xe5\x98\x8a")),
    "an underscore for a hyphen": having(("transfer_encoding", "chunked"), ("content_length", "0")),
    "names that begin like those": having(("transfer-encoding2", "chunked"), ("xtransfer-encoding", "chunked"), ("x-content-length", "0")),
    "te: trailers": having(("te", "trailers")),
    "te: Trailers": having(("te", "Trailers")),
    "the right length": having(("content-length", str(len(CHUNKS)))),
    "the same host": having(("host", HOST)),
    "host alone": [METHOD, SCHEME, PATH, ("host", HOST)],
    "crumbs": having(("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")),
    "an empty crumb": having(("cookie", ""), ("cookie", "a=b"), ("cookie", "")),
    "crumbs with separators": having(("cookie", "a=b; "[:-1]), ("cookie", ";c=d")),
    "crumbs with commas and quotes": having(("cookie", 'a="b, c'), ("cookie", 'd"=e')),
    "a field in a crumb": having(("cookie", "a=b; transfer-encoding: chunked")),
    "an empty value": having(("x", "")),
    "http2-settings": having(("http2-settings", "AAMAAABkAAQAAP__")),
    "expect": having(("x-expect", "100-continue")),
    "an odd method": but((":method", "GET!")),
    "a method in lower case": but((":method", "post")),
    "trailer": having(("trailer", "content-length")),
    "content-encoding": having(("content-encoding", "chunked")),
    "another scheme's letters": but((":scheme", "https")),
    "a method to override": having(("x-http-method-override", "CONNECT")),
}


@pytest.fixture(scope="module", params=["http/1.1", "h2"])
def front(request, shared_scene):
    def answer(connection, request):
        connection.read_body()
        connection.reply()
    make = shared_scene.http2_backend if request.param == "h2" else shared_scene.backend
    backend = make("a", answer)
    limpet = shared_scene.limpet([backend], pool={"protocol": request.param, "health": {"check": "none"}, "passive": {"failures": 0}})
    limpet.backend, limpet.version = backend, request.param
    limpet.get("/first")  # on the connection that the others share
    return limpet


def ask(limpet, fields, content=CHUNKS, trailers=None):
    client = limpet.http2()
    stream = client.stream()
    parts = [frame(HEADERS, END_HEADERS, stream.number, literals(*fields)), frame(DATA, 0 if trailers else END_STREAM, stream.number, content)]
    if trailers:
        parts.append(frame(HEADERS, END_HEADERS | END_STREAM, stream.number, literals(*trailers)))
    client.send(b"".join(parts))
    stream.answer()
    client.close()
    return stream


TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE = re.compile(rb"(" + TOKEN + rb"): ?([\t\x20-\x7e\x80-\xff]*)")


def the_one_request(data):
    """Reads strictly, what is one request and nothing else: (start line, [(name, value)], content, trailers)."""
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end
    first, *lines = head.split(b"\r\n")
    assert re.fullmatch(TOKEN + rb" /[\x21-\x7e]* HTTP/1\.1", first), first
    fields = [(match[1].lower(), match[2]) for match in (LINE.fullmatch(line) for line in lines)]  # None fails
    named = [name for name, _ in fields]
    assert named.count(b"host") == 1
    assert named.count(b"content-length") + named.count(b"transfer-encoding") == 1
    assert not {b"connection", b"keep-alive", b"proxy-connection", b"upgrade"} & set(named) or dict(fields).get(b"connection") in (b"TE", b"te")
    if b"content-length" in named:
        length = dict(fields)[b"content-length"]
        assert re.fullmatch(rb"[0-9]+", length) and int(length) == len(rest)
        return first, fields, rest, []
    assert dict(fields)[b"transfer-encoding"] == b"chunked"
    content = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        assert re.fullmatch(rb"[0-9a-fA-F]+", size), size
        if int(size, 16) == 0:
            break
        content, rest = content + rest[:int(size, 16)], rest[int(size, 16):]
        assert rest.startswith(b"\r\n")
        rest = rest[2:]
    *lines, last = rest.split(b"\r\n")
    assert lines.pop() == b"" and last == b"", rest  # nothing is left
    return first, fields, content, [(match[1].lower(), match[2]) for match in (LINE.fullmatch(line) for line in lines)]


def received(limpet):
    return b"".join(bytes(connection.received) for connection in limpet.backend.connections)


def assert_nothing_whole_came(limpet, before, requests):
    """Of what Limpet had to begin with before it saw what was wrong: its connection is cut."""
    if limpet.version == "h2":
        came = limpet.backend.requests[requests:]
        eventually(lambda: all(request.is_over for request in came))
        assert not any(request.complete for request in came)
        return
    came = received(limpet)[before:]
    if came:
        eventually(lambda: not limpet.backend.requests[-1].connection.open)
        assert not limpet.backend.requests[-1].complete
        with pytest.raises(AssertionError):
            the_one_request(received(limpet)[before:])


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(front, name):
    before, requests = len(received(front)) if front.version != "h2" else 0, len(front.backend.requests)
    stream = ask(front, REFUSED[name])
    assert stream.error == PROTOCOL_ERROR or stream.status in (400, 501), f"{stream.error}, {stream.pseudo}"
    assert_nothing_whole_came(front, before, requests)
    assert front.get("/next").status == 200
    assert not any("smuggled" in request.target for request in front.backend.requests)


BAD_TRAILERS = {
    **{f"{name}: {value!r}": [(name, value)] for name, value in (
        ("transfer-encoding", "chunked"), ("connection", "close"), (":path", "/smuggled"), (":method", "GET"), ("X", "y"), ("x", "y\r\n\r\nGET / HTTP/1.1"),
        ("x\r\n", "y"), ("x y", "z"), ("", "y"), ("x", "y\0"), ("upgrade", "h2c"), ("te", "chunked"))},
}


@pytest.mark.parametrize("name", BAD_TRAILERS)
def test_trailers_that_are_refused_end_no_request(front, name):
    before, requests = len(received(front)) if front.version != "h2" else 0, len(front.backend.requests)
    stream = ask(front, HEAD, trailers=BAD_TRAILERS[name])
    assert stream.error == PROTOCOL_ERROR or stream.status == 400
    assert_nothing_whole_came(front, before, requests)
    assert front.get("/next").status == 200


@pytest.mark.parametrize("trailers", [[("content-length", "0")], [("host", "evil.test")], [("x-ok", "y"), ("content-length", "5")], [("cookie", "a=b")], [("x-forwarded-for", "1.2.3.4")]], ids=str)
def test_trailers_frame_and_route_nothing(front, trailers):
    stream = ask(front, HEAD, trailers=trailers)
    if stream.error is None and stream.status == 200:
        came = [name.lower() for name, _ in front.backend.last.trailers]
        assert set(came) <= {"x-ok"}
    else:
        assert stream.error == PROTOCOL_ERROR or stream.status == 400
    assert front.get("/next").status == 200


@pytest.mark.parametrize("name", PASSES)
def test_it_reaches_the_backend_as_one_request(front, name):
    fields = PASSES[name]
    connections = front.backend.connections
    before = [len(connection.received) for connection in connections] if front.version != "h2" else []
    stream = ask(front, fields)
    assert (stream.error, stream.status) == (None, 200)
    sent = dict(fields)
    request = front.backend.last
    assert request.body == CHUNKS
    if front.version == "h2":
        assert request.pseudo == {":method": sent[":method"], ":scheme": "http", ":path": sent[":path"], ":authority": HOST}
        assert not {name for name, _ in request.fields} & {"connection", "transfer-encoding", "host", "upgrade", "keep-alive"}
        return
    came = b"".join(bytes(connection.received)[had:] for connection, had in zip(front.backend.connections, before + [0] * 9))
    first, got, content, trailers = the_one_request(came)
    assert first == f"{sent[':method']} {sent[':path']} HTTP/1.1".encode()
    assert (content, trailers, dict(got)[b"host"]) == (CHUNKS, [], HOST.encode())
    cookies = "; ".join(value for name, value in fields if name == "cookie")
    assert dict(got).get(b"cookie", b"").strip() == cookies.strip().encode()
    assert [name for name, _ in got].count(b"cookie") == ("cookie" in sent)
