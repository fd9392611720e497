"""What RFC 9113 and RFC 7541 ask of who is sent something wrong, section by section: a stream is reset or the connection ends, with which
error, and everybody else is served on. First of Limpet as a server, then as a client of a bad backend.

Where an error of a stream is asked for, an error of the connection is allowed (RFC 9113, section 5.4); the tables say which it is.
"""

import struct

import pytest

from support.client import HOST
from support.http2 import (
    ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, LARGEST_FRAME, LARGEST_WINDOW, MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM,
    SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, WITH_PRIORITY, frame, integer, literal, literals, number, setting, text)
from support.limpet import pool_table, settings
from support.transport import HTTP1, HTTP2, by_each_version
from support.wire import eventually

METHOD, SCHEME, PATH, AUTHORITY = (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)
GET = [METHOD, SCHEME, PATH, AUTHORITY]
POST = [(":method", "POST"), SCHEME, PATH, AUTHORITY]
HEAD = literals(*GET)
LARGE = 300_000


def serve(connection, request):
    connection.read_body()
    if request.target == "/large":
        return connection.reply(body=b"x" * LARGE)
    return connection.reply(body=b"served")


@pytest.fixture(scope="module")
def server(shared_scene):
    """A Limpet whose requests go to an HTTP/1.1 backend; those of /hanging wait for a connection."""
    backend = shared_scene.backend("a", serve)
    pools = [pool_table("app", [backend]), pool_table("hanging", [shared_scene.hanging()])]
    limpet = shared_scene.start(settings(pools=pools, routes=[{"path": "/hanging", "pool": "hanging"}, {"pool": "app"}], limits={"streams": 20}))
    limpet.backend = backend
    limpet.other = limpet.http2()  # a connection of somebody else's
    return limpet


class Case:
    """A connection with a request under way, whose body is not whole."""

    def __init__(self, limpet):
        self.limpet = limpet
        self.client = limpet.http2()
        self.other_stream = self.client.open_block(literals((":method", "POST"), SCHEME, (":path", "/other"), AUTHORITY), ends=False)
        self.client.ping()

    def assert_others_go_on(self):
        self.other_stream.send(b"the rest", ends=True)
        assert (self.other_stream.answer().error, self.other_stream.text) == (None, "served")
        assert self.client.get().status == 200
        assert not self.client.goaways
        self.assert_other_connections_go_on()

    def assert_other_connections_go_on(self):
        assert self.limpet.other.get().status == 200


@pytest.fixture
def case(server):
    case = Case(server)
    yield case
    case.client.close()


# Errors of the connection. Each sends something on a connection that has served a request and has another under way.

IDLE = 999


def frames(*parts):
    return lambda client: client.send(b"".join(parts))


def fresh(*parts):
    """Frames on the next stream, which they are given."""
    def send(client):
        stream = client.stream()
        client.send(b"".join(part(stream.number) for part in parts))
    return send


def of(kind, flags=0, payload=b""):
    return lambda on: frame(kind, flags, on, payload)


def with_block(block):
    return fresh(of(HEADERS, END_HEADERS | END_STREAM, block))


def on_ended(kind, flags=0, payload=b""):
    """A frame on a stream that its client has ended, and that is not answered yet."""
    def send(client):
        stream = client.open(target="/hanging")
        client.ping()
        client.send_frame(kind, flags, stream.number, payload)
    return send


def beyond_the_window(client):
    for _ in range(5):
        stream = client.open("POST", "/hanging", ends=False)
        client.send(frame(DATA, 0, stream.number, b"x" * LARGEST_FRAME) * 4)


CONNECTION_ERRORS = {
    # 4.1, 4.2: frames.
    "4.2 a frame larger than allowed": (frames(frame(PING, 0, 0, b"x" * (LARGEST_FRAME + 1))), FRAME_SIZE_ERROR),
    "4.2 DATA larger than allowed": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(DATA, 0, b"x" * (LARGEST_FRAME + 1))), FRAME_SIZE_ERROR),
    "4.2 a head larger than a frame": (with_block(HEAD + literal("x", "y" * LARGEST_FRAME)), FRAME_SIZE_ERROR),
    # 4.3: field sections; RFC 7541.
    "4.3 index 0": (with_block(HEAD + b"\x80"), COMPRESSION_ERROR),
    "4.3 an index beyond the tables": (with_block(HEAD + integer(500, 7, 0x80)), COMPRESSION_ERROR),
    "4.3 the first index beyond the static table": (with_block(HEAD + integer(62, 7, 0x80)), COMPRESSION_ERROR),
    "4.3 a name's index beyond the tables": (with_block(HEAD + integer(500, 4) + text("x")), COMPRESSION_ERROR),
    "4.3 a name's index beyond the tables, to be learned": (with_block(HEAD + integer(500, 6, 0x40) + text("x")), COMPRESSION_ERROR),
    "4.3 a table larger than allowed": (with_block(integer(4097, 5, 0x20) + HEAD), COMPRESSION_ERROR),
    "4.3 a huge table": (with_block(integer(2**31, 5, 0x20) + HEAD), COMPRESSION_ERROR),
    "4.3 a table's size behind a field": (with_block(HEAD + integer(0, 5, 0x20)), COMPRESSION_ERROR),
    "4.3 a table's size between fields": (with_block(literals(METHOD) + integer(0, 5, 0x20) + literals(*GET[1:])), COMPRESSION_ERROR),
    "4.3 an index without an end": (with_block(HEAD + b"\xff" + b"\xff" * 12), COMPRESSION_ERROR),
    "4.3 an index beyond 32 bits": (with_block(HEAD + b"\xff" + b"\xff" * 5 + b"\x0f"), COMPRESSION_ERROR),
    "4.3 a length beyond 32 bits": (with_block(HEAD + b"\x00" + b"\x7f" + b"\xff" * 5 + b"\x0f" + b"x"), COMPRESSION_ERROR),
    "4.3 a length beyond 64 bits": (with_block(HEAD + b"\x00" + b"\x7f" + b"\xff" * 10 + b"\x01" + b"x"), COMPRESSION_ERROR),
    "4.3 an index that is cut": (with_block(HEAD + b"\xff\x80"), COMPRESSION_ERROR),
    "4.3 a name that is cut": (with_block(HEAD + b"\x00\x05abc"), COMPRESSION_ERROR),
    "4.3 a value that is cut": (with_block(HEAD + b"\x00\x01x\x05abc"), COMPRESSION_ERROR),
    "4.3 no value": (with_block(HEAD + b"\x00\x01x"), COMPRESSION_ERROR),
    "4.3 Huffman with EOS": (with_block(HEAD + b"\x00\x01x\x84\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "4.3 Huffman padded with zeros": (with_block(HEAD + b"\x00\x01x\x81\x18"), COMPRESSION_ERROR),
    "4.3 Huffman with long padding": (with_block(HEAD + b"\x00\x01x\x82\x1f\xff"), COMPRESSION_ERROR),
    "4.3 Huffman of padding alone": (with_block(HEAD + b"\x00\x01x\x81\xff"), COMPRESSION_ERROR),
    "4.3 Huffman in a name, with EOS": (with_block(HEAD + b"\x00\x84\xff\xff\xff\xff\x01x"), COMPRESSION_ERROR),
    "4.3 a malformed head with a bad index behind": (with_block(literals(*GET, ("X", "y")) + b"\x80"), COMPRESSION_ERROR),
    "4.3 trailers with a bad index": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(HEADERS, END_HEADERS | END_STREAM, b"\x80")), COMPRESSION_ERROR),
    # 5.1: states and numbers of streams.
    "5.1 DATA on an idle stream": (frames(frame(DATA, 0, IDLE, b"x")), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (frames(frame(RST_STREAM, 0, IDLE, number(CANCEL))), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (frames(frame(WINDOW_UPDATE, 0, IDLE, number(1))), PROTOCOL_ERROR),
    "5.1 CONTINUATION on an idle stream": (frames(frame(CONTINUATION, END_HEADERS, IDLE, HEAD)), PROTOCOL_ERROR),
    "5.1 DATA behind the end": (on_ended(DATA, 0, b"x"), STREAM_CLOSED),
    "5.1 a head behind the end": (on_ended(HEADERS, END_HEADERS | END_STREAM, literals(("x", "y"))), STREAM_CLOSED),
    "5.1 CONTINUATION behind the end": (on_ended(CONTINUATION, END_HEADERS, HEAD), PROTOCOL_ERROR),
    "5.1.1 an even number": (frames(frame(HEADERS, END_HEADERS | END_STREAM, 1000, HEAD)), PROTOCOL_ERROR),
    "5.1.2 more streams than allowed": (lambda client: [client.open("POST", ends=False) for _ in range(20)], PROTOCOL_ERROR),
    # 5.2, 6.9: flow control.
    "5.2 content beyond the connection's window": (beyond_the_window, FLOW_CONTROL_ERROR),
    "6.9 WINDOW_UPDATE of 0 on the connection": (frames(frame(WINDOW_UPDATE, 0, 0, number(0))), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 3 bytes": (frames(frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")), FRAME_SIZE_ERROR),
    "6.9 WINDOW_UPDATE of 5 bytes": (frames(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0\1")), FRAME_SIZE_ERROR),
    "6.9.1 the connection's window beyond its most": (frames(frame(WINDOW_UPDATE, 0, 0, number(LARGEST_WINDOW))), FLOW_CONTROL_ERROR),
    "6.9 WINDOW_UPDATE of 0 on a stream": (frames(frame(WINDOW_UPDATE, 0, 1, number(0))), PROTOCOL_ERROR),
    # 6.1: DATA.
    "6.1 DATA on stream 0": (frames(frame(DATA, 0, 0, b"x")), PROTOCOL_ERROR),
    "6.1 padding larger than the frame": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(DATA, PADDED, b"\x05xxxx")), PROTOCOL_ERROR),
    "6.1 padding as large as the frame": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(DATA, PADDED, b"\x05xxxxx"[:5])), PROTOCOL_ERROR),
    "6.1 no length of the padding": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(DATA, PADDED)), (PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    # 6.2: HEADERS.
    "6.2 HEADERS on stream 0": (frames(frame(HEADERS, END_HEADERS | END_STREAM, 0, HEAD)), PROTOCOL_ERROR),
    "6.2 padding larger than the frame": (fresh(of(HEADERS, END_HEADERS | END_STREAM | PADDED, b"\xff" + HEAD)), PROTOCOL_ERROR),
    "6.2 padding as large as the frame": (fresh(of(HEADERS, END_HEADERS | END_STREAM | PADDED, bytes([len(HEAD) + 1]) + HEAD)), PROTOCOL_ERROR),
    "6.2 no length of the padding": (fresh(of(HEADERS, END_HEADERS | END_STREAM | PADDED)), (PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    "6.2 half a priority": (fresh(of(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, b"\0\0\0")), FRAME_SIZE_ERROR),
    # 6.3: PRIORITY.
    "6.3 PRIORITY on stream 0": (frames(frame(PRIORITY, 0, 0, b"\0" * 5)), PROTOCOL_ERROR),
    "6.3 PRIORITY of 4 bytes": (frames(frame(PRIORITY, 0, IDLE, b"\0" * 4)), FRAME_SIZE_ERROR),
    "6.3 PRIORITY of 6 bytes": (frames(frame(PRIORITY, 0, IDLE, b"\0" * 6)), FRAME_SIZE_ERROR),
    # 6.4: RST_STREAM.
    "6.4 RST_STREAM on stream 0": (frames(frame(RST_STREAM, 0, 0, number(CANCEL))), PROTOCOL_ERROR),
    "6.4 RST_STREAM of 3 bytes": (frames(frame(RST_STREAM, 0, 1, b"\0\0\0")), FRAME_SIZE_ERROR),
    "6.4 RST_STREAM of 5 bytes": (frames(frame(RST_STREAM, 0, 1, b"\0" * 5)), FRAME_SIZE_ERROR),
    # 6.5: SETTINGS.
    "6.5 SETTINGS on a stream": (frames(frame(SETTINGS, 0, 1)), PROTOCOL_ERROR),
    "6.5 SETTINGS of 5 bytes": (frames(frame(SETTINGS, 0, 0, b"\0" * 5)), FRAME_SIZE_ERROR),
    "6.5 an acknowledgement with a setting": (frames(frame(SETTINGS, ACK, 0, setting(MAX_CONCURRENT_STREAMS, 1))), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH of 2": (frames(frame(SETTINGS, 0, 0, setting(ENABLE_PUSH, 2))), PROTOCOL_ERROR),
    "6.5.2 INITIAL_WINDOW_SIZE too large": (frames(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 2**31))), FLOW_CONTROL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too small": (frames(frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 16383))), PROTOCOL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too large": (frames(frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 2**24))), PROTOCOL_ERROR),
    "RFC 8441, 3: ENABLE_CONNECT_PROTOCOL of 2": (frames(frame(SETTINGS, 0, 0, setting(ENABLE_CONNECT_PROTOCOL, 2))), PROTOCOL_ERROR),
    # 6.6: PUSH_PROMISE.
    "6.6 PUSH_PROMISE from a client": (frames(frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + HEAD)), PROTOCOL_ERROR),
    # 6.7: PING.
    "6.7 PING on a stream": (frames(frame(PING, 0, 1, b"limpets!")), PROTOCOL_ERROR),
    "6.7 PING of 7 bytes": (frames(frame(PING, 0, 0, b"limpets")), FRAME_SIZE_ERROR),
    "6.7 PING of 9 bytes": (frames(frame(PING, 0, 0, b"limpets!!")), FRAME_SIZE_ERROR),
    "6.7 PING without anything": (frames(frame(PING)), FRAME_SIZE_ERROR),
    # 6.8: GOAWAY.
    "6.8 GOAWAY on a stream": (frames(frame(GOAWAY, 0, 1, number(0) + number(0))), PROTOCOL_ERROR),
    "6.8 GOAWAY of 7 bytes": (frames(frame(GOAWAY, 0, 0, b"\0" * 7)), FRAME_SIZE_ERROR),
    # 6.10: CONTINUATION.
    "6.10 CONTINUATION without a head": (frames(frame(CONTINUATION, END_HEADERS, 1, HEAD)), PROTOCOL_ERROR),
    "6.10 CONTINUATION on stream 0": (frames(frame(CONTINUATION, END_HEADERS, 0, HEAD)), PROTOCOL_ERROR),
    "6.10 CONTINUATION behind a whole head": (fresh(of(HEADERS, END_HEADERS, literals(*POST)), of(CONTINUATION, END_HEADERS, HEAD)), PROTOCOL_ERROR),
    "6.10 another stream's CONTINUATION": (fresh(of(HEADERS, END_STREAM, HEAD), lambda on: frame(CONTINUATION, END_HEADERS, on + 2)), PROTOCOL_ERROR),
    **{f"6.10 {name} within a head": (fresh(of(HEADERS, END_STREAM, HEAD), lambda on, one=one: one(on)), PROTOCOL_ERROR) for name, one in {
        "DATA": of(DATA, 0, b"x"), "HEADERS": of(HEADERS, END_HEADERS, HEAD), "PING": lambda _: frame(PING, 0, 0, b"limpets!"),
        "SETTINGS": lambda _: frame(SETTINGS), "PRIORITY": of(PRIORITY, 0, b"\0" * 5), "RST_STREAM": of(RST_STREAM, 0, number(CANCEL)),
        "WINDOW_UPDATE": lambda _: frame(WINDOW_UPDATE, 0, 0, number(1)), "an unknown frame": lambda _: frame(99),
    }.items()},
    # RFC 9218, 7.1.
    "RFC 9218, 7.1: PRIORITY_UPDATE on a stream": (frames(frame(PRIORITY_UPDATE, 0, 1, number(1) + b"u=1")), PROTOCOL_ERROR),
    "RFC 9218, 7.1: PRIORITY_UPDATE without a stream": (frames(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0")), FRAME_SIZE_ERROR),
}


def codes(code):
    return code if isinstance(code, tuple) else (code,)


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_the_connection_ends_and_the_others_do_not(case, name):
    send, code = CONNECTION_ERRORS[name]
    send(case.client)
    assert case.client.goodbye() in codes(code)
    case.assert_other_connections_go_on()


# Errors of a stream.


def malformed(*fields, ends=True):
    return lambda client: client.open_block(literals(*fields), ends)


def get_with(*fields):
    return malformed(*GET, *fields)


def post(*fields, content=(), trailers=None, ends=True):
    """DATA frames behind the head of a POST."""
    def send(client):
        stream = client.stream()
        parts = [frame(HEADERS, END_HEADERS, stream.number, literals(*POST, *fields)), *(frame(DATA, 0, stream.number, piece) for piece in content[:-1])]
        parts.append(frame(DATA, END_STREAM if ends and trailers is None else 0, stream.number, content[-1]))
        if trailers is not None:
            parts.append(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream.number, literals(*trailers)))
        client.send(b"".join(parts))  # at once: what comes later may find its request answered
        return stream
    return send


def window_beyond_its_most(client):
    stream = client.open("POST", "/open", ends=False)
    client.open_window(stream, LARGEST_WINDOW)
    return stream


def settings_raise_a_window_beyond_its_most(client):
    """Where an error of the connection is asked for; nghttp2 resets the stream."""
    stream = client.open("POST", "/open", ends=False)
    client.open_window(stream, LARGEST_WINDOW - 65535)
    client.send_frame(SETTINGS, payload=setting(INITIAL_WINDOW_SIZE, 65536))
    return stream


def content_beyond_the_window(client):
    stream = client.open("POST", "/hanging", ends=False)
    client.send(frame(DATA, 0, stream.number, b"x" * LARGEST_FRAME) * 5)
    return stream


def without(*left_out):
    return malformed(*(field for field in GET if field not in left_out))


STREAM_ERRORS = {
    # 6.9: flow control.
    "5.2 content beyond its window": (content_beyond_the_window, FLOW_CONTROL_ERROR),
    "6.9.1 a window beyond its most": (window_beyond_its_most, FLOW_CONTROL_ERROR),
    "6.9.2 SETTINGS raise a window beyond its most": (settings_raise_a_window_beyond_its_most, FLOW_CONTROL_ERROR),
    # 8.1: messages.
    "8.1 trailers that do not end the stream": (post(content=[b"x"], trailers=[("x", "y")], ends=False), PROTOCOL_ERROR),
    "8.1 :path in trailers": (post(content=[b"x"], trailers=[(":path", "/evil")]), PROTOCOL_ERROR),
    "8.1 :status in trailers": (post(content=[b"x"], trailers=[(":status", "200")]), PROTOCOL_ERROR),
    "8.1 an upper-case name in trailers": (post(content=[b"x"], trailers=[("X", "y")]), PROTOCOL_ERROR),
    "8.1 connection in trailers": (post(content=[b"x"], trailers=[("connection", "close")]), PROTOCOL_ERROR),
    "8.1 transfer-encoding in trailers": (post(content=[b"x"], trailers=[("transfer-encoding", "chunked")]), PROTOCOL_ERROR),
    "8.1 CR LF in trailers": (post(content=[b"x"], trailers=[("x", "y\r\nevil: z")]), PROTOCOL_ERROR),
    # 8.1.1: content-length.
    "8.1.1 content-length without content": (malformed(*POST, ("content-length", "5")), PROTOCOL_ERROR),
    "8.1.1 more content than content-length": (post(("content-length", "5"), content=[b"hello!"]), PROTOCOL_ERROR),
    "8.1.1 more content than content-length, in pieces": (post(("content-length", "5"), content=[b"hello", b"!"]), PROTOCOL_ERROR),
    "8.1.1 less content than content-length": (post(("content-length", "5"), content=[b"hell"]), PROTOCOL_ERROR),
    "8.1.1 less content than content-length, then trailers": (post(("content-length", "5"), content=[b"hell"], trailers=[("x", "y")]), PROTOCOL_ERROR),
    "8.1.1 content behind content-length: 0": (post(("content-length", "0"), content=[b"x"]), PROTOCOL_ERROR),
    "8.1.1 two lengths": (post(("content-length", "5"), ("content-length", "6"), content=[b"hello"]), PROTOCOL_ERROR),
    "8.1.1 two equal lengths": (post(("content-length", "5"), ("content-length", "5"), content=[b"hello"]), PROTOCOL_ERROR),
    **{f"8.1.1 content-length: {value!r}": (post(("content-length", value), content=[b"hello"]), PROTOCOL_ERROR) for value in (
        "", "-5", "+5", "0x5", "5.0", "five", "5a", "5,5", "5, 6", "5;a", "1e1", "18446744073709551621", "99999999999999999999999")},
    # 8.2: fields.
    "8.2 an upper-case name": (get_with(("X-Upper", "y")), PROTOCOL_ERROR),
    "8.2 an upper-case letter at the end": (get_with(("x-uppeR", "y")), PROTOCOL_ERROR),
    "8.2 no name": (get_with(("", "y")), PROTOCOL_ERROR),
    **{f"8.2 {bad!r} in a name": (get_with((f"x{bad}y", "z")), PROTOCOL_ERROR) for bad in (
        "\0", "\r", "\n", "\r\n", " ", "\t", ":", "\x7f", "\x80", "\xff", "(", "/", ",", ";", "=", "@", "[", "{", '"', "\\", "\x0b", "\x1f")},
    **{f"8.2 a name that begins with {bad!r}": (get_with((f"{bad}x", "z")), PROTOCOL_ERROR) for bad in (" ", "\t", "\r", "\n", "\0")},
    **{f"8.2 a name that ends with {bad!r}": (get_with((f"x{bad}", "z")), PROTOCOL_ERROR) for bad in (" ", "\t", "\r", "\n", "\0", ":")},
    **{f"8.2.1 {bad!r} in a value": (get_with(("x", f"y{bad}z")), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", "\r\n", "\r\nevil: z", "\x01", "\x0b", "\x7f")},
    **{f"8.2.1 a value that begins with {bad!r}": (get_with(("x", f"{bad}y")), PROTOCOL_ERROR) for bad in (" ", "\t", "\r", "\n", "\0")},
    **{f"8.2.1 a value that ends with {bad!r}": (get_with(("x", f"y{bad}")), PROTOCOL_ERROR) for bad in (" ", "\t", "\r", "\n", "\0")},
    **{f"8.2.2 {name}: {value}": (get_with((name, value)), PROTOCOL_ERROR) for name, value in (
        ("connection", "close"), ("connection", "x"), ("connection", ""), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("transfer-encoding", ""), ("upgrade", "websocket"), ("upgrade", "h2c"),
        ("te", "gzip"), ("te", "trailers, gzip"), ("te", "chunked"))},
    # 8.3: pseudo-fields.
    "8.3 an unknown one": (get_with((":evil", "y")), PROTOCOL_ERROR),
    "8.3 one behind a field": (malformed(METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH), PROTOCOL_ERROR),
    "8.3 :authority behind a field": (malformed(METHOD, SCHEME, PATH, ("x", "y"), AUTHORITY), PROTOCOL_ERROR),
    "8.3 one without a name": (get_with((":", "y")), PROTOCOL_ERROR),
    "8.3 an upper-case one": (malformed((":Method", "GET"), SCHEME, PATH, AUTHORITY), PROTOCOL_ERROR),
    "8.3 one of answers": (malformed(*GET, (":status", "200")), PROTOCOL_ERROR),
    "8.3.1 no :method": (without(METHOD), PROTOCOL_ERROR),
    "8.3.1 no :scheme": (without(SCHEME), PROTOCOL_ERROR),
    "8.3.1 no :path": (without(PATH), PROTOCOL_ERROR),
    "8.3.1 nothing at all": (malformed(), PROTOCOL_ERROR),
    "8.3.1 no :authority and no host": (without(AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 :method twice": (malformed(METHOD, *GET), PROTOCOL_ERROR),
    "8.3.1 :scheme twice": (malformed(SCHEME, *GET), PROTOCOL_ERROR),
    "8.3.1 :path twice": (malformed(PATH, *GET), PROTOCOL_ERROR),
    "8.3.1 :authority twice": (malformed(AUTHORITY, *GET), PROTOCOL_ERROR),
    "8.3.1 an empty :path": (malformed(METHOD, SCHEME, (":path", ""), AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 a :path without a slash": (malformed(METHOD, SCHEME, (":path", "evil"), AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 a :path that is a URI": (malformed(METHOD, SCHEME, (":path", "http://app.test/"), AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 a :path of * in a GET": (malformed(METHOD, SCHEME, (":path", "*"), AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 an empty :method": (malformed((":method", ""), SCHEME, PATH, AUTHORITY), PROTOCOL_ERROR),
    "8.3.1 an empty :scheme": (malformed(METHOD, (":scheme", ""), PATH, AUTHORITY), PROTOCOL_ERROR),
    **{f"8.3.1 {bad!r} in :method": (malformed((":method", f"G{bad}T"), SCHEME, PATH, AUTHORITY), PROTOCOL_ERROR) for bad in (" ", "\t", "\0", "\r", "\n", "\r\n", "/", ":")},
    **{f"8.3.1 {bad!r} in :path": (malformed(METHOD, SCHEME, (":path", f"/a{bad}b"), AUTHORITY), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", "\r\n", " ", "\t", "\x7f")},
    **{f"8.3.1 {bad!r} in :authority": (malformed(METHOD, SCHEME, PATH, (":authority", f"app{bad}test")), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", "\r\n", " ", "\t")},
    **{f"8.3.1 {bad!r} in :scheme": (malformed(METHOD, (":scheme", f"ht{bad}tp"), PATH, AUTHORITY), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", " ", "/")},
    # 8.5: CONNECT; RFC 8441.
    "8.5 CONNECT with :path": (malformed((":method", "CONNECT"), PATH, AUTHORITY), PROTOCOL_ERROR),
    "8.5 CONNECT with :scheme": (malformed((":method", "CONNECT"), SCHEME, AUTHORITY), PROTOCOL_ERROR),
    "8.5 CONNECT without :authority": (malformed((":method", "CONNECT")), PROTOCOL_ERROR),
    "RFC 8441, 4: :protocol without CONNECT": (get_with((":protocol", "websocket")), PROTOCOL_ERROR),
    "RFC 8441, 4: extended CONNECT without :path": (malformed((":method", "CONNECT"), SCHEME, AUTHORITY, (":protocol", "websocket"), ends=False), PROTOCOL_ERROR),
    "RFC 8441, 4: extended CONNECT without :scheme": (malformed((":method", "CONNECT"), PATH, AUTHORITY, (":protocol", "websocket"), ends=False), PROTOCOL_ERROR),
    "RFC 8441, 4: extended CONNECT without :authority": (malformed((":method", "CONNECT"), PATH, SCHEME, (":protocol", "websocket"), ends=False), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_the_stream_is_reset_or_refused_and_the_others_go_on(case, name):
    send, code = STREAM_ERRORS[name]
    stream = send(case.client).answer()
    assert stream.error in codes(code) or stream.fields is not None and stream.status == 400, f"{stream.error}, {stream.pseudo}"
    case.assert_others_go_on()
    assert case.limpet.backend.last.target == "/"  # the other connection's; and nothing unreadable


# What is no error.


def padded(flags, payload, padding=b"\0" * 7):
    return lambda on: frame(flags[0], flags[1] | PADDED, on, bytes([len(padding)]) + payload + padding)


HARMLESS = {
    "4.1 unknown frames": frames(frame(99), frame(200, 255, 0, b"x" * 100), frame(77, 255, IDLE, b"y"), frame(77, 255, 1, b"y")),
    "4.1 unknown flags": frames(frame(PING, 0xfe, 0, b"limpets!"), frame(SETTINGS, 0xfe)),
    "4.1 a reserved bit": frames(struct.pack("!I", 8)[1:] + bytes([PING, 0]) + number(2**31) + b"limpets!"),
    "4.3 a table's size, within its limit": with_block(integer(100, 5, 0x20) + integer(4096, 5, 0x20) + HEAD),
    "5.1 PRIORITY on an idle stream": frames(frame(PRIORITY, 0, IDLE, b"\0\0\0\0\x10")),
    "5.1 PRIORITY on a closed stream": lambda client: (client.get(), client.send_frame(PRIORITY, 0, max(client.streams), b"\0\0\0\0\x10")),
    "5.1 RST_STREAM on a closed stream": lambda client: (client.get(), client.send_frame(RST_STREAM, 0, max(client.streams), number(CANCEL))),
    "5.1 WINDOW_UPDATE on a closed stream": lambda client: (client.get(), client.send_frame(WINDOW_UPDATE, 0, max(client.streams), number(1))),
    "5.1.1 numbers that are left out": lambda client: ([client.stream() for _ in range(10)], client.get()),
    "5.3 a head with a priority": fresh(of(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, b"\0\0\0\1\x10" + HEAD)),
    "6.1 DATA with padding": fresh(of(HEADERS, END_HEADERS, literals(*POST)), padded((DATA, END_STREAM), b"content")),
    "6.1 DATA of padding alone": fresh(of(HEADERS, END_HEADERS, literals(*POST)), padded((DATA, END_STREAM), b"")),
    "6.1 padding that is not zero": fresh(of(HEADERS, END_HEADERS, literals(*POST)), padded((DATA, END_STREAM), b"content", b"padding")),
    "6.2 a head with padding": fresh(padded((HEADERS, END_HEADERS | END_STREAM), HEAD)),
    "6.5 unknown settings": frames(frame(SETTINGS, 0, 0, setting(0x99, 5) + setting(0xfffe, 2**32 - 1))),
    "6.5.3 a setting twice": frames(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0) + setting(INITIAL_WINDOW_SIZE, 65535))),
    "6.7 an answer to no PING": frames(frame(PING, ACK, 0, b"limpets!")),
    "6.10 a head in empty pieces": fresh(of(HEADERS, END_STREAM), of(CONTINUATION), of(CONTINUATION, 0, HEAD), of(CONTINUATION, END_HEADERS)),
    "7 an unknown error": lambda client: client.send_frame(RST_STREAM, 0, client.open("POST", ends=False).number, number(0xdead)),
    "8.2.2 te: trailers": with_block(literals(*GET, ("te", "trailers"))),
    "8.2.3 cookies in crumbs": with_block(literals(*GET, ("cookie", "a=b"), ("cookie", "c=d"))),
    "8.3.1 host in :authority's place": with_block(literals(METHOD, SCHEME, PATH, ("host", HOST))),
    "8.3.1 host that says the same": with_block(literals(*GET, ("host", HOST))),
    "8.3.1 OPTIONS *": with_block(literals((":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY)),
    "8.1.1 content-length of nothing": with_block(literals(*POST, ("content-length", "0"))),
    "RFC 9218, 7.1: PRIORITY_UPDATE": frames(frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1, i")),
    "RFC 9218, 7.1: PRIORITY_UPDATE that says nothing readable": frames(frame(PRIORITY_UPDATE, 0, 0, number(1) + b"\xff\0((")),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_the_connection_bears_it(case, name):
    HARMLESS[name](case.client)
    case.client.wait(lambda: all(stream is case.other_stream or stream.is_over or stream.fields is None for stream in case.client.streams.values()))
    case.assert_others_go_on()
    for stream in case.client.streams.values():
        assert stream.error is None and (stream.fields is None or stream.status == 200)


# 3.4: the preface.


def test_the_first_frame_is_settings_and_those_of_the_client_are_acknowledged(server):
    client = server.http2()
    client.get()
    assert client.came[0] == (SETTINGS, 0, 0)
    assert client.acked == 1
    assert client.settings[MAX_CONCURRENT_STREAMS] == 20 and client.settings[ENABLE_CONNECT_PROTOCOL] == 1


@pytest.mark.parametrize("first", [frame(PING, 0, 0, b"limpets!"), frame(HEADERS, END_HEADERS | END_STREAM, 1, HEAD), frame(SETTINGS, ACK), frame(99)],
                         ids=["PING", "HEADERS", "an acknowledgement", "an unknown frame"])
def test_a_client_begins_with_settings(server, first):
    client = server.http2(begins=False)
    client.send(PREFACE + first + frame(SETTINGS))
    assert client.goodbye() == PROTOCOL_ERROR


@pytest.mark.parametrize("at", [16, 20, 23])
def test_a_preface_that_is_wrong_behind_its_first_line_ends_the_connection(server, at):
    before = server.backend.bytes_received
    client = server.http2(begins=False)
    client.send(PREFACE[:at] + b"?" + PREFACE[at + 1:] + frame(SETTINGS))
    client.read_to_end()
    assert server.backend.bytes_received == before
    assert server.other.get().status == 200


def test_a_preface_may_come_byte_by_byte(server):
    client = server.http2(begins=False)
    client.send(*(bytes([byte]) for byte in PREFACE + frame(SETTINGS)), pause=0.0005)
    assert client.get().status == 200


# 5.1: streams that are no more.


def test_a_stream_that_was_passed_over_is_none(server):
    """Section 5.1.1: it is closed. Of those nothing is kept here, so that what comes on one is not told from what was on its way."""
    client = server.http2()
    passed_over = client.stream()
    client.get()
    before = len(server.backend.requests)
    client.send_block(passed_over.number, HEAD, ends=True)
    client.ping()
    assert client.get().status == 200
    assert len(server.backend.requests) == before + 1


# 5.1.2, 5.2, 6.9: flow control that is not wrong.


def test_streams_that_come_before_the_limit_was_known_are_refused(server):
    client = server.http2()
    client.acks = False
    streams = [client.open("POST", ends=False) for _ in range(25)]
    eventually(lambda: client.step() or sum(stream.error == REFUSED_STREAM for stream in streams) == 5)
    streams[0].send(b"x", ends=True)
    assert streams[0].answer().status == 200


def test_no_more_is_sent_than_the_windows_let(server):
    client = server.http2(settings={INITIAL_WINDOW_SIZE: 10})
    client.opens = False
    stream = client.open(target="/large")
    client.wait(lambda: len(stream.body) == 10)
    client.ping()
    assert len(stream.body) == 10
    client.open_window(stream, 5)
    client.wait(lambda: len(stream.body) == 15)
    client.send_frame(SETTINGS, payload=setting(INITIAL_WINDOW_SIZE, 4))  # 6 less than it had: the window is -6
    client.open_window(stream, 6)
    client.ping()
    assert len(stream.body) == 15
    client.open_window(stream, 3)
    client.wait(lambda: len(stream.body) == 18)
    client.send_frame(SETTINGS, payload=setting(INITIAL_WINDOW_SIZE, 14))  # of which all is open again
    client.wait(lambda: len(stream.body) == 28)
    client.ping()
    assert len(stream.body) == 28
    client.open_window(stream, LARGE)
    client.wait(lambda: len(stream.body) == 65535)  # the connection's
    client.ping()
    assert len(stream.body) == 65535
    client.open_window(0, LARGE)
    assert len(stream.answer().body) == LARGE


def test_frames_are_as_large_as_the_client_takes(server):
    client = server.http2(settings={INITIAL_WINDOW_SIZE: LARGE * 2})
    client.open_window(0, LARGE * 2)
    assert max(client.get("/large").frames) <= LARGEST_FRAME


def test_content_behind_a_stream_that_is_over_costs_the_connection_no_window(server):
    """Section 5.1: whoever reset a stream bears what was on its way, and gives the connection's window back."""
    client = server.http2()
    stream = client.open_block(literals(*POST, ("content-length", "-1")), ends=False)
    for _ in range(40):  # 640 KiB, more than the connection's window
        client.wait(lambda: client.window >= LARGEST_FRAME)
        client.window -= LARGEST_FRAME
        client.send_frame(DATA, 0, stream.number, b"x" * LARGEST_FRAME)
    assert client.request("POST", "/", body=b"x" * 200_000).status == 200


# ---- Limpet as a client


def backend_serve(stream, request):
    script = SCRIPTS.get(request.target)
    if script is None:
        return serve(stream, request)
    return script(stream)


@pytest.fixture(scope="module")
def bad_backend(shared_scene):
    """A Limpet with an HTTP/2 backend that does as a request's target says."""
    backend = shared_scene.http2_backend("b", backend_serve)
    limpet = shared_scene.limpet([backend], pool={"protocol": "h2", "health": {"check": "none"}, "passive": {"failures": 0}})
    limpet.backend = backend
    return limpet


def says(*fields, ends=True, then=()):
    """A head with a status of 200 and these, then frames on the stream."""
    return block(literals((":status", "200"), *fields), ends, then)


def block(data, ends=True, then=()):
    def send(stream):
        stream.connection.send_block(stream.number, data, ends)
        for one in then:
            stream.connection.send(one(stream.number))
    return send


def sends(*parts):
    return lambda stream: stream.connection.send(b"".join(part(stream.number) for part in parts))


OK = literals((":status", "200"))

BAD_ANSWERS = {
    # 8.1: messages.
    "8.1 a final head behind an interim one that ends the stream": (block(literals((":status", "103")), True), PROTOCOL_ERROR),
    "8.1 DATA behind an interim head": (block(literals((":status", "103")), False, [of(DATA, END_STREAM, b"x")]), PROTOCOL_ERROR),
    "8.6 status 101": (block(literals((":status", "101")), False), PROTOCOL_ERROR),
    # 8.1.1: content-length.
    **{f"8.1.1 content-length: {value!r}": (says(("content-length", value)), PROTOCOL_ERROR) for value in ("-1", "+1", "0x1", "one", "", "1,1", "1, 2", "99999999999999999999999")},
    "8.1.1 two lengths": (says(("content-length", "1"), ("content-length", "2")), PROTOCOL_ERROR),
    "8.1.1 content-length without content": (says(("content-length", "5")), PROTOCOL_ERROR),
    # 8.2: fields.
    "8.2 an upper-case name": (says(("X-Upper", "y")), PROTOCOL_ERROR),
    "8.2 no name": (says(("", "y")), PROTOCOL_ERROR),
    **{f"8.2 {bad!r} in a name": (says((f"x{bad}y", "z")), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", " ", ":", "\x7f", "\xff", "(")},
    **{f"8.2.1 {bad!r} in a value": (says(("x", f"y{bad}z")), PROTOCOL_ERROR) for bad in ("\0", "\r", "\n", "\r\nset-cookie: evil=1")},
    **{f"8.2.2 {name}": (says((name, value)), PROTOCOL_ERROR) for name, value in (
        ("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "websocket"))},
    # 8.3: pseudo-fields.
    "8.3.2 no :status": (block(literals(("x", "y"))), PROTOCOL_ERROR),
    "8.3.2 nothing at all": (block(b""), PROTOCOL_ERROR),
    "8.3.2 :status twice": (says((":status", "200")), PROTOCOL_ERROR),
    "8.3.2 :status behind a field": (block(literals(("x", "y"), (":status", "200"))), PROTOCOL_ERROR),
    "8.3.2 an unknown one": (says((":evil", "y")), PROTOCOL_ERROR),
    "8.3.2 one of requests": (says((":path", "/")), PROTOCOL_ERROR),
    "8.3.2 a status below 100": (block(literals((":status", "099"))), CANCEL),  # which nghttp2 lets pass
    **{f"8.3.2 :status {value!r}": (block(literals((":status", value))), PROTOCOL_ERROR) for value in ("", "0", "99", "20", "2000", "abc", "2x0", "-20", "+20", " 200", "200 ", "200 OK")},
    # 6.9: windows of the stream.
    "6.9.1 a window beyond its most": (sends(of(WINDOW_UPDATE, 0, number(LARGEST_WINDOW))), FLOW_CONTROL_ERROR),
}

BAD_CONNECTIONS = {
    "4.2 a frame larger than allowed": (sends(lambda _: frame(PING, 0, 0, b"x" * (LARGEST_FRAME + 1))), FRAME_SIZE_ERROR),
    "4.3 index 0": (block(OK + b"\x80"), COMPRESSION_ERROR),
    "4.3 an index beyond the tables": (block(OK + integer(500, 7, 0x80)), COMPRESSION_ERROR),
    "4.3 a table larger than allowed": (block(integer(4097, 5, 0x20) + OK), COMPRESSION_ERROR),
    "4.3 a table's size behind a field": (block(OK + integer(0, 5, 0x20)), COMPRESSION_ERROR),
    "4.3 an index without an end": (block(OK + b"\xff" * 12), COMPRESSION_ERROR),
    "4.3 a value that is cut": (block(OK + b"\x00\x01x\x05abc"), COMPRESSION_ERROR),
    "4.3 Huffman with EOS": (block(OK + b"\x00\x01x\x84\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "4.3 Huffman with long padding": (block(OK + b"\x00\x01x\x82\x1f\xff"), COMPRESSION_ERROR),
    "5.1 a head on an idle stream": (sends(lambda _: frame(HEADERS, END_HEADERS | END_STREAM, 9999, OK)), PROTOCOL_ERROR),
    "8.1 DATA before the head": (sends(of(DATA, END_STREAM, b"x")), PROTOCOL_ERROR),
    "5.1 DATA on an idle stream": (sends(lambda _: frame(DATA, 0, 9999, b"x")), PROTOCOL_ERROR),
    "5.1.1 a stream of the backend's own": (sends(lambda _: frame(HEADERS, END_HEADERS | END_STREAM, 2, OK)), PROTOCOL_ERROR),
    "6.1 DATA on stream 0": (sends(lambda _: frame(DATA, 0, 0, b"x")), PROTOCOL_ERROR),
    "6.1 padding larger than the frame": (sends(of(HEADERS, END_HEADERS, OK), of(DATA, PADDED, b"\xffxxx")), PROTOCOL_ERROR),
    "6.2 HEADERS on stream 0": (sends(lambda _: frame(HEADERS, END_HEADERS, 0, OK)), PROTOCOL_ERROR),
    "6.2 padding larger than the frame": (sends(of(HEADERS, END_HEADERS | PADDED, b"\xff" + OK)), PROTOCOL_ERROR),
    "6.4 RST_STREAM on stream 0": (sends(lambda _: frame(RST_STREAM, 0, 0, number(CANCEL))), PROTOCOL_ERROR),
    "6.4 RST_STREAM of 3 bytes": (sends(of(RST_STREAM, 0, b"\0\0\0")), FRAME_SIZE_ERROR),
    "6.5 SETTINGS on a stream": (sends(of(SETTINGS)), PROTOCOL_ERROR),
    "6.5 SETTINGS of 5 bytes": (sends(lambda _: frame(SETTINGS, 0, 0, b"\0" * 5)), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH from a server": (sends(lambda _: frame(SETTINGS, 0, 0, setting(ENABLE_PUSH, 1))), PROTOCOL_ERROR),
    "6.5.2 INITIAL_WINDOW_SIZE too large": (sends(lambda _: frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 2**31))), FLOW_CONTROL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too small": (sends(lambda _: frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 1))), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE that nobody wants": (sends(of(PUSH_PROMISE, END_HEADERS, number(2) + HEAD)), PROTOCOL_ERROR),
    "6.7 PING of 7 bytes": (sends(lambda _: frame(PING, 0, 0, b"limpets")), FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a stream": (sends(of(GOAWAY, 0, number(0) + number(0))), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 0 on a stream": (sends(of(WINDOW_UPDATE, 0, number(0))), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 0 on the connection": (sends(lambda _: frame(WINDOW_UPDATE, 0, 0, number(0))), PROTOCOL_ERROR),
    "6.9.1 the connection's window beyond its most": (sends(lambda _: frame(WINDOW_UPDATE, 0, 0, number(LARGEST_WINDOW))), FLOW_CONTROL_ERROR),
    "6.10 CONTINUATION without a head": (sends(of(CONTINUATION, END_HEADERS, OK)), PROTOCOL_ERROR),
    "6.10 another frame within a head": (sends(of(HEADERS, 0, OK), lambda _: frame(PING, 0, 0, b"limpets!")), PROTOCOL_ERROR),
}

SCRIPTS = {f"/answer/{index}": script for index, (script, _) in enumerate(BAD_ANSWERS.values())}
SCRIPTS |= {f"/connection/{index}": script for index, (script, _) in enumerate(BAD_CONNECTIONS.values())}


class BadCase(Case):
    """Another request is under way on the backend's connection; `bad` is what came of the one that goes wrong, by either version."""

    def __init__(self, limpet, target, version):
        super().__init__(limpet)
        self.before = len(limpet.backend.requests)
        eventually(lambda: any(request.target == "/other" and not request.is_over for request in limpet.backend.requests))
        self.asking = self.client if version == HTTP2 else limpet.client()
        self.bad = self.asking.try_request("GET", target)
        self.seen = next(request for request in limpet.backend.requests if request.target == target)  # by the backend

    def assert_never_whole(self):
        """502, or cut, in the way of its version."""
        if self.bad is None or not self.bad.complete:
            assert self.asking is not self.client or self.bad is None or self.bad.error == INTERNAL_ERROR
        else:
            assert self.bad.status == 502


@by_each_version
@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_502_and_others_on_its_connection_go_on(bad_backend, name, version):
    case = BadCase(bad_backend, f"/answer/{list(BAD_ANSWERS).index(name)}", version)
    assert (case.bad.complete, case.bad.status) == (True, 502)
    assert case.asking.get().text == "served"
    case.seen.wait(lambda: case.seen.error is not None, "RST_STREAM")
    assert case.seen.error in codes(BAD_ANSWERS[name][1])
    case.other_stream.send(b"the rest", ends=True)
    assert case.other_stream.answer().text == "served"
    assert case.seen.connection.goaways == []
    case.client.close()


@by_each_version
@pytest.mark.parametrize("name", BAD_CONNECTIONS)
def test_a_bad_connection_fails_what_is_on_it_and_is_replaced(bad_backend, name, version):
    case = BadCase(bad_backend, f"/connection/{list(BAD_CONNECTIONS).index(name)}", version)
    case.assert_never_whole()
    assert case.other_stream.answer().status == 502  # half of it had been sent
    connection = case.seen.connection
    connection.wait(lambda: connection.over, "the end")
    assert connection.goaways[-1][1] in codes(BAD_CONNECTIONS[name][1])
    assert case.client.get().status == 200
    case.client.close()


MORE_THAN_LENGTH = "8.1.1 more content than content-length"
CUT_ANSWERS = {
    MORE_THAN_LENGTH: says(("content-length", "5"), ends=False, then=[of(DATA, 0, b"hello"), of(DATA, END_STREAM, b"!")]),
    "8.1.1 less content than content-length": says(("content-length", "5"), ends=False, then=[of(DATA, END_STREAM, b"hell")]),
    "8.1 a head that does not end the stream": says(ends=False, then=[of(DATA, 0, b"x"), of(HEADERS, END_HEADERS, literals(("x", "y")))]),
    "8.1 :status in trailers": says(ends=False, then=[of(DATA, 0, b"x"), of(HEADERS, END_HEADERS | END_STREAM, OK)]),
    "8.1 an upper-case name in trailers": says(ends=False, then=[of(DATA, 0, b"x"), of(HEADERS, END_HEADERS | END_STREAM, literals(("X", "y")))]),
    "8.1 CR LF in trailers": says(ends=False, then=[of(DATA, 0, b"x"), of(HEADERS, END_HEADERS | END_STREAM, literals(("x", "y\r\nz: a")))]),
    "5.4.2 RST_STREAM": says(ends=False, then=[of(DATA, 0, b"x"), of(RST_STREAM, 0, number(INTERNAL_ERROR))]),
}
SCRIPTS |= {f"/cut/{index}": script for index, script in enumerate(CUT_ANSWERS.values())}


@by_each_version
@pytest.mark.parametrize("name", CUT_ANSWERS)
def test_an_answer_that_goes_wrong_behind_its_head_is_never_whole(bad_backend, name, version):
    case = BadCase(bad_backend, f"/cut/{list(CUT_ANSWERS).index(name)}", version)
    if version == HTTP1 and name == MORE_THAN_LENGTH and case.bad.complete:
        assert case.bad.text == "hello"  # which was whole, by its length, before more came
    else:
        case.assert_never_whole()
    case.other_stream.send(b"the rest", ends=True)
    assert case.other_stream.answer().text == "served"
    case.client.close()
