"""A backend that speaks HTTP/2, in the clear or by TLS: by python3-h2, so that it is nobody's code under test.

Its handler is called with (connection, request), as a Backend's is, once a request is whole; the connection is that of this request alone.
"""

import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from support.backend import Backend, answer_by_name


class Http2Request:
    def __init__(self, backend, fields):
        self.backend = backend
        self.pseudo = {name: value for name, value in fields if name.startswith(":")}
        self.fields = [(name, value) for name, value in fields if not name.startswith(":")]
        self.body = bytearray()
        self.complete = False

    def get(self, name):
        return next((value for known, value in self.fields if known == name.lower()), None)

    @property
    def method(self):
        return self.pseudo[":method"]

    @property
    def target(self):
        return self.pseudo[":path"]


class Http2Stream:
    """What a request is answered by."""

    def __init__(self, connection, session, number, request):
        self.connection, self.session, self.number, self.request = connection, session, number, request

    @property
    def backend(self):
        return self.request.backend

    def read_body(self):
        return bytes(self.request.body)

    def reply(self, status=200, fields=(), body=b"", *, trailers=()):
        head = [(":status", str(status)), *fields]
        has_content = self.request.method != "HEAD" and bool(body or trailers)
        self.session.send_headers(self.number, head, end_stream=not has_content)
        if has_content:
            self.session.send_data(self.number, body, end_stream=not trailers)
        if has_content and trailers:
            self.session.send_headers(self.number, trailers, end_stream=True)

    def reset(self, error):
        self.session.reset_stream(self.number, error)

    def go_away(self, error):
        """Of this connection no request is answered, this one neither."""
        self.session.close_connection(error, last_stream_id=0)
        self.connection.open = False


class Http2Backend(Backend):
    def __init__(self, name="a", handler=answer_by_name, **keys):
        if keys.get("tls"):
            keys["tls"].set_alpn_protocols(["h2"])
        super().__init__(name, handler, **keys)

    def _serve(self, connection):
        if self.tls:
            self._shake_hands(connection)
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        requests = {}
        try:
            connection.sock.settimeout(None)
            session.initiate_connection()
            while connection.open:
                connection.sock.sendall(session.data_to_send())
                came = connection.sock.recv(65536)
                if not came:
                    break
                events = session.receive_data(came)
                if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                    break
                for event in events:
                    self._take(event, connection, session, requests)
            connection.sock.sendall(session.data_to_send())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass
        except (h2.exceptions.ProtocolError, AssertionError, OSError) as error:
            if connection.open:
                self.errors.append(error)
        finally:
            connection.open = False
            connection.sock.close()

    def _take(self, event, connection, session, requests):
        if isinstance(event, h2.events.RequestReceived):
            requests[event.stream_id] = Http2Request(self, event.headers)
            self.keep(requests[event.stream_id], connection)
        elif isinstance(event, h2.events.DataReceived):
            requests[event.stream_id].body += event.data
            session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            request = requests.pop(event.stream_id)
            request.complete = True
            self.handler(Http2Stream(connection, session, event.stream_id, request), request)
        elif isinstance(event, h2.events.StreamReset):
            requests.pop(event.stream_id, None)
