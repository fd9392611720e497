"""Requests that two readers could understand in two ways are refused with 400, the connection is closed, and nothing of them
reaches a backend (RFC 9112, sections 2.2, 5.1, 5.2, 6.1, 6.3, 7.1 and 11.2)."""

import time

import pytest

from support.client import request_bytes
from support.wire import Closed, eventually, head

SMUGGLED = request_bytes(target="/smuggled")
BODY = b"5\r\nhello\r\n0\r\n\r\n"


def post(*lines, body=b"hello", version=b"HTTP/1.1"):
    """A POST whose field lines are these bytes, each ended with CRLF, then what would be smuggled."""
    return b"POST /outer " + version + b"\r\nHost: app.test\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body + SMUGGLED


CL5, CHUNKED = b"Content-Length: 5", b"Transfer-Encoding: chunked"

AMBIGUOUS = {
    # Both kinds of framing (6.3, point 3).
    "length and chunked": post(CL5, CHUNKED, body=BODY),
    "chunked and length": post(CHUNKED, CL5, body=BODY),
    "length 0 and chunked": post(b"Content-Length: 0", CHUNKED, body=BODY),
    "length and chunked in lower case": post(b"content-length: 5", b"transfer-encoding: chunked", body=BODY),
    "length and identity": post(CL5, b"Transfer-Encoding: identity"),
    "length and an empty coding": post(CL5, b"Transfer-Encoding:"),
    "length and an unknown coding": post(CL5, b"Transfer-Encoding: x"),
    # Content-Length (6.2; RFC 9110, section 8.6).
    "two lengths": post(CL5, b"Content-Length: 6"),
    "two lengths apart": post(b"Content-Length: 0", b"X: y", CL5),
    "two lengths, other case": post(CL5, b"content-length: 0"),
    "list of lengths": post(b"Content-Length: 5, 6"),
    "list of equal lengths": post(b"Content-Length: 5,5"),
    "list with an empty member": post(b"Content-Length: 5,"),
    "plus sign": post(b"Content-Length: +5"),
    "minus sign": post(b"Content-Length: -5"),
    "minus zero": post(b"Content-Length: -0"),
    "hexadecimal": post(b"Content-Length: 0x5"),
    "fraction": post(b"Content-Length: 5.0"),
    "exponent": post(b"Content-Length: 5e0"),
    "underscore": post(b"Content-Length: 0_5"),
    "letters": post(b"Content-Length: five"),
    "trailing letter": post(b"Content-Length: 5a"),
    "empty length": post(b"Content-Length:"),
    "blank length": post(b"Content-Length:   "),
    "length with a space inside": post(b"Content-Length: 5 0"),
    "length with a tab inside": post(b"Content-Length: 5\t0"),
    "length after a vertical tab": post(b"Content-Length: \x0b5"),
    "length before a form feed": post(b"Content-Length: 5\x0c"),
    "length in quotes": post(b'Content-Length: "5"'),
    "length with a parameter": post(b"Content-Length: 5;a=b"),
    "length of other digits": post(b"Content-Length: \xef\xbc\x95"),
    "length beyond 64 bits": post(b"Content-Length: 18446744073709551621"),
    "length far beyond 64 bits": post(b"Content-Length: 99999999999999999999999999999999"),
    # Transfer-Encoding (6.1).
    "unknown coding": post(b"Transfer-Encoding: xchunked", body=BODY),
    "coding that only begins like chunked": post(b"Transfer-Encoding: chunkedx", body=BODY),
    "identity": post(b"Transfer-Encoding: identity", body=BODY),
    "chunked is not last": post(b"Transfer-Encoding: chunked, identity", body=BODY),
    "chunked is not last, compressed": post(b"Transfer-Encoding: chunked, gzip", body=BODY),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=BODY),
    "chunked on two lines": post(CHUNKED, CHUNKED, body=BODY),
    "chunked, then identity on its line": post(CHUNKED, b"Transfer-Encoding: identity", body=BODY),
    "identity, then chunked on its line": post(b"Transfer-Encoding: identity", CHUNKED, body=BODY),
    "unknown, then chunked on its line": post(b"Transfer-Encoding: cow", CHUNKED, body=BODY),
    "empty coding": post(b"Transfer-Encoding:", body=BODY),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=BODY),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=BODY),
    "chunked in two words": post(b"Transfer-Encoding: chunked chunked", body=BODY),
    "chunked after a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=BODY),
    "chunked before a vertical tab": post(b"Transfer-Encoding: chunked\x0b", body=BODY),
    "chunked after a no-break space": post(b"Transfer-Encoding: \xa0chunked", body=BODY),
    "chunked before a NUL": post(b"Transfer-Encoding: chunked\x00", body=BODY),
    "chunked with a long s-like letter": post(b"Transfer-Encoding: chun\xe2\x84\xaaed", body=BODY),
    "chunked in HTTP/1.0": post(CHUNKED, body=BODY, version=b"HTTP/1.0"),
    "length and chunked in HTTP/1.0": post(CL5, CHUNKED, body=BODY, version=b"HTTP/1.0"),
    # Space around names (5.1).
    "space before the colon of the coding": post(b"Transfer-Encoding : chunked", body=BODY),
    "tab before the colon of the coding": post(b"Transfer-Encoding\t: chunked", body=BODY),
    "space before the colon of the length": post(b"Content-Length : 5"),
    "space before the colon of any field": post(CL5, b"X : y"),
    "space before the first name": b"POST /outer HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: app.test\r\n\r\n" + BODY + SMUGGLED,
    "tab before the first name": b"POST /outer HTTP/1.1\r\n\tHost: app.test\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    # Folded lines (5.2).
    "folded coding": post(b"Transfer-Encoding:\r\n chunked", body=BODY),
    "folded coding with a tab": post(b"Transfer-Encoding:\r\n\tchunked", body=BODY),
    "coding folded into another field": post(CL5, b"X: y\r\n Transfer-Encoding: chunked"),
    "folded length": post(b"Content-Length: 5\r\n 0"),
    "folded host": b"GET /outer HTTP/1.1\r\nHost: app.test\r\n .evil.test\r\n\r\n" + SMUGGLED,
    "folded empty line": post(CL5, b"X: y\r\n "),
    # Names (5.1; RFC 9110, section 5.1).
    "NUL in a name": post(CL5, b"Transfer-Encoding\x00: chunked"),
    "NUL before a name": post(CL5, b"\x00Transfer-Encoding: chunked"),
    "CR in a name": post(CL5, b"X\rTransfer-Encoding: chunked"),
    "CR before the colon": post(CL5, b"Transfer-Encoding\r: chunked"),
    "LF in a name": post(CL5, b"X\nTransfer-Encoding: chunked"),
    "space in a name": post(CL5, b"Transfer Encoding: chunked"),
    "no name": post(CL5, b": chunked"),
    "no colon": post(CL5, b"Transfer-Encoding chunked"),
    "bracket in a name": post(CL5, b"X(y): z"),
    "slash in a name": post(CL5, b"X/y: z"),
    "semicolon in a name": post(CL5, b"X;y: z"),
    "DEL in a name": post(CL5, b"X\x7f: z"),
    "byte beyond ASCII in a name": post(CL5, b"X\xe9: z"),
    # Values (RFC 9110, section 5.5).
    "NUL in a value": post(CL5, b"X: a\x00b"),
    "CR in a value": post(CL5, b"X: a\rTransfer-Encoding: chunked"),
    "CR at the end of a value": post(CL5, b"X: a\r"),
    "LF in a value": post(CL5, b"X: a\nTransfer-Encoding: chunked"),
    "CR alone as a value": post(CL5, b"X: \r"),
    # Line ends (2.2).
    "LF instead of CRLF throughout": b"POST /outer HTTP/1.1\nHost: app.test\nContent-Length: 5\n\nhello" + SMUGGLED,
    "LF after the request line": b"POST /outer HTTP/1.1\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "LF after a field": b"POST /outer HTTP/1.1\r\nHost: app.test\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "CR LF LF at the end": b"POST /outer HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\nhello" + SMUGGLED,
    "LF CR LF at the end": b"POST /outer HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\n\r\nhello" + SMUGGLED,
    "CR CR LF": b"POST /outer HTTP/1.1\r\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "CR CR LF at the end": b"POST /outer HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\r\nhello" + SMUGGLED,
    "CR only": b"POST /outer HTTP/1.1\rHost: app.test\rContent-Length: 5\r\rhello" + SMUGGLED,
    "NUL in the request line": b"POST /out\x00er HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "CR in the request line": b"POST /outer\rX HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "NUL before the request": b"\x00" + post(CL5),
    "a field before the request line": b"X: y\r\n" + post(CL5),
    # Host (3.2).
    "two hosts": b"GET /outer HTTP/1.1\r\nHost: app.test\r\nHost: evil.test\r\n\r\n" + SMUGGLED,
    "two equal hosts": b"GET /outer HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n" + SMUGGLED,
    "no host": b"GET /outer HTTP/1.1\r\nX: y\r\n\r\n" + SMUGGLED,
    "space before the colon of the host": b"GET /outer HTTP/1.1\r\nHost : app.test\r\n\r\n" + SMUGGLED,
}
MAY_BE_501 = {"unknown coding", "coding that only begins like chunked", "identity", "chunked is not last", "chunked is not last, compressed",
              "chunked in quotes", "chunked with a parameter", "identity, then chunked on its line", "unknown, then chunked on its line"}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_is_refused_and_nothing_of_it_is_forwarded(one, name):
    before = one.backend.bytes_received
    client = one.client()
    client.send(AMBIGUOUS[name])
    response = client.read_response()
    assert response.status in ((400, 501) if name in MAY_BE_501 else (400,)), response.raw_head
    assert "close" in response.tokens("Connection")
    assert client.is_closed(), "something was answered after the refusal"
    assert one.backend.bytes_received == before


def test_an_ambiguous_request_is_refused_however_it_is_cut(one):
    before = one.backend.bytes_received
    for name in ("length and chunked", "two lengths", "folded coding", "CR in a value", "LF after a field", "space before the colon of the coding"):
        data = AMBIGUOUS[name]
        for cut in range(1, data.index(b"\r\n\r\n") + 4, 5):
            client = one.client()
            try:
                client.send(data[:cut], data[cut:], pause=0.0005)
            except OSError:
                pass  # refused before the rest was sent
            assert client.read_response().status == 400
            client.close()
    assert one.backend.bytes_received == before


# What a lenient reader may understand, but in one way only.

ONE_WAY = {
    "spaces around a length": (post(b"Content-Length:   5  "), b"hello"),
    "tabs around a length": (post(b"Content-Length:\t5\t"), b"hello"),
    "leading zeros": (post(b"Content-Length: 0000005"), b"hello"),
    "no space after the colon": (post(b"Content-Length:5"), b"hello"),
    "equal lengths": (post(CL5, CL5), b"hello"),
    "tab before chunked": (post(b"Transfer-Encoding:\tchunked", body=BODY), b"hello"),
    "spaces after chunked": (post(b"Transfer-Encoding: chunked  ", body=BODY), b"hello"),
    "empty members around chunked": (post(b"Transfer-Encoding: , chunked,", body=BODY), b"hello"),
    "compressed, then chunked": (post(b"Transfer-Encoding: gzip, chunked", body=BODY), b"hello"),
    "underscore instead of hyphen": (post(CL5, b"Transfer_Encoding: chunked"), b"hello"),
    "a name that only ends like the coding": (post(CL5, b"X-Transfer-Encoding: chunked"), b"hello"),
    "length named by Connection": (post(CL5, b"Connection: Content-Length"), b"hello"),
    "coding named by Connection": (post(CHUNKED, b"Connection: Transfer-Encoding", body=BODY), b"hello"),
    "control byte in a value": (post(CL5, b"X: a\x01b"), b"hello"),
    "vertical tab in a value": (post(CL5, b"X: a\x0bb"), b"hello"),
    "many zeros in the last chunk": (post(CHUNKED, body=b"5\r\nhello\r\n0000000000000\r\n\r\n"), b"hello"),
    "quoted extension": (post(CHUNKED, body=b'5;a="\\"x"\r\nhello\r\n0\r\n\r\n'), b"hello"),
    "space before an extension": (post(CHUNKED, body=b"5 ;a=b\r\nhello\r\n0\r\n\r\n"), b"hello"),
}


@pytest.mark.parametrize("name", ONE_WAY)
def test_a_strange_request_is_understood_in_one_way_or_refused(one, name):
    data, body = ONE_WAY[name]
    count = len(one.backend.requests)
    client = one.client()
    client.send(data)
    try:
        first = client.read_response()
        status = first.status
    except Closed:
        status = None  # a streamed body that turned out bad may be cut without an answer
    if status == 200:
        outer = one.backend.requests[count]
        assert (outer.target, bytes(outer.body)) == ("/outer", body)
        assert len(outer.all("Content-Length") + outer.all("Transfer-Encoding")) == 1
        assert client.read_response().status == 200
        assert one.backend.last.target == "/smuggled"  # it was no part of the first, so it is the next
    else:
        assert status in (400, 501, None)
        assert client.is_closed()
        assert "/smuggled" not in [request.target for request in one.backend.requests[count:]]


# Chunked bodies. Their heads are sound and may be forwarded; a request whose body is not must never become whole at a backend.

BAD_CHUNKS = {
    "size that is no number": b"Z\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "extension without a size": b";a=b\r\nhello\r\n0\r\n\r\n",
    "minus sign": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "hexadecimal prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "size in two words": b"5 5\r\nhello\r\n0\r\n\r\n",
    "NUL after the size": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "CR after the data": b"5\r\nhello\r0\r\n\r\n",
    "nothing after the data": b"5\r\nhello0\r\n\r\n",
    "other bytes after the data": b"5\r\nhelloXX0\r\n\r\n",
    "LF after the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "size of more than 64 bits that wraps to 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size of many digits": b"F" * 100 + b"\r\nhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;\na\r\nhello\r\n0\r\n\r\n",
    "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "open quote in an extension": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "endless extension": b"5;" + b"a" * 200_000 + b"\r\nhello\r\n0\r\n\r\n",
    "endless extensions": b"".join(b"1;" + b"a" * 100 + b"\r\nx\r\n" for _ in range(3)) + b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
    "space before a trailer's colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "space before the first trailer": b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    "LF in a trailer": b"5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n",
    "CR in a trailer": b"5\r\nhello\r\n0\r\nX: y\rZ: z\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX: y\x00\r\n\r\n",
    "trailer without a colon": b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    "endless trailer": b"5\r\nhello\r\n0\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    "too many trailers": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_is_refused_and_its_request_never_becomes_whole(one, name):
    count = len(one.backend.requests)
    client = one.client()
    try:
        client.send(post(CHUNKED, body=BAD_CHUNKS[name]))
    except OSError:
        pass  # closed before everything was sent
    try:
        response = client.read_response()
        assert response.status in (400, 413, 431), response.raw_head
    except Closed as closed:
        assert closed.received == b""
    assert client.is_closed()
    eventually(lambda: all(request.complete or not request.connection.open for request in one.backend.requests[count:]))
    assert not any(request.complete for request in one.backend.requests[count:])
    assert "/smuggled" not in [request.target for request in one.backend.requests[count:]]


def test_a_chunk_is_refused_with_400_where_nothing_was_answered_yet(one):
    client = one.client()
    client.send(post(CHUNKED, body=b"Z\r\nhello\r\n0\r\n\r\n"))
    assert client.read_response().status == 400
    assert client.is_closed()


@pytest.mark.parametrize("size", [b"7FFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFF5", b"FFFFFFFFFFFFFFFF", b"100000000", b"100000005", b"80000000"])
def test_an_enormous_chunk_is_never_taken_for_a_short_one(one, size):
    count = len(one.backend.requests)
    client = one.client()
    client.send(post(CHUNKED, body=size + b"\r\nhello\r\n0\r\n\r\n"))
    client.half_close()
    try:
        assert client.read_response().status in (400, 413)
    except Closed as closed:
        assert closed.received == b""
    eventually(lambda: all(not request.connection.open for request in one.backend.requests[count:]))
    assert not any(request.complete for request in one.backend.requests[count:])


def test_refusals_are_in_the_access_log(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a])
    for data in (AMBIGUOUS["length and chunked"], AMBIGUOUS["folded coding"]):
        client = limpet.client()
        client.send(data)
        assert client.read_response().status == 400
    lines = limpet.log(2)
    assert [line["status"] for line in lines] == [400, 400]
    assert all(not line["backend"] for line in lines)
    time.sleep(0.01)
    assert a.connections == []


def test_a_body_that_looks_like_a_request_stays_a_body(one):
    for data in (request_bytes("POST", "/outer", body=SMUGGLED), request_bytes("POST", "/outer", chunks=[SMUGGLED])):
        count = len(one.backend.requests)
        client = one.client()
        client.send(data + request_bytes(target="/after"))
        assert [client.read_response().status for _ in range(2)] == [200, 200]
        assert [request.target for request in one.backend.requests[count:]] == ["/outer", "/after"]
        client.close()


def test_a_get_with_a_body_does_not_leak_it_into_the_next_request(one):
    count = len(one.backend.requests)
    client = one.client()
    client.send(head("GET /outer HTTP/1.1", ["Host: app.test", f"Content-Length: {len(SMUGGLED)}"]) + SMUGGLED + request_bytes(target="/after"))
    assert [client.read_response().status for _ in range(2)] == [200, 200]
    assert [request.target for request in one.backend.requests[count:]] == ["/outer", "/after"]
