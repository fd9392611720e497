"""Connections of HTTP/2 of which there may be thousands: of each its socket is kept and nothing else, so they say only what was made before."""

import functools

import hpack

from support.http2 import ACK, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, request_fields


@functools.cache
def opening(targets, fields=(), scheme="http", settings=b""):
    """Of a client that asks for all of these at once; `fields` are pairs."""
    encoder = hpack.Encoder()
    heads = [encoder.encode(request_fields("GET", target, fields, scheme=scheme)) for target in targets]
    return PREFACE + frame(SETTINGS, payload=settings) + b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * index, head) for index, head in enumerate(heads))


def read_exactly(sock, size):
    came = b""
    while len(came) < size:
        piece = sock.recv(size - len(came))
        if not piece:
            raise ConnectionError("the connection ended")
        came += piece
    return came


def read_answers(sock, count):
    """Until so many streams have ended; says yes to what the server would like."""
    while count:
        head = read_exactly(sock, 9)
        read_exactly(sock, int.from_bytes(head[:3], "big"))
        kind, flags = head[3], head[4]
        if kind == SETTINGS and not flags & ACK:
            sock.sendall(frame(SETTINGS, ACK))
        count -= bool(int.from_bytes(head[5:], "big") and flags & END_STREAM)
    return sock
