"""Clients that each know whether they were logged out, and servers that die under them."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from support import http2_async
from support.client import proxy_v1
from support.wire import free_port, listens

APP = os.path.join(os.path.dirname(__file__), "nonce_app.py")


class Server:
    """A process with sessions in its memory."""

    def __init__(self, name, **options):
        """`options` are nonce_app's: folder, journal, delay, certificate and key, http2."""
        self.name = name
        self.port = free_port()
        self.options = [f"--{key}" if value is True else f"--{key}={value}" for key, value in options.items() if value]
        self.process = None
        self.start()

    def as_table(self, **keys):
        return {"name": self.name, "address": f"127.0.0.1:{self.port}", **keys}

    def start(self):
        self.process = subprocess.Popen([sys.executable, APP, str(self.port), self.name, *self.options], stderr=subprocess.DEVNULL)

    def wait(self):
        end = time.monotonic() + 10
        while not listens(self.port):
            assert time.monotonic() < end, f"server {self.name} does not listen"
            time.sleep(0.01)
        assert self.process.poll() is None, f"server {self.name} has ended; another listens at its port"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def go_away(self):
        """Ends its connections in order, where it speaks HTTP/2."""
        if "--http2" in self.options:
            self.process.send_signal(signal.SIGUSR1)

    def close(self):
        if self.process.poll() is None:
            self.kill()


class Client:
    """Keeps its cookies, and what the last answer said: which server, and which session. `tls`: a context of a client, if it speaks TLS.
    With `http2` it speaks that."""

    def __init__(self, number, port, by_address, tls=None, http2=False):
        self.preface = proxy_v1(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") if by_address else b""
        self.port, self.tls, self.http2 = port, tls, http2
        self.jar = {}
        self.server = self.nonce = None
        self.seen = Counter()
        self.streams = None  # of asyncio
        self.end = None      # of HTTP/2

    async def run(self, until, pause):
        while time.monotonic() < until:
            await self.act()
            await asyncio.sleep(random.uniform(0, 2 * pause))
        self.close()

    async def act(self):
        await self.ask(random.choice(("GET", "GET", "GET", "POST")))

    async def ask(self, method, target="/", *more):
        """One request; `more` are fields. Returns the answer's status, or None where the connection broke."""
        try:
            status, fields, text = await self.exchange(method, target, more)
        except (OSError, asyncio.IncompleteReadError):
            self.seen["broken"] += 1
            self.close()
            return None
        if ("connection", "close") in fields:
            self.close()
        self.seen[f"answered {status}"] += 1
        if status == 200:
            self.take_cookies(fields)
            self.read(target, text)
        return status

    async def exchange(self, method, target, more):
        body = b"hi" if method == "POST" else None
        lines = [*self.cookies(), *more, *([f"Content-Length: {len(body)}"] if body else [])]
        if self.http2:
            return await self.exchange_http2(method, target, lines, body)
        await self.open()
        reader, writer = self.streams
        writer.write("\r\n".join([f"{method} {target} HTTP/1.1", "Host: app.test", *lines, "", ""]).encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in head[1:] if line]
        text = (await reader.readexactly(int(dict(fields)["content-length"]))).decode()
        return int(head[0].split()[1]), fields, text

    async def exchange_http2(self, method, target, fields, body):
        while True:
            if self.end and not self.end.takes_more:
                self.close()
            await self.open()
            self.end = self.end or http2_async.Client(*self.streams, "https" if self.tls else "http")
            try:
                stream = await self.end.request(method, target, fields, body)
            except http2_async.NotTaken:
                continue
            return stream.status, stream.fields, stream.text

    def cookies(self):
        return ["Cookie: " + "; ".join(f"{name}={value}" for name, value in self.jar.items())] if self.jar else []

    async def open(self):
        if not self.streams:
            self.streams = await self.connect()
            self.streams[1].write(self.preface)
            if self.tls:
                await self.streams[1].start_tls(self.tls, server_hostname="shop.test")

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    def read(self, target, text):
        if target != "/logout":
            self.compare(*text.split())

    def take_cookies(self, fields):
        for name, value in fields:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self.jar[key] = rest.partition(";")[0]
                if "Max-Age=0" in rest:
                    del self.jar[key]

    def close(self):
        if self.streams:
            self.streams[1].close()
            self.streams = self.end = None

    def compare(self, server, nonce):
        if self.nonce is not None:
            if nonce != self.nonce:
                self.seen["logged out by a change of backend" if server != self.server else "logged out by a restart"] += 1
            elif server != self.server:
                self.seen["carried"] += 1
        self.server, self.nonce = server, nonce


def hold_lost(said, seen, story):
    """What was lost is what clients lost. A server that was seen out of service and is back without a session says so in answer to a GET,
    and not to a POST."""
    assert said["lost"] - said["restarted"] == seen["logged out by a change of backend"], story
    assert said["restarted"] <= seen["logged out by a restart"], story


async def crowd(clients, seconds, pause):
    until = time.monotonic() + seconds
    await asyncio.gather(*(client.run(until, pause) for client in clients))


def seen_by(clients):
    return sum((client.seen for client in clients), Counter())
