"""Clients and backends that do anything at all, at random; over HTTP/1.1, and over HTTP/2, where what they do is of one stream, or of one
client's connection: what spoils a backend's connection spoils what others have there.
"""

import time

from support.client import request_bytes
from support.http2 import (
    CANCEL, CONTINUATION, DATA, END_STREAM, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, PRIORITY_UPDATE, REFUSED_STREAM, SETTINGS, WINDOW_UPDATE, frame, literals, number)
from support.wire import Closed, Malformed, head

OK = head("HTTP/1.1 200 OK", ["Content-Length: 5"]) + b"hello"
CHUNKED = head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"])


def misbehaving_backend(chance):
    """A handler that behaves well for /good and else does anything at all."""
    deeds = [
        lambda c: c.close(),
        lambda c: c.reset(),
        lambda c: (c.send(OK[:chance.randrange(len(OK))]), c.close()),
        lambda c: (c.send(OK[:chance.randrange(len(OK))]), c.reset()),
        lambda c: (c.send(OK + OK), c.finish()),
        lambda c: (c.send(OK), c.close()),
        lambda c: c.send(OK),
        lambda c: (c.send(CHUNKED + b"5\r\nhello\r\n"), c.reset()),
        lambda c: (c.send(CHUNKED + b"5\r\nhelloX"), c.close()),
        lambda c: (c.send(b"\x00nonsense\r\n\r\n"), c.close()),
        lambda c: (c.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc"), c.close()),
        lambda c: (c.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3), c.close()),
        lambda c: (c.send(head("HTTP/1.1 200 OK", []) + b"x" * 100_000), c.close()),
        lambda c: (c.send(head("HTTP/1.1 200 OK", ["Content-Length: 300000"]) + b"x" * 299_999), c.reset()),
        lambda c: (c.read_body(), c.send(OK)),
        lambda c: (time.sleep(0.02), c.read_body(), c.send(OK)),
        lambda c: (c.read_body(), c.reply(chunks=[b"x" * 50_000] * 5, trailers=["X: y"])),
        lambda c: (time.sleep(0.3), c.close()),
    ]

    def handler(connection, request):
        if request.target == "/good":
            connection.read_body()
            connection.reply(body=b"good")
        else:
            chance.choice(deeds)(connection)

    return handler


def misbehaving_client(chance):
    upgrade = request_bytes(fields=["Connection: Upgrade", "Upgrade: x"])
    requests = [
        request_bytes(), request_bytes() * 5, request_bytes("HEAD") * 2, request_bytes(version="HTTP/1.0"), upgrade, upgrade + b"early",
        request_bytes("POST", body=b"x" * 10), request_bytes("POST", body=b"x" * 200_000), request_bytes("POST", chunks=[b"x" * 1000] * 20, trailers=["X: y"]),
        request_bytes("PUT", body=b"x" * 1000) + request_bytes(), request_bytes("POST", fields=["Expect: 100-continue", "Content-Length: 5"]),
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HT",
        request_bytes("POST", fields=["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\nZZ\r\n",
        request_bytes("POST", fields=["Content-Length: 100000"]) + b"x" * 10,
    ]

    def visit(limpet):
        client = limpet.client(receive_buffer=chance.choice([None, 4096]))
        try:
            data = b"".join(chance.choice(requests) for _ in range(chance.randrange(1, 4)))
            cut = chance.randrange(len(data) + 1)
            client.send(data[:cut], data[cut:], pause=chance.choice([0, 0, 0.005]))
            leave = chance.randrange(6)
            if leave == 0:
                return client.reset()
            if leave == 1:
                return client.close()
            if leave == 2:
                client.half_close()
            client.sock.settimeout(0.1)
            for _ in range(chance.randrange(1, 20)):
                if not client.sock.recv(chance.choice([100, 65536])):
                    break
        except OSError:
            pass
        finally:
            client.reset() if client.sock.fileno() >= 0 and chance.randrange(2) else client.close()

    return visit


def misbehaving_http2_backend(chance):
    """As above. What it says of itself goes away with what it has, and no more."""
    deeds = [
        lambda s: s.reset(chance.choice([CANCEL, INTERNAL_ERROR, REFUSED_STREAM])),
        lambda s: (s.send_head(200, ["Content-Length: 5"]), s.send(b"hel"), s.reset(INTERNAL_ERROR)),
        lambda s: (s.send_head(200, ["Content-Length: 5"]), s.send(b"hel", ends=True)),
        lambda s: (s.send_head(200, ["Content-Length: 5"]), s.send(b"hellohello", ends=True)),
        lambda s: (s.send_head(200), s.send(b"x" * 100_000), s.reset(CANCEL)),
        lambda s: (s.send_head(200), s.send(b"x" * 300_000), s.send_trailers(["X: y"])),
        lambda s: s.send_fields([(":status", "abc")], True),
        lambda s: s.send_fields([(":status", "200"), ("Upper", "x")], True),
        lambda s: s.send_fields([(":status", "200"), ("connection", "close"), ("transfer-encoding", "chunked")], True),
        lambda s: s.send_fields([("x", "y")], True),
        lambda s: s.send_fields([(":status", "101"), ("upgrade", "x")]),
        lambda s: ([s.send_head(103) for _ in range(3)], s.reset(CANCEL)),
        lambda s: (s.read_body(), s.reply(body=b"hello")),
        lambda s: (time.sleep(0.02), s.read_body(), s.reply(body=b"hello")),
        lambda s: (s.reply(403, body=b"early"), s.reset(0)),
        lambda s: (s.connection.go_away(), s.read_body(), s.reply()),
        lambda s: (time.sleep(0.3), s.reset(CANCEL)),
    ]

    def handler(stream, request):
        if request.target == "/good" or stream.checks:
            stream.read_body()
            stream.reply(body=b"good")
        else:
            chance.choice(deeds)(stream)

    return handler


def misbehaving_http2_client(chance):
    bad_heads = [
        [(":method", "GET")], [(":method", "GET"), (":path", "/")], [("x", "y")], [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("X", "y")],
        [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("transfer-encoding", "chunked")]]
    deeds = [
        lambda c: c.open(),
        lambda c: c.open("HEAD"),
        lambda c: c.open("POST", body=b"x" * 10),
        lambda c: c.open("POST", fields=["Content-Length: 100000"], ends=False).send(b"x" * 10),
        lambda c: c.open("POST", fields=["Content-Length: 5"], body=b"hellohello"),
        lambda c: c.open("PUT", body=b"x" * 30_000).reset(),
        lambda c: c.open("POST", fields=["Expect: 100-continue", "Content-Length: 5"], ends=False),
        lambda c: c.open("CONNECT", "/", ["Sec-WebSocket-Version: 13"], ends=False, protocol="websocket").send(b"early"),
        lambda c: c.open().reset(chance.randrange(14)),
        lambda c: c.open_block(literals(*chance.choice(bad_heads)), ends=chance.randrange(2) == 0),
        lambda c: c.open_block(chance.randbytes(20)),
        lambda c: c.send(frame(DATA, END_STREAM, 1, b"late")),
        lambda c: c.send(frame(WINDOW_UPDATE, 0, chance.randrange(4), number(chance.choice([0, 1, 2**31 - 1])))),
        lambda c: c.send(frame(SETTINGS, 0, 0, b"x" * chance.choice([0, 5, 6]))),
        lambda c: c.send(frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=9")),
        lambda c: c.send(frame(CONTINUATION, 0, 1, b"x")),
        lambda c: c.send(frame(chance.randrange(20), chance.randrange(256), chance.randrange(10), chance.randbytes(chance.randrange(40)))),
        lambda c: c.send(chance.randbytes(30)),
    ]

    def visit(limpet):
        client = limpet.http2(receive_buffer=chance.choice([None, 4096]), settings=chance.choice([{}, {INITIAL_WINDOW_SIZE: 0}, {INITIAL_WINDOW_SIZE: 100}]))
        try:
            for _ in range(chance.randrange(1, 6)):
                chance.choice(deeds)(client)
                if chance.randrange(3) == 0:
                    client.takes_more(0.02)
            client.takes_more(chance.choice([0, 0.1]))
        except (Closed, Malformed, OSError, KeyError):  # whatever it said, it may be told anything
            pass
        finally:
            client.reset() if chance.randrange(2) else client.close()

    return visit
