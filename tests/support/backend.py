"""A scripted backend: a raw-socket server that records what it received and answers, or misbehaves, as the test says.

The handler is called with (connection, request) once a request's head is there. What it leaves undone is done for it: a body that
was not read is read, a connection that was not closed waits for the next request.
"""

import os
import socket
import ssl
import threading

from support.wire import PATIENCE, Closed, Malformed, Request, Wire, chunked, eventually, free_port, head


def answer_by_name(connection, request):
    """200 with the backend's name."""
    connection.read_body()
    connection.reply(body=connection.backend.name.encode())


class Accepted:
    """Of a connection that Limpet made: whether this end still takes part in it. Goes before what can close it."""

    open = True

    def close(self):
        self.open = False
        super().close()

    def reset(self):
        self.open = False
        super().reset()


class BackendConnection(Accepted, Wire):
    """One connection that Limpet made to the backend."""

    def __init__(self, sock, backend, index):
        super().__init__(sock)
        self.backend = backend
        self.index = index      # 0 for the backend's first connection
        self.requests = []      # heads read on this connection, in order
        self.checks = False     # Limpet, by itself
        self.request = None     # the current one
        self.received = bytearray()  # every byte, while backend.records_bytes

    def _fill(self, most=65536):
        before = len(self.buffer)
        super()._fill(most)
        if self.backend.records_bytes:
            self.received += self.buffer[before:]

    def read_head(self):
        """The next request's head, or None when Limpet closes between requests."""
        self.sock.settimeout(None)  # an idle connection may stay idle
        try:
            raw = self.read_until(b"\r\n\r\n")
        except Closed as closed:
            if closed.received:
                raise
            return None
        self.sock.settimeout(PATIENCE)
        self.request = Request(raw)
        self.requests.append(self.request)
        self.backend.keep(self.request, self)
        self.request.connection = self
        return self.request

    def read_body(self, sink=None):
        """Reads the rest of the current request's body into request.body, or hands each piece to `sink`."""
        request = self.request
        if not request.complete:
            for piece in self.body_pieces(request, request.body_framing()):
                sink(piece) if sink else request.body.extend(piece)
        return bytes(request.body)

    def reply(self, status=200, fields=(), body=b"", *, reason="OK", version="HTTP/1.1", chunks=None, trailers=(), length=True):
        """A whole answer: by length, or in chunks where `chunks` is given; without a length it is for the caller to close."""
        lines = [f"X-Backend: {self.backend.name}", *fields]
        payload = body
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
            payload = chunked(*chunks, trailers=trailers)
        elif length:
            lines.append(f"Content-Length: {len(body)}")
        self.send(head(f"{version} {status} {reason}", lines) + payload)

    def finish(self):
        """Ends the answer and waits for Limpet to close, so that unread bytes do not turn the end into a reset."""
        self.open = False
        try:
            self.half_close()
            self.read_to_end()
        except (Closed, OSError):
            pass
        super().close()


class Backend:
    """Listens from the start. `requests` and `connections` hold everything that came, in order, but Limpet's own checks: those are in
    `checks`."""

    connection_type = BackendConnection

    def __init__(self, name="a", handler=answer_by_name, *, host="127.0.0.1", path=None, on_connect=None, listening=True, tls=None, before_tls=None):
        self.name = name
        self.handler = handler
        self.on_connect = on_connect  # called with the connection before anything is read
        self.tls = tls  # an ssl.SSLContext of a server
        self.before_tls = before_tls  # called with the connection before the handshake
        self.failed_handshakes = []
        self.host = host
        self.path = path  # of a unix socket
        self.port = 0 if path else free_port()
        self.records_bytes = True
        self.requests = []
        self.checks = []
        self._connections = []
        self.errors = []  # what handlers raised, beyond Limpet closing early
        self._listener = None
        self._threads = []
        if listening:
            self.listen()

    @property
    def address(self):
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def as_table(self, **keys):
        """This backend as a [[pool.backend]] table, with further keys."""
        return {"name": self.name, "address": self.address, **keys}

    def __repr__(self):
        return f"Backend({self.name})"

    # The listening socket.

    def listen(self):
        """Accepts connections, on the same port as before."""
        if self.path:
            if os.path.exists(self.path):
                os.unlink(self.path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
        else:
            listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
        listener.listen(256)
        self._listener = listener
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def listens(self):
        return self._listener is not None

    def refuse(self):
        """Stops listening: connection attempts are refused from now on. Open connections stay."""
        if self._listener:
            listener, self._listener = self._listener, None
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def drop_connections(self, reset=False):
        """Closes every open connection, as a server that is killed does."""
        for connection in list(self._connections):
            if connection.open:
                connection.open = False
                if reset:
                    connection.shut_with_reset()
                else:
                    connection.shut()

    def die(self):
        self.refuse()
        self.drop_connections()

    def stop(self):
        self.die()
        for thread in self._threads:
            thread.join(0.5)
        for connection in self._connections:
            connection.sock.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if self._listener is not listener:
                sock.close()
                return
            connection = self.connection_type(sock, self, len(self._connections))
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _shake_hands(self, connection):
        try:
            connection.sock.settimeout(PATIENCE)
            if self.before_tls:
                self.before_tls(connection)
            connection.sock = self.tls.wrap_socket(connection.sock, server_side=True)
        except OSError as error:
            self.failed_handshakes.append(error)
            connection.open = False

    def _serve(self, connection):
        if self.tls:
            self._shake_hands(connection)
        try:
            if self.on_connect:
                self.on_connect(connection)
            self._talk(connection)
        except Closed as closed:
            if closed.message is not None:
                closed.message.cut = True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass
        except (Malformed, ValueError, AssertionError, OSError) as error:
            if connection.open:
                self.errors.append(error)
        finally:
            connection.open = False
            connection.sock.close()

    def _talk(self, connection):
        while connection.open:
            request = connection.read_head()
            if request is None:
                break
            self.handler(connection, request)
            if connection.open and not request.complete:
                connection.read_body()

    # What came.

    @property
    def bytes_received(self):
        return sum(connection.bytes_received for connection in self.connections)

    @property
    def open_connections(self):
        return [connection for connection in self.connections if connection.open]

    def keep(self, request, connection):
        connection.checks = request.get("User-Agent") == "limpet-check"
        (self.checks if connection.checks else self.requests).append(request)

    @property
    def connections(self):
        return [connection for connection in self._connections if not connection.checks]

    def wait_for_requests(self, count):
        eventually(lambda: len(self.requests) >= count, what=f"{count} requests at backend {self.name}")
        return self.requests[count - 1]

    @property
    def last(self):
        return self.requests[-1]


class Hanging:
    """An address where connecting neither succeeds nor fails: its queue of connections is full."""

    def __init__(self, name="hanging"):
        self.name = name
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._listener.getsockname())
            self._fillers.append(filler)

    def as_table(self, **keys):
        return {"name": self.name, "address": self.address, **keys}

    def stop(self):
        for sock in [*self._fillers, self._listener]:
            sock.close()
