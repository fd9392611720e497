"""What one end of an HTTP/2 connection has to keep, whatever carries it: HPACK, windows, and what came on each stream."""

import itertools
import struct
import threading

import hpack

from support.http2_frames import *  # noqa: F403
from support.wire import Closed, Malformed, Message, Request, Response


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
        self.ended = False      # it was sent
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
    host = property(lambda self: self.pseudo[":authority"])
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

    def read_response(self, method="GET"):
        """The whole answer."""
        self.read_head().read_body()
        return self

    def is_silent(self, seconds=0.1):
        """True if nothing of an answer comes within this time."""
        self.connection.takes_more(seconds)
        return self.fields is None and not self.is_over

    def is_closed(self):
        """Waits until the other gives the stream up, or ends the connection."""
        self.wait(lambda: self.error is not None or self.cut, "the other gives it up")
        return True

    # What is sent.

    def send_head(self, status=200, fields=(), *, ends=False):
        self.send_fields([(":status", str(status)), *((name.lower(), value) for name, value in pairs(fields))], ends)

    def send_fields(self, fields, ends=False):
        self.ended = self.ended or ends
        self.connection.send_fields(self.number, fields, ends)

    def send(self, data=b"", *, ends=False):
        """As the windows let it. Does nothing more once the stream was reset."""
        self.ended = self.ended or ends
        self.connection.send_data(self, data, ends)

    def send_trailers(self, fields):
        self.send_fields([(name.lower(), value) for name, value in pairs(fields)], True)

    def reset(self, error=CANCEL):
        self.error_sent = error
        self.connection.send_frame(RST_STREAM, 0, self.number, number(error))

    def close(self):
        """Gives it up, where anything is left of it."""
        if not (self.complete and self.ended or self.cut or self.error is not None or self.error_sent is not None):
            self.reset()

    def go_away(self, error=NO_ERROR):
        """Of this connection no request is answered, this one neither."""
        self.connection.send_frame(GOAWAY, 0, 0, number(0) + number(error))
        self.connection.close()

    def reply(self, status=200, fields=(), body=b"", *, reason=None, chunks=None, trailers=(), length=True):
        """A whole answer, unless nobody wants it any more."""
        if self.error is not None:
            return
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


class Session:
    """It sends any frame that it is told to, right or wrong, and answers SETTINGS and PING and opens windows as content comes, unless it is
    told not to. Nothing that came is repaired. Whoever carries it sends what send() is given, hands frames to take_frame(), and waits."""

    def __init__(self, settings=()):
        self.turn = threading.Condition(threading.RLock())
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

    def end(self):
        with self.turn:
            self.over = True
            for stream in self.streams.values():
                stream.cut = stream.cut or not stream.is_over
            self.turn.notify_all()

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


class Asking(Session):
    """A client's end."""

    def begin(self, scheme="http", *, speaks=True):
        """Says nothing at first where it does not `speaks`."""
        self.scheme = scheme
        self.numbers = itertools.count(1, 2)
        if speaks:
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


class Serving(Session):
    """A server's end. Whoever has one says what serve() does with a request whose head has come."""

    latest = 0   # stream that came
    last = None  # that is looked at, once the client was told to go away

    def take_head(self, number, fields, ends):
        if number in self.streams:
            return super().take_head(number, fields, ends)
        stream = self.streams[number] = Stream(self, number)
        stream.add_head(fields, ends)
        self.latest = number
        if self.last is None or number <= self.last:
            self.serve(stream)

    def go_away(self):
        """What has come is served, and nothing that comes later."""
        with self.turn:
            if self.last is not None:
                return
            self.last = self.latest
            self.send_frame(GOAWAY, 0, 0, number(self.last) + number(NO_ERROR))
