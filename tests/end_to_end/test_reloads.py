"""Two hundred reloads under load, good and faulty ones, by SIGHUP and by `limpet reload`: no request fails, no session moves, none is
forgotten, and nothing is left behind."""

import asyncio
import copy
import os
import pathlib
import random
import signal
import time
import urllib.parse

import pytest

from support.limpet import is_sanitized, settings, to_toml
from support.status import Status, status_table
from support.transport import HTTP2
from support.truth import Client, Server, seen_by
from support.wire import eventually

RELOADS = 200 if not is_sanitized() else 60
EARLY = 20  # after so many, everything is warm
KEEPERS = 100  # clients that stay logged in, from some time on
VISITORS = 30  # clients that log in and out
# Handshakes of many at once leave room in the heap that others take later. That nothing is left behind where they are few is held elsewhere.
GROWTH_KIB = {"plain": 1024, "tls": 8192} if not is_sanitized() else {"plain": 65536, "tls": 65536}
TABLES_KIB = 16  # of fields, each connection's two over HTTP/2: they fill up with 4 KiB each, which is half of what they take then
THREADS = {"plain": (0,), "tls": (0, 4)}  # libuv's, which look at the certificates' files some seconds after the start
POOLS = {
    "session-id": {"affinity": ["session-id", "cookie"], "session_id": {"sources": ["cookie:SID"]}},
    "cookie": {"affinity": ["cookie"]},
    "ip": {"affinity": ["ip"]},
}


class Crowd:
    """Clients that ask until they are told to stop, and pause together when they are told to."""

    def __init__(self, port, by_address, transport):
        self.clients = [Client(number, port, by_address, **transport.clients) for number in range(KEEPERS + VISITORS)]
        self.keepers = self.clients[:KEEPERS]
        self.goes_on = asyncio.Event()
        self.waiting = 0
        self.is_over = False
        self.visits = 0
        self.reloads = 0  # so far

    async def breathe(self, seconds):
        await asyncio.sleep(random.uniform(0, 2 * seconds))
        self.waiting += 1
        await self.goes_on.wait()
        self.waiting -= 1

    async def keep(self, client, begins_after):
        while self.reloads < begins_after:
            await asyncio.sleep(0.01)
        while not self.is_over:
            await client.ask(random.choice(("GET", "GET", "POST")))
            await self.breathe(0.15)

    async def visit(self, client, leaves):
        while not self.is_over:
            self.visits += 1
            for _ in range(5):
                await client.ask(random.choice(("GET", "GET", "POST")))
                await self.breathe(0.15)
            if leaves:
                await client.ask("POST", "/logout")
                client.jar.clear()
                client.server = client.nonce = None

    def begin(self, leaves):
        self.goes_on.set()
        lives = [self.keep(client, number * EARLY // KEEPERS) for number, client in enumerate(self.keepers)] + [self.visit(client, leaves) for client in self.clients[KEEPERS:]]
        return asyncio.gather(*lives)

    async def pause(self):
        self.goes_on.clear()
        while self.waiting < len(self.clients):
            await asyncio.sleep(0.01)

    def close(self):
        for client in self.clients:
            client.close()


class Reloads:
    """Changes the file, has it read, and holds Limpet to what it says then. Servers that speak HTTP/2 end their connections at times."""

    def __init__(self, limpet, status, servers, extra):
        self.servers = servers
        self.limpet, self.status = limpet, status
        self.path = pathlib.Path(limpet.file)
        self.good = limpet.config
        self.extra = extra.as_table()
        self.random = random.Random(int(os.environ.get("LIMPET_SEED", "20240607")))
        self.done = self.refused = 0

    def change(self, number):
        """The next good settings."""
        next_one = copy.deepcopy(self.good)
        pool = next_one["pool"][0]
        if number % 7 == 0:
            is_there = pool["backend"][-1]["name"] == self.extra["name"]
            pool["backend"] = pool["backend"][:-1] if is_there else [*pool["backend"], dict(self.extra)]
        for backend in pool["backend"]:
            backend["weight"] = self.random.choice((10, 50, 100, 200))
        pool["timeouts"] = {"keep_alive": f"{self.random.randrange(300, 800)}ms", "head": f"{self.random.randrange(20, 60)}s"}
        interval = f"{self.random.randrange(500, 2000)}ms"
        pool["health"] = self.random.choice(({"check": "none"}, {"check": "tcp", "interval": interval}, {"check": "http", "path": "/healthz", "interval": interval}))
        next_one["timeouts"] = {"idle": f"{self.random.randrange(60, 120)}s"}
        return next_one

    def spoil(self, number):
        """A faulty file, and what has to be said of it."""
        text = to_toml(self.change(0))
        return (
            (text + "\nno_such_key = 1\n", "no_such_key"),
            (text.replace("weight", "wieght"), "wieght"),
            (text[:len(text) // 2].rpartition("\n")[0] + "\n[pool", "is not TOML"),
            (text.replace("workers = 2", "workers = 3"), "workers"),
            ("", "listener"),
        )[number % 5]

    def run(self, number):
        if number % 5 == 0:
            self.random.choice(self.servers).go_away()
        is_faulty, by_signal = number % 13 == 12, number % 2 == 0
        if is_faulty:
            text, fault = self.spoil(number // 13)
        else:
            self.good = self.change(number)
            text, fault = to_toml(self.good), None
        self.path.write_text(text)
        said_before = len(self.limpet.stderr)
        if by_signal:
            self.limpet.signal(signal.SIGHUP)
            said = eventually(lambda: self.limpet.stderr[said_before:].partition("reload by SIGHUP: ")[2], what="the reload is done")
            assert ("nothing is changed" in said) == is_faulty, said
        else:
            code, out, err = self.status.command("reload")
            assert code == (1 if is_faulty else 0), (out, err)
            said = out + err
        assert not fault or fault in said, f"{fault} is not told: {said}"
        self.refused += is_faulty
        self.done += not is_faulty
        report = self.status.report()
        assert report["reloads"] == {"done": self.done, "refused": self.refused}
        weights = {backend["name"]: backend["weight"] for backend in report["pools"][0]["backends"] if backend["listed"]}
        assert weights == {backend["name"]: backend["weight"] for backend in self.good["pool"][0]["backend"]}


async def resting(crowd, limpet):
    """What it holds while nobody asks."""
    await crowd.pause()
    counts = [0]
    while len(set(counts[-60:])) > 1 or len(counts) < 60:  # backends' idle connections end meanwhile
        counts.append(len(limpet.descriptors()))
        await asyncio.sleep(0.02)
    held = {"descriptors": counts[-1], "threads": limpet.status("Threads"), "KiB": limpet.status("VmRSS")}
    crowd.goes_on.set()
    return held


async def reload_under_load(crowd, limpet, reloads, leaves):
    lives = crowd.begin(leaves)
    for number in range(RELOADS):
        while number < EARLY and any(client.server is None for client in crowd.keepers[:number * KEEPERS // EARLY]):
            await asyncio.sleep(0.01)
        if number == EARLY:
            early = await resting(crowd, limpet)
        await asyncio.to_thread(reloads.run, number)
        crowd.reloads += 1
    late = await resting(crowd, limpet)
    crowd.is_over = True
    await lives
    return early, late


IN_SOAK = [("session-id", "tls"), ("cookie", "plain h2"), ("ip", "tls h2 to http/1.1")]


@pytest.mark.parametrize(("affinity", "transport"), [("session-id", "plain h2"), ("cookie", "tls http/1.1 to h2"), ("ip", "plain"),
                                                     *(pytest.param(*both, marks=pytest.mark.soak) for both in IN_SOAK)], indirect=["transport"])
def test_two_hundred_reloads_under_load_cost_nothing(scene, affinity, transport):
    servers = [Server(name, **transport.server) for name in "abcd"]
    try:
        for server in servers:
            server.wait()
        limpet = scene.start(settings([server.as_table(weight=100) for server in servers[:3]], workers=2, status=status_table(), log={"access": "off"},
                                      listener={"proxy_protocol": affinity == "ip", **transport.listener},
                                      pool={**POOLS[affinity], **transport.pool, "timeouts": {"keep_alive": "500ms"}}))
        status = Status(limpet)
        crowd = Crowd(limpet.address[1], affinity == "ip", transport)
        reloads = Reloads(limpet, status, servers, extra=servers[3])
        leaves = affinity == "session-id"
        begun = time.monotonic()
        early, late = asyncio.run(reload_under_load(crowd, limpet, reloads, leaves))
        seen, pool = seen_by(crowd.clients), status.pool()
        totals = pool["sessions"]["totals"]
        at = {name: sum(client.server == name for client in crowd.keepers) for name in "abcd"}
        print(f"{affinity}: {reloads.done} reloads and {reloads.refused} refused in {time.monotonic() - begun:.1f} s; clients saw {dict(seen)}, those that stayed "
              f"are at {at}; Limpet says {totals}; after {EARLY} {early}, after {RELOADS} {late}")
        assert reloads.done + reloads.refused == RELOADS and reloads.refused == RELOADS // 13
        assert seen.keys() == {"answered 200"} and seen["answered 200"] > 5 * len(crowd.clients)
        assert at["d"] > 0, "nobody was at the backend that came and went"
        for client in crowd.keepers:
            key = {"session-id": client.jar.get("SID"), "cookie": client.jar.get("limpet_app"), "ip": client.preface.split()[2].decode() if client.preface else None}[affinity]
            found = status.get("/sessions/" + urllib.parse.quote(key, safe="")).json["sessions"]
            assert [one["backend"] for one in found] == [client.server]
        ended = totals["logged_out"] if leaves else 0
        assert totals["opened"] == (KEEPERS + crowd.visits if leaves else len(crowd.clients))
        assert pool["sessions"]["live"] == totals["opened"] - ended and pool["sessions"]["at_risk"] == 0
        assert {event for event, count in totals.items() if count} <= {"opened", "logged_out"}
        assert pool["books_imbalance"] == 0
        way = "tls" if transport.client else "plain"
        assert late["descriptors"] == early["descriptors"]
        assert late["threads"] - early["threads"] in THREADS[way]
        assert late["KiB"] - early["KiB"] < GROWTH_KIB[way] + (TABLES_KIB * len(crowd.clients) if transport.front == HTTP2 else 0)
    finally:
        for server in servers:
            server.close()
