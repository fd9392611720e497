"""The test of truth: what Limpet says was lost is what clients lost. Servers are killed, restarted, stopped, drained and reloaded at
random while hundreds of clients, each of which knows whether it was logged out, go on asking.

TRUTH_SECONDS and TRUTH_SEED choose how long, and what happens; scripts/test --long takes a minute.
"""

import asyncio
import json
import os
import random
import signal
import tempfile
import time
import urllib.request

import pytest

from support.limpet import settings, to_toml
from support.truth import Client, Server, crowd, seen_by
from support.wire import eventually, free_port

SECONDS = float(os.environ.get("TRUTH_SECONDS", "8"))
CLIENTS = 200
SERVERS = 4


class Storm:
    """Does things to servers, one after another, and leaves none of them hanging."""

    def __init__(self, limpet, servers, status, seed):
        self.limpet, self.servers, self.status = limpet, servers, status
        self.random = random.Random(seed)
        self.did = []

    def order(self, server, what):
        request = urllib.request.Request(f"{self.status}/pools/app/backends/{server.name}/{what}", method="POST", headers={"X-Limpet": "1"})
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError as error:
            assert error.code == 409, error.read()

    async def run(self, until):
        while time.monotonic() < until:
            server = self.random.choice(self.servers)
            what = self.random.choice((self.kill, self.kill, self.hang, self.drain, self.maintain, self.reload))
            self.did.append(f"{what.__name__} {server.name}")
            await what(server)
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    async def kill(self, server):
        server.kill()
        await asyncio.sleep(self.random.choice((0, 0.1, 1.0)))
        server.start()

    async def hang(self, server):
        server.stop()
        await asyncio.sleep(self.random.uniform(0.2, 2.0))
        server.go_on()

    async def drain(self, server):
        await asyncio.to_thread(self.order, server, "drain")
        await asyncio.sleep(self.random.uniform(0.1, 1.5))
        await asyncio.to_thread(self.order, server, self.random.choice(("undrain", "up")))

    async def maintain(self, server):
        await asyncio.to_thread(self.order, server, "maintenance")
        await asyncio.sleep(self.random.uniform(0.1, 1.0))
        await asyncio.to_thread(self.order, server, "up")

    async def reload(self, server):
        weights = [self.random.choice((50, 100, 200)) for _ in self.servers]
        config = json.loads(json.dumps(self.limpet.config))
        for backend, weight in zip(config["pool"][0]["backend"], weights, strict=True):
            backend["weight"] = weight
        with open(self.limpet.file, "w", encoding="utf-8") as file:
            file.write(to_toml(config))
        self.limpet.signal(signal.SIGHUP)


async def live(limpet, servers, clients, status, seed):
    until = time.monotonic() + SECONDS
    storm = Storm(limpet, servers, status, seed)
    await asyncio.gather(crowd(clients, SECONDS + 1, pause=0.05), storm.run(until))
    return storm


def books(status):
    with urllib.request.urlopen(f"{status}/status", timeout=5) as answer:
        return json.load(answer)["pools"][0]


@pytest.mark.parametrize(("affinity", "storage"), [("ip", "local"), ("cookie", "local"), ("session-id", "local"), ("cookie", "shared")])
def test_what_is_reported_lost_is_what_clients_lost(scene, affinity, storage):
    seed = int(os.environ.get("TRUTH_SEED", time.time_ns() % 1_000_000))
    folder = tempfile.TemporaryDirectory(prefix="limpet-truth-") if storage == "shared" else None
    servers = [Server(f"s{number}", folder=folder.name if folder else None) for number in range(SERVERS)]
    address = f"127.0.0.1:{free_port()}"
    try:
        for server in servers:
            server.wait()
        pool = {"affinity": [affinity], "storage": storage, "drain_timeout": "1s",
                "timeouts": {"head": "300ms", "connect": "300ms"},
                "health": {"check": "http", "path": "/healthz", "interval": "200ms", "fast_interval": "100ms", "timeout": "150ms", "rise": 1, "fall": 2}}
        if affinity == "session-id":
            pool["session_id"] = {"sources": ["cookie:SID"]}
        limpet = scene.start(settings([server.as_table() for server in servers], pool=pool, listener={"proxy_protocol": affinity == "ip"}, workers=2, status={"address": address}))
        clients = [Client(number, limpet.address[1], affinity == "ip") for number in range(CLIENTS)]
        storm = asyncio.run(live(limpet, servers, clients, f"http://{address}", seed))
        seen = seen_by(clients)
        pool = books(f"http://{address}")
        said = pool["sessions"]["totals"]
        story = f"seed {seed}; clients saw {dict(seen)}; Limpet says {said}; what happened: {storm.did}"
        assert seen["answered 200"] > CLIENTS * SECONDS, story
        assert pool["books_imbalance"] == 0, story
        if storage == "local":
            assert said["lost"] == seen["logged out by a change of backend"] > 0, story
            assert said["carried"] == 0, story
        else:
            assert said["lost"] == seen["logged out by a change of backend"] == 0, story
            assert said["carried"] == seen["carried"] > 0, story
    finally:
        for server in servers:
            server.close()
        if folder:
            folder.cleanup()
