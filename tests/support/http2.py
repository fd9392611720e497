"""HTTP/2 over a raw socket, frame by frame: a client of Limpet's, and a scripted backend.

A Peer keeps what both ends have to keep (HPACK, windows, what came on each stream), and sends any frame that it is told to, right or
wrong. It answers SETTINGS and PING and opens windows as content comes, unless it is told not to. Nothing that came is repaired.
"""

import itertools
import select
import ssl
import struct
import threading
import time

import hpack

from support.backend import Accepted, Backend, answer_by_name
from support.client import HOST, connect
from support.tls import context
from support.wire import PATIENCE, Closed, Malformed, Message, Request, Response, Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Frames, their flags, settings and errors (RFC 9113, sections 6 and 7; RFC 8441; RFC 9218).
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


class Stream(Message):
    """What came on one stream, and what is sent on it. To a backend it is the request and the connection that a handler is called with."""

    cookies, set_cookies = Request.cookies, Response.set_cookies

    def __init__(self, connection, number):  # without Message's, which reads a head of HTTP/1.1
        self.connection, self.number = connection, number
        self.fields = None      # of the final head, once that has come
        self.pseudo = {}
        self.interim = []       # heads before it, as dicts
        self.trailers = []
        self.body = bytearray()
        self.frames = []        # sizes of DATA
        self.complete = False   # END_STREAM came
        self.error = None       # of RST_STREAM, once that came
        self.error_sent = None
        self.is_answered = False  # for a handler to say
        self.cut = False        # the connection ended before the stream
        self.window = connection.settings.get(INITIAL_WINDOW_SIZE, WINDOW)
        self.unread = 0         # bytes of the peer's window that were not opened again

    # What came.

    @property
    def is_over(self):
        return self.complete or self.error is not None or self.cut

    @property
    def status(self):
        return int(self.pseudo[":status"])

    method = property(lambda self: self.pseudo[":method"])
    target = property(lambda self: self.pseudo[":path"])
    backend = property(lambda self: self.connection.backend)
    checks = property(lambda self: self.connection.checks)

    def add_head(self, fields, ends):
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        others = [(name, value) for name, value in fields if not name.startswith(":")]
        if self.fields is not None:
            self.trailers = others
        elif pseudo.get(":status", "200").startswith("1"):
            self.interim.append({**pseudo, **dict(others)})
        else:
            self.pseudo, self.fields = pseudo, others
        self.complete = self.complete or ends

    def wait(self, condition, what="that"):
        self.connection.wait(condition, lambda: f"{what} on stream {self.number}: {self.__dict__}")
        return self

    def read_head(self):
        self.wait(lambda: self.fields is not None or self.is_over, "a head")
        if self.fields is None:
            raise Closed(message=self)
        return self

    def read_body(self, sink=None):
        """All of it."""
        self.wait(lambda: self.is_over, "the end")
        if not self.complete:
            raise Closed(self.body, self)
        return bytes(self.body)

    def read_some(self, least=1):
        """Waits for so many bytes, and takes what there is; b"" at the end."""
        self.wait(lambda: len(self.body) >= least or self.is_over, "content")
        taken = bytes(self.body)
        self.body.clear()
        return taken

    def answer(self):
        """Waits for the end, whatever that is."""
        return self.wait(lambda: self.is_over, "the end")

    # What is sent.

    def send_head(self, status=200, fields=(), *, ends=False):
        self.send_fields([(":status", str(status)), *((name.lower(), value) for name, value in pairs(fields))], ends)

    def send_fields(self, fields, ends=False):
        self.connection.send_fields(self.number, fields, ends)

    def send(self, data=b"", *, ends=False):
        """As the windows let it. Does nothing more once the stream was reset."""
        self.connection.send_data(self, data, ends)

    def send_trailers(self, fields):
        self.send_fields([(name.lower(), value) for name, value in pairs(fields)], True)

    def reset(self, error=CANCEL):
        self.error_sent = error
        self.connection.send_frame(RST_STREAM, 0, self.number, number(error))

    def go_away(self, error=NO_ERROR):
        """Of this connection no request is answered, this one neither."""
        self.connection.send_frame(GOAWAY, 0, 0, number(0) + number(error))
        self.connection.close()

    def reply(self, status=200, fields=(), body=b"", *, reason=None, chunks=None, trailers=(), length=True):
        """A whole answer."""
        body = b"".join(chunks) if chunks is not None else body
        fields = [("x-backend", self.backend.name), *pairs(fields)]
        if length and chunks is None and not trailers and status >= 200 and status not in (204, 304):
            fields.append(("content-length", str(len(body))))
        is_head = self.method == "HEAD" or status in (204, 304)
        self.send_head(status, fields, ends=is_head or not body and not trailers)
        if is_head:
            return
        if body:
            self.send(body, ends=not trailers)
        if trailers:
            self.send_trailers(trailers)


class Peer(Wire):
    """One end of a connection. Without a reader of its own, whoever waits reads."""

    def __init__(self, sock, settings=()):
        super().__init__(sock)
        self.turn = threading.Condition(threading.RLock())
        self.reader = None          # the thread that reads, if it is always the same
        self.own = dict(settings)   # what it says in its SETTINGS
        self.settings = {}          # what the other says
        self.streams = {}
        self.window = WINDOW        # what may be sent
        self.unread = 0
        self.acks, self.opens = True, True  # SETTINGS and PING; windows
        self.goaways = []           # (last stream, error)
        self.pongs = 0
        self.acked = 0              # own SETTINGS
        self.came = []              # (kind, flags, stream) of each frame
        self.over = False
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.block = None           # (stream, ends, bytes) of a head that is not whole

    # Sending.

    def send(self, *pieces, pause=0.0):
        with self.turn:
            super().send(*pieces, pause=pause)

    def send_frame(self, kind, flags=0, stream=0, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    def send_settings(self):
        self.send_frame(SETTINGS, payload=b"".join(setting(key, value) for key, value in self.own.items()))

    def send_fields(self, stream, fields, ends=False):
        with self.turn:
            self.send_block(stream, self.encoder.encode(fields), ends)

    def send_block(self, stream, block, ends=False):
        """In as many frames as it needs."""
        largest = self.settings.get(MAX_FRAME_SIZE, LARGEST_FRAME)
        parts = [block[at:at + largest] for at in range(0, len(block), largest)] or [b""]
        flags = [(END_STREAM if ends else 0) if index == 0 else 0 for index in range(len(parts))]
        flags[-1] |= END_HEADERS
        self.send(b"".join(frame(HEADERS if index == 0 else CONTINUATION, flags[index], stream, part) for index, part in enumerate(parts)))

    def send_data(self, stream, data, ends=False):
        data = memoryview(data)
        while True:
            if len(data):
                self.wait(lambda: min(stream.window, self.window) > 0 or stream.error is not None or self.over, lambda: f"a window for stream {stream.number}")
            with self.turn:
                if stream.error is not None:
                    return
                size = min(len(data), max(0, min(stream.window, self.window)), LARGEST_FRAME)
                if size == 0 and len(data):
                    if self.over:
                        raise Closed(message=stream)
                    continue
                stream.window -= size
                self.window -= size
                is_last = size == len(data)
                self.send_frame(DATA, END_STREAM if ends and is_last else 0, stream.number, bytes(data[:size]))
            data = data[size:]
            if is_last:
                return

    def open_window(self, stream, size):
        """By so many bytes; `stream` may be 0, the connection's."""
        self.send_frame(WINDOW_UPDATE, 0, getattr(stream, "number", stream), number(size))

    # Receiving.

    def _fill(self, most=65536):
        if not isinstance(self.sock, ssl.SSLSocket) or self.reader is None:
            return super()._fill(most)
        # Two threads at once are too many for OpenSSL.
        if not self.sock.pending():
            select.select([self.sock], [], [])
        with self.turn:
            super()._fill(most)

    def read_frame(self):
        """The next, as (kind, flags, stream, payload)."""
        head = self.read_exactly(9)
        payload = self.read_exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def step(self):
        """Reads one frame, and does what it asks for."""
        try:
            came = self.read_frame()
        except Closed:
            self.end()
            raise
        with self.turn:
            self.take_frame(*came)
            self.turn.notify_all()

    def end(self):
        with self.turn:
            self.over = True
            for stream in self.streams.values():
                stream.cut = not stream.is_over
            self.turn.notify_all()

    def wait(self, condition, what="that", patience=PATIENCE):
        """Until it is so, or the connection's end: then whoever asked has to look."""
        end = time.monotonic() + patience
        describe = lambda: f"did not happen: {what() if callable(what) else what}; frames {self.came[-20:]}, {self.goaways}"  # noqa: E731
        if self.reader is None:
            while not condition():
                assert time.monotonic() < end, describe()
                try:
                    self.step()
                except Closed:
                    return condition()
            return True
        with self.turn:
            happened = self.turn.wait_for(lambda: condition() or self.over, patience)
            assert happened, describe()
            return condition()

    def take_frame(self, kind, flags, on, payload):
        self.came.append((kind, flags, on))
        if self.block is not None and (kind != CONTINUATION or on != self.block[0]):
            raise Malformed(f"frame {kind} within a head")
        if kind == DATA:
            return self.take_data(flags, on, payload)
        if kind == HEADERS:
            payload = self.unpadded(flags, payload)
            self.block = (on, bool(flags & END_STREAM), payload[5:] if flags & WITH_PRIORITY else payload)
        elif kind == CONTINUATION:
            self.block = (*self.block[:2], self.block[2] + payload)
        elif kind == RST_STREAM:
            if on in self.streams:
                self.streams[on].error = int.from_bytes(payload, "big")
        elif kind == SETTINGS and flags & ACK:
            self.acked += 1
        elif kind == SETTINGS:
            self.take_settings(payload)
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == PING:
            if self.acks:
                self.send_frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            last, error = struct.unpack("!II", payload[:8])
            self.goaways.append((last, error))
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(payload, "big")
            if on == 0:
                self.window += size
            elif on in self.streams:
                self.streams[on].window += size
        if kind in (HEADERS, CONTINUATION) and flags & END_HEADERS:
            (number, ends, block), self.block = self.block, None
            decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.decoder.decode(block, raw=True)]
            self.take_head(number, decoded, ends)

    @staticmethod
    def unpadded(flags, payload):
        return payload[1:len(payload) - payload[0]] if flags & PADDED else payload

    def take_settings(self, payload):
        before = self.settings.get(INITIAL_WINDOW_SIZE, WINDOW)
        self.settings.update(struct.iter_unpack("!HI", payload))
        for stream in self.streams.values():
            stream.window += self.settings.get(INITIAL_WINDOW_SIZE, WINDOW) - before
        self.encoder.header_table_size = min(self.settings.get(HEADER_TABLE_SIZE, 4096), 4096)
        if self.acks:
            self.send_frame(SETTINGS, ACK)

    def take_data(self, flags, on, payload):
        stream = self.streams[on]
        content = self.unpadded(flags, payload)
        stream.body += content
        stream.frames.append(len(content))
        stream.complete = stream.complete or bool(flags & END_STREAM)
        self.unread += len(payload)
        stream.unread += len(payload)
        if self.opens and payload:
            self.open_window(0, self.unread)
            self.unread = 0
            if not stream.complete:
                self.open_window(stream, stream.unread)
                stream.unread = 0

    def take_head(self, number, fields, ends):
        self.streams[number].add_head(fields, ends)


class Http2Client(Peer):
    """One connection to Limpet, over TLS where `tls`, a client's context, is given. Says nothing at first where it does not `begins`."""

    def __init__(self, address, tls=None, name="shop.test", preface=b"", source=None, receive_buffer=None, settings=(), begins=True):
        sock = connect(address, receive_buffer, source)
        if preface:
            sock.sendall(preface)
        if tls:
            try:
                sock = tls.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
                assert sock.selected_alpn_protocol() == "h2"
            except BaseException:
                sock.close()
                raise
        super().__init__(sock, settings)
        self.scheme = "https" if tls else "http"
        self.numbers = itertools.count(1, 2)
        if begins:
            self.send(PREFACE)
            self.send_settings()

    def stream(self):
        """The next, on which nothing was sent."""
        made = Stream(self, next(self.numbers))
        self.streams[made.number] = made
        return made

    def open(self, method="GET", target="/", fields=(), body=None, *, ends=True, **how):
        """Begins a request; with a `body`, the whole one."""
        stream = self.stream()
        how.setdefault("scheme", self.scheme)
        stream.send_fields(request_fields(method, target, fields, **how), ends and body is None)
        if body is not None:
            stream.send(body, ends=ends)
        return stream

    def open_block(self, block, ends=True):
        """Begins a request whose head is these bytes."""
        stream = self.stream()
        self.send_block(stream.number, block, ends)
        return stream

    def request(self, method="GET", target="/", fields=(), body=None, **how):
        return self.open(method, target, fields, body, **how).answer()

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)

    def ping(self):
        """Until all that was sent before has been looked at."""
        before = self.pongs
        self.send_frame(PING, payload=b"limpets!")
        assert self.wait(lambda: self.pongs > before, "an answer to PING"), f"the connection ended: {self.goaways}"

    def goodbye(self, patience=PATIENCE):
        """Waits for the connection's end, and says which error was told last, or None."""
        self.wait(lambda: self.over, "the connection's end", patience)
        return self.goaways[-1][1] if self.goaways else None


class Http2BackendConnection(Accepted, Peer):
    """One connection that Limpet made to an Http2Backend."""

    def __init__(self, sock, backend, index):
        super().__init__(sock, backend.settings)
        self.backend, self.index = backend, index
        self.requests = []
        self.checks = False

    def talk(self):
        """Until Limpet closes."""
        self.reader = threading.current_thread()
        self.sock.settimeout(None)  # an idle connection may stay idle
        first = self.read_exactly(len(PREFACE))
        if first != PREFACE:
            raise Malformed(f"no preface: {first!r}")
        self.send_settings()
        if self.backend.on_begin:
            self.backend.on_begin(self)
        while self.open:
            self.step()

    def take_head(self, number, fields, ends):
        if number in self.streams:
            return super().take_head(number, fields, ends)
        stream = self.streams[number] = Stream(self, number)
        stream.add_head(fields, ends)
        self.requests.append(stream)
        self.backend.keep(stream, self)
        thread = threading.Thread(target=self.backend.serve, args=(stream,), daemon=True)
        thread.start()


class Http2Backend(Backend):
    """A Backend that speaks HTTP/2 alone. Its handler is called with each request's Stream, twice, in a thread of its own."""

    connection_type = Http2BackendConnection

    def __init__(self, name="a", handler=answer_by_name, *, settings=(), on_begin=None, **how):
        """`settings`: what it says in its SETTINGS, numbers by numbers; `on_begin`: called with a connection once they are sent."""
        self.settings = dict(settings)
        self.on_begin = on_begin
        if how.get("tls"):
            how["tls"].set_alpn_protocols(["h2"])
        super().__init__(name, handler, **how)

    def _talk(self, connection):
        try:
            connection.talk()
        except Closed as closed:
            if closed.received and not connection.over:
                raise
        finally:
            connection.end()

    def serve(self, stream):
        try:
            self.handler(stream, stream)
        except (Closed, OSError):
            pass
        except (AssertionError, Malformed, ValueError) as error:
            if stream.connection.open:
                self.errors.append(error)


def http2_context(certificate=None, version=None):
    return context(certificate, version=version, alpn=["h2", "http/1.1"])
