"""A raw HTTP/1.1 client: sends the bytes it is told to, in the pieces it is told to, and reads answers as they stand."""

import ipaddress
import itertools
import socket
import struct

from support.wire import Closed, Response, Wire, chunked, head

HOST = "app.test"


def request_bytes(method="GET", target="/", fields=(), body=None, *, host=HOST, version="HTTP/1.1", chunks=None, trailers=()):
    """A whole request. `body` goes by length, `chunks` in chunks; host=None leaves the Host out."""
    lines = ([f"Host: {host}"] if host is not None else []) + list(fields)
    payload = b""
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
        payload = chunked(*chunks, trailers=trailers)
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
        payload = body
    return head(f"{method} {target} {version}", lines) + payload


_addresses = itertools.count(1)


def new_address():
    """A loopback address that no other client of this run comes from."""
    return str(ipaddress.IPv4Address("127.1.0.0") + next(_addresses))


def connect(address, receive_buffer=None, source=None):
    """`address` is (host, port), or a port of 127.0.0.1; `source`: the address to come from."""
    host, port = address if isinstance(address, tuple) else ("127.0.0.1", address)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(5)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


class Client(Wire):
    """One connection to Limpet. `preface` goes first: a PROXY protocol header. `source`: the address it comes from."""

    def __init__(self, address, preface=b"", receive_buffer=None, source=None):
        super().__init__(connect(address, receive_buffer, source))
        if preface:
            self.send(preface)

    def read_head(self, interim=None):
        """The head of the next final answer (or of a 101); 1xx before it are kept in its `interim`."""
        before = []
        while True:
            response = Response(self.read_until(b"\r\n\r\n"))
            if 100 <= response.status < 200 and response.status != 101:
                before.append(response)
                continue
            response.interim = before
            return response

    def read_interim(self):
        """The next answer, which must be a 1xx."""
        response = Response(self.read_until(b"\r\n\r\n"))
        assert 100 <= response.status < 200, f"not a 1xx: {response.raw_head!r}"
        return response

    def read_response(self, method="GET"):
        response = self.read_head()
        for piece in self.body_pieces(response, response.body_framing(method)):
            response.body.extend(piece)
        return response

    def request(self, method="GET", target="/", fields=(), body=None, **how):
        """Sends a request and reads its answer."""
        self.send(request_bytes(method, target, fields, body, **how))
        return self.read_response(method)

    def try_request(self, *request, **how):
        """The same; what came of an answer that was cut, or None where nothing did."""
        try:
            return self.request(*request, **how)
        except Closed as closed:
            return closed.message

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)


class Browser:
    """Keeps cookies between requests, each on a connection of its own unless keep_alive. Comes from an address of its own, or from
    `source`: what one address asks for without a key goes to one backend for a while. It may change between HTTP/1.1 and HTTP/2."""

    def __init__(self, limpet, preface=b"", keep_alive=False, source=None, listener=None, http2=False):
        self.limpet = limpet
        self.http2 = http2
        self.listener = listener
        self.preface = preface
        self.source = source or new_address()
        self.jar = {}
        self.keep_alive = keep_alive
        self._client = None

    def request(self, method="GET", target="/", fields=(), body=None, **how):
        lines = list(fields)
        if self.jar:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.jar.items()))
        come = self.limpet.http2 if self.http2 else self.limpet.client
        client = self._client or come(self.listener, preface=self.preface, source=self.source)
        response = client.request(method, target, lines, body, **how)
        for name, (value, attributes) in response.set_cookies.items():
            if attributes.get("max-age") == "0":
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        self._client = client if self.keep_alive else None
        if not self.keep_alive:
            client.close()
        return response

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)


# The PROXY protocol's headers (haproxy.org/download/2.6/doc/proxy-protocol.txt).

PROXY_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def proxy_v1(source, destination="127.0.0.1", source_port=40000, destination_port=80):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def proxy_v2(source=None, destination=None, source_port=40000, destination_port=80, *, command=1, extensions=b""):
    """Without a source: command LOCAL, as a health check sends it."""
    if source is None:
        return PROXY_V2_SIGNATURE + bytes([0x20, 0x00]) + struct.pack("!H", 0)
    address = ipaddress.ip_address(source)
    other = ipaddress.ip_address(destination or ("127.0.0.1" if address.version == 4 else "::1"))
    block = address.packed + other.packed + struct.pack("!HH", source_port, destination_port) + extensions
    family = 0x11 if address.version == 4 else 0x21
    return PROXY_V2_SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(block)) + block
