"""A server whose sessions are nonces: `nonce_app.py PORT NAME [FOLDER]`.

Every answer is "NAME NONCE", the nonce of the request's session; a request whose session it does not know begins one. Sessions are in
this process's memory, and die with it; with a FOLDER they are files there, which other servers share.
"""

import asyncio
import os
import secrets
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


async def serve(reader, writer, name, sessions):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:] if line)}
            await reader.readexactly(int(fields.get("content-length", "0")))
            if lines[0].split()[1] == "/healthz":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            cookies = dict(pair.strip().split("=", 1) for pair in fields.get("cookie", "").split(";") if "=" in pair)
            sid, extra = cookies.get("SID", ""), ""
            nonce = sessions.nonce(sid) if sid.isalnum() else None
            if nonce is None:
                sid, nonce = sessions.begin()
                extra = f"Set-Cookie: SID={sid}; Path=/\r\n"
            body = f"{name} {nonce}"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port, name, folder=None):
    sessions = Sessions(folder)
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, name, sessions), "127.0.0.1", int(port), backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
