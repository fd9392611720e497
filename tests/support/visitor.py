"""A client that knows whether it was logged out and why, and does one thing at a time."""

from support.applications import MCP
from support.client import new_address, request_bytes
from support.truth import Client
from support.wire import Closed

NO_REASON = "logged out for no reason"
BY_CHANGE, BY_RESTART = "logged out by a change of backend", "logged out by a restart"


class Lines:
    """Connections by HTTP/2, from each address one. They are kept, and whoever comes from there shares them, or they are not."""

    def __init__(self, keeps):
        self.keeps = keeps
        self.lines = {}

    def to(self, limpet, source, preface):
        """Its connection to this Limpet."""
        known = self.lines.get((limpet, source))
        if not known or not known.takes_more():
            known = self.lines[limpet, source] = limpet.http2(source=source, preface=preface)
        return known

    def leave(self, limpet, source):
        if not self.keeps:
            self.lines.pop((limpet, source)).close()


class Visitor(Client):
    """Of the application's answers it keeps the id, and of Limpet's the token. `seen` counts, beside what every client counts, `moved`:
    another server than before answered it. While it has `lines` it speaks HTTP/2, by these."""

    def __init__(self, number, kind, by_address, source=None):
        super().__init__(number, None, by_address)
        self.kind = kind
        self.source = source or new_address()
        self.boot = self.sid = None
        self.lines = None

    @property
    def held(self):
        return self.sid if self.kind.header else self.jar.get("SID")

    @property
    def has_id(self):
        return bool(self.held)

    def ask(self, limpet, method="GET", target="/"):
        """Returns the answer's status, or None where there was none."""
        statuses = self.ask_at_once(limpet, [(method, target)])
        return statuses[0]

    def ask_at_once(self, limpet, requests):
        """All are sent before an answer is read; they are taken in that order. Where it holds a session it was logged out if none of the
        answers is of that one."""
        connections = [self.send(limpet, *request) for request in requests]
        answers = [self.read(connection) for connection in connections]
        if self.lines:
            self.lines.leave(limpet, self.source)
        told, kept = [], None  # what was told; and along with the id that it holds now
        for (method, _), answer in zip(requests, answers):
            before = self.held
            if answer and (words := self.take(method, answer)):
                told.append(words)
                kept = words if self.held != before else kept
        if told:
            self.compare(*next((words for words in told if words[2] == self.nonce), kept or told[-1]))
            self.server, self.boot, self.nonce = kept or told[-1]
            if not self.has_id:
                self.nonce = None
        return [answer.status if answer else None for answer in answers]

    def leave(self, limpet):
        """It asks, and is gone before the answer."""
        return self.send(limpet, "GET", "/leave")

    def give_up(self, limpet, connection):
        connection.close()
        if self.lines:
            self.lines.leave(limpet, self.source)

    def send(self, limpet, method, target):
        """Returns the connection, or the stream."""
        body = b"x" if method == "POST" else None
        if self.lines:
            return self.lines.to(limpet, self.source, self.preface).open(method, target, self.fields(), body)
        connection = limpet.client(preface=self.preface, source=self.source)
        connection.send(request_bytes(method, target, self.fields(), body))
        return connection

    def fields(self):
        pairs = ["SID=stale"] if self.kind.stale else []
        pairs += [f"{name}={value}" for name, value in self.jar.items()]
        crumbs = pairs if self.lines else ["; ".join(pairs)] * bool(pairs)  # as browsers send them in each version
        fields = [f"Cookie: {crumb}" for crumb in crumbs] if not self.kind.header else []
        return fields + ([f"{MCP}: {self.sid}"] if self.sid else [])

    @staticmethod
    def read(connection):
        try:
            return connection.read_response()
        except Closed:
            return None
        finally:
            connection.close()

    def take(self, method, answer):
        """(server, boot, nonce) where the application answered."""
        self.seen[f"answered {answer.status}"] += 1
        if answer.status not in (200, 401, 404):
            return None
        self.take_cookies([(name.lower(), value) for name, value in answer.fields])
        if self.kind.header:
            ended = answer.status == 404 or method == "DELETE"
            self.sid = None if ended else answer.get(MCP, self.sid)
        server, boot, nonce = answer.text.split()
        return server, boot, None if nonce == "-" else nonce

    def compare(self, server, boot, nonce):
        if self.server is not None and server != self.server:
            self.seen["moved"] += 1
        if self.nonce is not None and nonce != self.nonce and (server, boot) == (self.server, self.boot):
            self.seen[NO_REASON] += 1
        else:
            super().compare(server, nonce)
