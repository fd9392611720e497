"""What a test of chaos does to a Limpet, one deed after another or two at a time, and takes back afterwards; and those who live with it:
clients, and somebody who keeps an eye on the status endpoint.

A deed says beforehand whom it may harm: the clients whose home it strikes, or, where it makes something short, anybody for as long as that
lasts. Whoever is not named has to be served, at home.
"""

import asyncio
import contextlib
import copy
import os
import pathlib
import random
import resource
import signal
import threading
import time

from support.network import few_ports, socket_from, taken_ports
from support.truth import Client
from support.wire import free_port, listens

FAULTS = "\n".join(f"fault_{number} = 1" for number in range(3000))  # in a reload: as many lines in the log
UNTOUCHED = {200}
SHORT = {200, 503}
STRUCK = {200, 502, 503, 504}


class Resident(Client):
    """A client that knows what it has to expect of the deeds under way."""

    def __init__(self, number, port, deeds, http2):
        super().__init__(number, port, by_address=False, http2=http2)
        self.source = f"127.1.{number >> 8}.{number & 255}"
        self.deeds = deeds  # under way
        self.faults = []

    async def connect(self):
        made = socket_from(self.source)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.port))
        except BaseException:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def ask(self, method, target="/", *more):
        home, nonce, deeds = self.server, self.nonce, list(self.deeds)
        breaks = self.seen["broken"]
        status = await super().ask(method, target, *more)
        deeds += self.deeds  # that have begun meanwhile
        broken = self.seen["broken"] > breaks
        is_struck = home is None or any(home in deed.strikes for deed in deeds)
        if broken:
            good = any(deed.breaks for deed in deeds)
        elif status == 200:
            good = is_struck or (self.server, self.nonce) == (home, nonce)
        else:
            good = status in STRUCK if is_struck else status in SHORT and any(deed.shortens for deed in deeds)
        if not good:
            self.faults.append(f"a client of {home} was answered {status} by {self.server} during {[str(deed) for deed in deeds]}")
        return status


class Watcher(threading.Thread):
    """Asks the status endpoint all the while, as a probe of an orchestrator and a dashboard do. Has to be answered."""

    def __init__(self, address, deeds):
        super().__init__(daemon=True)
        self.host, self.port = address.rsplit(":", 1)
        self.deeds = deeds
        self.faults, self.asked = [], 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            deeds = list(self.deeds)
            for path, statuses in (("/healthz", (200,)), ("/readyz", (200, 503)), ("/metrics", (200,))):
                try:
                    status = self.status_of(path)
                except OSError as error:
                    status = error
                self.asked += 1
                if status not in statuses:
                    self.faults.append(f"{path} was answered {status!r} during {[str(deed) for deed in deeds]}")

    def status_of(self, path):
        with socket_from(f"127.2.0.{self.asked % 250 + 1}") as asking:
            asking.settimeout(15)
            asking.connect((self.host, int(self.port)))
            asking.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while piece := asking.recv(65536):
                data += piece
        return int(data.split()[1]) if data else None

    def end(self):
        self.over.set()
        self.join(30)


class Stderr:
    """The reader of Limpet's log, who stops reading at times."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.reads = threading.Event()
        self.reads.set()
        self.data = bytearray()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            self.reads.wait()
            piece = os.read(self.reader, 65536)
            if not piece:
                return
            self.data += piece

    def text(self):
        """All of it, once Limpet has ended."""
        self.thread.join(10)
        return self.data.decode(errors="replace")


class Deed:
    """Done for a while and then undone."""

    strikes = frozenset()  # servers whose clients may be harmed
    shortens = False       # requests may be answered 503
    breaks = False         # connections may be refused or closed

    def __init__(self, world):
        self.world, self.random = world, world.random

    def __str__(self):
        return type(self).__name__ + ("".join(f" {name}" for name in sorted(self.strikes)))

    async def do(self):
        raise NotImplementedError

    def a_server(self):
        server = self.random.choice(self.world.free_servers())
        self.strikes = frozenset({server.name})
        return server

    async def last(self, *seconds):
        await asyncio.sleep(self.random.choice(seconds))


class FewDescriptorsForClients(Deed):
    """Connections that ask nothing take all that clients may have."""

    shortens = breaks = True

    async def do(self):
        eaters = []
        try:
            for number in range(self.world.most_files):
                eater = socket_from(f"127.3.0.{number % 250 + 1}")
                eaters.append(eater)
                eater.setblocking(False)
                with contextlib.suppress(OSError):
                    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(eater, ("127.0.0.1", self.world.port)), 1)
            await self.last(0.2, 1.0)
        finally:
            for eater in eaters:
                eater.close()


class LowerLimitOfDescriptors(Deed):
    """The limit falls below what is open."""

    shortens = breaks = True

    async def do(self):
        pid = self.world.limpet.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        low = max(48, len(os.listdir(f"/proc/{pid}/fd")) - self.random.randrange(1, 40))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (low, before[1]))
        try:
            await self.last(0.3, 1.0)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


class FewPorts(Deed):
    """Others take all ports towards some of the servers, or all."""

    shortens = True

    async def do(self):
        servers = self.random.sample(self.world.servers, self.random.randrange(1, len(self.world.servers) + 1))
        with contextlib.ExitStack() as stack:
            stack.enter_context(few_ports())
            for server in servers:
                if server.process.poll() is None and server.name not in self.world.struck():
                    stack.enter_context(taken_ports(server.port))
            await self.last(0.3, 1.5)


class PauseOfLimpet(Deed):
    async def do(self):
        self.world.limpet.signal(signal.SIGSTOP)
        try:
            await self.last(0.1, 0.5, 2.0)
        finally:
            self.world.limpet.signal(signal.SIGCONT)


class DeedToServer(Deed):
    def __init__(self, world):
        super().__init__(world)
        self.server = self.a_server()


class PauseOfServer(DeedToServer):
    async def do(self):
        self.server.freeze()
        try:
            await self.last(0.2, 1.0, 3.0)
        finally:
            self.server.thaw()


class DeathOfServer(DeedToServer):
    async def do(self):
        self.server.kill()
        try:
            await self.last(0, 0.1, 2.0)
        finally:
            self.server.start()


class Goodbyes(Deed):
    """Servers that speak HTTP/2 end their connections in order, time and again."""

    async def do(self):
        for _ in range(10):
            for server in self.world.free_servers():
                if await asyncio.to_thread(listens, server.port):
                    server.go_away()
            await self.last(0.02, 0.1)


class FullDisk(Deed):
    """A file that grows no further is as good as a full disk."""

    async def do(self):
        pid = self.world.limpet.process.pid
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        full = self.world.access_log.stat().st_size + 10 if self.world.access_log.is_file() else 10
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
        try:
            await self.last(0.3, 1.0)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


class AccessLogWithoutReader(Deed):
    async def do(self):
        log = self.world.access_log
        log.unlink(missing_ok=True)
        os.mkfifo(log)
        self.world.limpet.signal(signal.SIGUSR1)
        try:
            await self.last(0.3, 1.5)
        finally:
            log.unlink()
            self.world.limpet.signal(signal.SIGUSR1)


class BlockedStderr(Deed):
    """Nobody reads the log, which says much: a reload finds thousands of faults."""

    async def do(self):
        world = self.world
        world.stderr.reads.clear()
        file = pathlib.Path(world.limpet.file)
        good = file.read_text()
        try:
            file.write_text(FAULTS + "\n" + good)
            world.limpet.signal(signal.SIGHUP)
            await self.last(0.3, 1.0)
        finally:
            file.write_text(good)
            world.stderr.reads.set()


class Reloads(Deed):
    """Pools, listeners and backends come and go, and weights change. Known sessions stay."""

    async def do(self):
        for _ in range(self.random.randrange(1, 6)):
            config = copy.deepcopy(self.world.limpet.config)
            app, spare = config["pool"]
            for backend in app["backend"]:
                backend["weight"] = self.random.choice((50, 100, 200))
            if self.random.randrange(2):
                app["backend"].remove(self.random.choice(app["backend"]))
            if self.random.randrange(2):
                name = f"pool-{self.random.randrange(4)}"
                config["pool"].append({**spare, "name": name})
                config["route"].append({"path": f"/{name}", "pool": name})
            if self.random.randrange(2):
                config["listener"].append({"name": "more", "address": f"127.0.0.1:{free_port()}"})
            self.world.reload(config)
            await self.last(0.05, 0.3)


DEEDS = (FewDescriptorsForClients, LowerLimitOfDescriptors, FewPorts, PauseOfLimpet, PauseOfServer, DeathOfServer, Goodbyes, FullDisk, AccessLogWithoutReader,
         BlockedStderr, Reloads)
# These have the same file to themselves.
APART = ({BlockedStderr, Reloads}, {FullDisk, AccessLogWithoutReader})


def may_meet(one, other):
    return one is not other and {one, other} not in APART


class World:
    """Limpet, its servers, and what is under way."""

    def __init__(self, limpet, servers, stderr, access_log, most_files, seed):
        self.limpet, self.servers, self.stderr, self.access_log, self.most_files = limpet, servers, stderr, access_log, most_files
        self.random = random.Random(seed)
        self.port = limpet.address[1]
        self.under_way = []
        self.did = []
        self.waiting = []

    def struck(self):
        return {name for deed in self.under_way for name in deed.strikes}

    def free_servers(self):
        return [server for server in self.servers if server.name not in self.struck()]

    def reload(self, config):
        self.limpet.write(config)
        self.limpet.signal(signal.SIGHUP)

    def choose(self):
        """Each deed once, in some order, before any of them again; and one time in two another one along with it."""
        if not self.waiting:
            self.waiting = self.random.sample(DEEDS, len(DEEDS))
        first = self.waiting.pop()
        fitting = [deed for deed in DEEDS if may_meet(first, deed)]
        return [first] if self.random.randrange(2) else [first, self.random.choice(fitting)]

    async def round(self):
        """Leaves the deeds in `under_way`: what they may harm is theirs until calm() has been seen."""
        for kind in self.choose():
            self.under_way.append(kind(self))
        self.did.append(" and ".join(str(deed) for deed in self.under_way))
        await asyncio.gather(*(deed.do() for deed in self.under_way))
        self.reload(self.limpet.config)
