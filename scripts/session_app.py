#!/usr/bin/env python3
"""A small application that keeps its sessions in its own memory, as many real ones do.

Run several copies behind Limpet: a login holds only while requests come back to the copy that made it.

    session_app.py --name a --port 9001
"""

import argparse
import html
import json
import secrets
import signal
import sys
import threading
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

COOKIE = "app_session"
FORM_LIMIT = 64 * 1024  # bytes

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Session app</title>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto">
<h1>{greeting}</h1>
<p>This page came from server <strong>{server}</strong>. {visits}</p>
{form}
<p>Sessions live in that server's memory alone. Reload: as long as you stay logged in, you keep reaching the server
that knows you.</p>
</body></html>
"""
LOGIN = '<form method="post" action="/login"><input name="user" placeholder="name" required> <button>Log in</button></form>'
LOGOUT = '<form method="post" action="/logout"><button>Log out</button></form>'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    wbufsize = -1  # head and body leave in one write
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        fields = parse_qs(url.query)
        if self.command == "POST":
            length = self.headers.get("Content-Length", "0")
            if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > FORM_LIMIT:
                self.close_connection = True  # the body stays unread
                return self.answer(400, {"error": "a form with a Content-Length of at most 64 KiB, please"})
            fields |= parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        page = {"/": self.home, "/login": self.login, "/logout": self.logout, "/whoami": self.whoami}.get(url.path)
        if page:
            return page(fields)
        if url.path == "/server":
            return self.answer(200, {"server": self.server.name})
        self.answer(404, {"error": "there is nothing here"})

    do_POST = do_HEAD = do_GET

    def home(self, _fields):
        session = self.visit()
        body = PAGE.format(
            server=html.escape(self.server.name),
            greeting=f"Hello, {html.escape(session['user'])}" if session else "Who are you?",
            visits=f"Visit {session['visits']} of this session." if session else "",
            form=LOGOUT if session else LOGIN,
        )
        self.answer(200, body)

    def login(self, fields):
        user = fields.get("user", [""])[0]
        if not user:
            return self.answer(400, {"error": "say who you are: /login?user=NAME"})
        session_id = secrets.token_hex(16)  # a new one at each login, against fixation
        with self.server.lock:
            self.server.sessions.pop(self.session_id(), None)
            self.server.sessions[session_id] = {"user": user, "visits": 0}
        cookie = f"{COOKIE}={session_id}; Path=/; HttpOnly; SameSite=Lax"
        self.done({"user": user, "server": self.server.name}, cookie)

    def logout(self, _fields):
        with self.server.lock:
            self.server.sessions.pop(self.session_id(), None)
        self.done({"user": None, "server": self.server.name}, f"{COOKIE}=; Path=/; Max-Age=0")

    def whoami(self, _fields):
        session = self.visit() or {"user": None, "visits": 0}
        self.answer(200 if session["user"] else 401, session | {"server": self.server.name})

    def session_id(self):
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        return cookie.value if cookie else ""

    def visit(self):
        """A copy of the client's session, counted as visited; None when this server knows none."""
        with self.server.lock:
            session = self.server.sessions.get(self.session_id())
            if session is None:
                return None
            session["visits"] += 1
            return dict(session)

    def done(self, outcome, cookie):
        """A browser's form leads back to the page; everyone else gets the outcome as JSON."""
        if self.command == "POST" and "text/html" in self.headers.get("Accept", ""):
            return self.answer(303, "", {"Set-Cookie": cookie, "Location": "/"})
        self.answer(200, outcome, {"Set-Cookie": cookie})

    def answer(self, status, body, headers={}):
        is_page = isinstance(body, str)
        data = (body if is_page else json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if is_page else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, address, name):
        super().__init__(address, Handler)
        self.name = name
        self.sessions = {}  # session id: {"user", "visits"}
        self.lock = threading.Lock()

    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's own would look up this machine's name, which may take seconds


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--name", required=True, help="how this copy calls itself")
    options.add_argument("--port", required=True, type=int, help="port on 127.0.0.1")
    options = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with Server(("127.0.0.1", options.port), options.name) as server:
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"session_app: 127.0.0.1:{options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
