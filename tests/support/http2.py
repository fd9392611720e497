"""HTTP/2 over a raw socket, frame by frame: a client of Limpet's, and a scripted backend."""

import select
import ssl
import threading
import time

from support.backend import Accepted, Backend, answer_by_name
from support.client import connect
from support.http2_frames import *  # noqa: F401, F403  (who speaks HTTP/2 needs these)
from support.http2_stream import Asking, Serving, Session
from support.tls import context
from support.wire import PATIENCE, Closed, Malformed, Wire


class Peer(Session, Wire):
    """One end of a connection. Without a reader of its own, whoever waits reads."""

    def __init__(self, sock, settings=()):
        Wire.__init__(self, sock)
        Session.__init__(self, settings)
        self.reader = None  # the thread that reads, if it is always the same

    def send(self, *pieces, pause=0.0):
        with self.turn:
            super().send(*pieces, pause=pause)

    def has_pending(self):
        """Bytes that TLS has opened already."""
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def _fill(self, most=65536):
        if not isinstance(self.sock, ssl.SSLSocket) or self.reader is None:
            return super()._fill(most)
        # Two threads at once are too many for OpenSSL.
        if not self.has_pending():
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


class Http2Client(Asking, Peer):
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
        self.begin("https" if tls else "http", speaks=begins)

    def request(self, method="GET", target="/", fields=(), body=None, **how):
        return self.open(method, target, fields, body, **how).answer()

    def try_request(self, *request, **how):
        """The same; None where nothing of an answer came."""
        stream = self.request(*request, **how)
        return stream if stream.fields is not None else None

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)

    def ping(self):
        """Until all that was sent before has been looked at."""
        before = self.pongs
        self.send_frame(PING, payload=b"limpets!")
        assert self.wait(lambda: self.pongs > before, "an answer to PING"), f"the connection ended: {self.goaways}"

    def takes_more(self, seconds=0):
        """Whether requests may begin here, by all that has come, or comes within this time."""
        while not self.over and (self.buffer or self.has_pending() or select.select([self.sock], [], [], seconds)[0]):
            try:
                self.step()
            except Closed:
                break
        return not self.over and not self.goaways

    def goodbye(self, patience=PATIENCE):
        """Waits for the connection's end, and says which error was told last, or None."""
        self.wait(lambda: self.over, "the connection's end", patience)
        return self.goaways[-1][1] if self.goaways else None


class Http2BackendConnection(Accepted, Serving, Peer):
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

    def serve(self, stream):
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

    def go_away(self):
        """Takes no more on the connections that there are, and finishes what it has."""
        for connection in self.open_connections:
            connection.go_away()

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
