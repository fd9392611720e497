"""HTTP/1.1 messages over a raw socket, for the scripted backend and the raw client alike.

Reads exactly what is on the wire and keeps it: every Message has the bytes of its head and says how its body was framed. It parses
no more than it must, and never repairs anything: what cannot be read raises, with what had arrived until then.
"""

import functools
import os
import random
import socket
import struct
import time

PATIENCE = 6.0  # seconds after which a silent peer fails the test that waits for it


class Closed(Exception):
    """The peer closed (or reset) the connection before what was asked for had arrived."""

    def __init__(self, received=b"", message=None, was_reset=False):
        super().__init__(f"closed by the peer after {bytes(received[:200])!r}")
        self.received = bytes(received)
        self.message = message  # the Message whose body was cut, if any
        self.was_reset = was_reset


class Malformed(Exception):
    """What arrived is not HTTP/1.1."""


def eventually(condition, patience=PATIENCE, what=None):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {patience} s: {what() if callable(what) else what or condition}")
        time.sleep(0.002)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Ports:
    """Ports for servers that will be started: of a range that no other process of tests takes from, none again before all were had."""

    # Below those that the kernel gives to outgoing connections.
    FIRST, EACH, RANGES = 10000, 1375, 16

    def __init__(self):
        self.mine = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # has the range's name for as long as this process lives
        for number in range(self.RANGES):
            try:
                self.mine.bind(f"\0limpet-tests-ports-{number}")
                break
            except OSError:
                continue
        else:
            raise AssertionError("too many processes of tests at once")
        self.first = self.FIRST + number * self.EACH
        self.last = random.Random(os.urandom(8)).randrange(self.EACH)  # not where the process before has just ended

    def take(self):
        for _ in range(self.EACH):
            self.last = (self.last + 1) % self.EACH
            port = self.first + self.last
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                    return port
                except OSError:
                    continue
        raise AssertionError("no free port")


@functools.cache
def ports():
    return Ports()


def free_port():
    return ports().take()


class Message:
    """One request or response: its head as it came, and its body once that is read."""

    def __init__(self, raw_head):
        self.raw_head = bytes(raw_head)
        lines = self.raw_head.decode("latin-1").split("\r\n")
        self.start_line = lines[0]
        self.fields = []
        for line in lines[1:]:
            if not line:
                continue
            name, colon, value = line.partition(":")
            if not colon:
                raise Malformed(f"field line without a colon: {line!r}")
            self.fields.append((name, value.strip(" \t")))
        self.body = bytearray()
        self.trailers = []
        self.chunks = []      # sizes, where the body came in chunks
        self.framing = None   # "none", "length", "chunked" or "close", once the body is begun
        self.complete = False
        self.interim = []     # responses: the 1xx that came before this one

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def has(self, name):
        return bool(self.all(name))

    def tokens(self, name):
        """The elements of a comma-separated field, in lower case."""
        return [token.strip().lower() for value in self.all(name) for token in value.split(",") if token.strip()]

    @property
    def text(self):
        return bytes(self.body).decode("latin-1")


class Request(Message):
    def __init__(self, raw_head):
        super().__init__(raw_head)
        self.method, self.target, self.version = self.start_line.split(" ")

    @property
    def host(self):
        return self.get("Host")

    @property
    def cookies(self):
        pairs = [pair.strip().partition("=") for value in self.all("Cookie") for pair in value.split(";") if pair.strip()]
        return {name: value for name, _, value in pairs}

    def body_framing(self):
        if self.has("Transfer-Encoding"):
            return "chunked"
        return "length" if self.has("Content-Length") else "none"


class Response(Message):
    def __init__(self, raw_head):
        super().__init__(raw_head)
        parts = self.start_line.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/"):
            raise Malformed(f"not a status line: {self.start_line!r}")
        self.version, self.status = parts[0], int(parts[1])
        self.reason = parts[2] if len(parts) > 2 else None

    @property
    def set_cookies(self):
        """name -> (value, {attribute in lower case: value})"""
        cookies = {}
        for line in self.all("Set-Cookie"):
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, _, value = pair.partition("=")
            cookies[name] = (value, {key.lower(): rest for key, _, rest in (part.partition("=") for part in attributes)})
        return cookies

    def body_framing(self, method="GET"):
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            return "none"
        if self.has("Transfer-Encoding"):
            return "chunked"
        return "length" if self.has("Content-Length") else "close"


class Wire:
    """A connected socket with a read buffer. Every blocking call gives up after PATIENCE."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.bytes_received = 0
        self.ended = False  # the peer's end of stream has been read
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # Reading.

    def _fill(self, most=65536):
        try:
            data = self.sock.recv(most)
        except (ConnectionResetError, BrokenPipeError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise AssertionError(f"nothing came within {PATIENCE} s; before it {bytes(self.buffer[:200])!r}") from None
            raise Closed(self.buffer, was_reset=True) from None
        if not data:
            self.ended = True
            raise Closed(self.buffer)
        self.bytes_received += len(data)
        self.buffer += data

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            self._fill()
        return self.take(at + len(mark))

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self._fill()
        return self.take(count)

    def read_some(self, most=65536):
        """Whatever comes next, at least one byte; b"" at the end of the stream."""
        if not self.buffer:
            try:
                self._fill(most)
            except Closed as closed:
                if closed.was_reset:
                    raise
                return b""
        return self.take(most)

    def read_to_end(self):
        """Everything until the peer closes."""
        while not self.ended:
            try:
                self._fill()
            except Closed as closed:
                if closed.was_reset:
                    raise
        return self.take(len(self.buffer))

    def is_silent(self, seconds=0.1):
        """True if nothing arrives, and the peer does not close, for this long."""
        if self.buffer or self.ended:
            return False
        self.sock.settimeout(seconds)
        try:
            self._fill()
            return False
        except AssertionError:
            return True
        except Closed:
            return False
        finally:
            self.sock.settimeout(PATIENCE)

    def is_closed(self):
        """Waits for the peer to close; true if it does so without sending anything more. A reset counts."""
        try:
            return self.read_to_end() == b""
        except Closed as closed:
            return not closed.received

    def body_pieces(self, message, framing):
        """Yields the body as it arrives; fills in framing, chunks, trailers and complete."""
        message.framing = framing
        try:
            if framing == "length":
                left = int(message.get("Content-Length"))
                while left:
                    if not self.buffer:
                        self._fill(262144)
                    piece = self.take(min(left, len(self.buffer)))
                    left -= len(piece)
                    yield piece
            elif framing == "chunked":
                yield from self._chunks(message)
            elif framing == "close":
                while piece := self.read_some():
                    yield piece
        except Closed as closed:
            closed.message = message
            raise
        message.complete = True

    def _chunks(self, message):
        while True:
            line = self.read_until(b"\r\n")[:-2]
            size_text = line.split(b";")[0].strip()
            if not size_text or size_text.strip(b"0123456789abcdefABCDEF"):
                raise Malformed(f"not a chunk size: {line!r}")
            size = int(size_text, 16)
            if size == 0:
                break
            message.chunks.append(size)
            left = size
            while left:
                if not self.buffer:
                    self._fill(262144)
                piece = self.take(min(left, len(self.buffer)))
                left -= len(piece)
                yield piece
            if self.read_exactly(2) != b"\r\n":
                raise Malformed("a chunk does not end with CRLF")
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            name, _, value = line[:-2].decode("latin-1").partition(":")
            message.trailers.append((name, value.strip()))

    # Writing.

    def send(self, *pieces, pause=0.0):
        """Sends each piece by itself, with a pause between them so that they arrive apart."""
        for index, piece in enumerate(pieces):
            if index and pause:
                time.sleep(pause)
            self.sock.sendall(piece)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def shut_with_reset(self):
        """As shut(), but what the peer sees is RST, once the waiting thread has closed the socket."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass

    def shut(self):
        """Wakes whichever thread waits on this connection."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def chunked(*pieces, trailers=()):
    """The chunked coding of these pieces, each a chunk of its own."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return out + b"0\r\n" + b"".join(line.encode("latin-1") + b"\r\n" for line in trailers) + b"\r\n"


def head(start_line, fields=()):
    """The bytes of a head: the start line and "Name: value" lines."""
    return ("\r\n".join([start_line, *fields]) + "\r\n\r\n").encode("latin-1")
