"""HTTP/2's frames, their fields and numbers (RFC 9113, sections 6 and 7; RFC 7541; RFC 8441; RFC 9218), right or wrong as a test says."""

import struct

from support.client import HOST

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)

WINDOW = 65535
LARGEST_FRAME = 16384
LARGEST_WINDOW = 2**31 - 1


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def number(value):
    """As WINDOW_UPDATE and RST_STREAM have theirs."""
    return struct.pack("!I", value)


def setting(key, value):
    return struct.pack("!HI", key, value)


def integer(value, bits, first=0):
    """RFC 7541, section 5.1; `first`: what is in its first byte besides."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    value = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(value), 7) + value


def literal(name, value):
    """A field as it stands, that no table learns (section 6.2.2)."""
    return b"\x00" + text(name) + text(value)


def literals(*fields):
    """A block of these, whatever they are."""
    return b"".join(literal(name, value) for name, value in fields)


def pairs(fields):
    """(name, value) of "Name: value" lines, as the HTTP/1.1 helpers have them; pairs stay what they are."""
    return [field if isinstance(field, tuple) else tuple(field.split(": ", 1)) for field in fields]


def request_fields(method="GET", target="/", fields=(), *, authority=HOST, scheme="http", protocol=None):
    head = [(":method", method), (":scheme", scheme), (":path", target)]
    head += [(":authority", authority)] if authority is not None else []
    head += [(":protocol", protocol)] if protocol else []
    return head + [(name.lower(), value) for name, value in pairs(fields)]
