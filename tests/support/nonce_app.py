"""A server whose sessions are nonces: `nonce_app.py PORT NAME [--folder FOLDER] [--journal FILE] [--delay SECONDS] [--certificate FILE --key FILE]
[--http2]`.

Every answer is "NAME NONCE", the nonce of the request's session; a request whose session it does not know begins one, and /logout ends
its own. Sessions are in this process's memory, and die with it; with a FOLDER they are files there, which other servers share. The
journal has the X-Request-Id of every request that arrived whole, written before anything else is done, so that it outlives a kill. It
speaks HTTP/1.1, or HTTP/2 alone; then SIGUSR1 lets it end its connections by GOAWAY.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import ssl
import sys


class Sessions:
    def __init__(self, folder):
        self.folder = folder
        self.known = {}

    def nonce(self, sid):
        if not self.folder:
            return self.known.get(sid)
        try:
            with open(os.path.join(self.folder, sid), encoding="ascii") as file:
                return file.read()
        except OSError:
            return None

    def begin(self):
        sid, nonce = secrets.token_hex(16), secrets.token_hex(8)
        if not self.folder:
            self.known[sid] = nonce
            return sid, nonce
        draft = os.path.join(self.folder, "." + sid)
        with open(draft, "w", encoding="ascii") as file:
            file.write(nonce)
        os.rename(draft, os.path.join(self.folder, sid))
        return sid, nonce

    def end(self, sid):
        if not self.folder:
            return self.known.pop(sid, None)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, sid))


class Application:
    def __init__(self, options):
        self.name, self.delay = options.name, options.delay
        self.sessions = Sessions(options.folder)
        self.journal = os.open(options.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if options.journal else None

    def answer(self, path, sid):
        """(body, Set-Cookie or nothing)"""
        nonce = self.sessions.nonce(sid) if sid.isalnum() else None
        if path == "/logout":
            if nonce:
                self.sessions.end(sid)
            return f"{self.name} bye", "SID=; Path=/; Max-Age=0"
        if nonce:
            return f"{self.name} {nonce}", ""
        sid, nonce = self.sessions.begin()
        return f"{self.name} {nonce}", f"SID={sid}; Path=/"

    async def respond(self, path, fields):
        """The same, to a request that has come whole."""
        if path == "/healthz":
            return "ok", ""
        if self.journal:
            os.write(self.journal, fields["x-request-id"].encode() + b"\n")
        if self.delay:
            await asyncio.sleep(self.delay)
        cookies = dict(pair.strip().split("=", 1) for pair in fields.get("cookie", "").split(";") if "=" in pair)
        return self.answer(path, cookies.get("SID", ""))

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:] if line)}
                await reader.readexactly(int(fields.get("content-length", "0")))
                body, set_cookie = await self.respond(lines[0].split()[1], fields)
                extra = f"Set-Cookie: {set_cookie}\r\n" if set_cookie else ""
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def serve_stream(self, stream):
        body, set_cookie = await self.respond(stream.target, dict(stream.fields))
        stream.send_head(200, [("content-length", str(len(body))), *([("set-cookie", set_cookie)] if set_cookie else [])])
        stream.send(body.encode(), ends=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    parser.add_argument("--folder")
    parser.add_argument("--journal")
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--http2", action="store_true")
    options = parser.parse_args()
    application = Application(options)
    serve = application.serve
    if options.http2:
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        from support.http2_async import Server

        serve = Server(application.serve_stream).serve
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
        if options.http2:
            tls.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(serve, "127.0.0.1", options.port, backlog=1024, ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
