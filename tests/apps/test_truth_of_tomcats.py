"""The test of truth with two real Tomcats, whose sessions have baskets: what Limpet says was lost is what shoppers lost."""

import asyncio
import concurrent.futures
import http.client
import itertools
import json
import random

import pytest

import servers
from support.status import Status, status_table
from support.storm import LONG, SHORT, Storm, hold_to_the_truth
from support.truth import Client
from support.wire import eventually

SHOPPERS = 100
POOLS = {
    "session-id": {"affinity": ["session-id"]},
    "session-id, cookie": {"affinity": ["session-id", "cookie"]},
    "cookie": {"affinity": ["cookie"]},
    "ip": {"affinity": ["ip"]},
}
EMPTY = "a basket that is to come"
baskets = itertools.count()
BY_ID = {"session_id": {"sources": ["cookie:JSESSIONID", "path:jsessionid"]}}


class Shopper(Client):
    """Puts one thing after another into a basket, and logs in from time to time, which gives the session another id. A basket with a
    single thing in it is a new one."""

    async def act(self):
        if self.nonce and random.random() < 0.1:
            await self.ask("POST", "/login?user=ana")
        else:
            await self.ask("GET", "/basket")

    def read(self, target, text):
        answer = json.loads(text)
        is_here = answer["server"] == self.server
        if "basket" in answer:
            is_new = answer["basket"] == 1
            if is_here and self.nonce == EMPTY:
                self.nonce = next(baskets)
            else:
                self.compare(answer["server"], next(baskets) if is_new else self.nonce)
        elif not is_here:  # a session that the login began
            self.compare(answer["server"], EMPTY)


class SlowStorm(Storm):
    """A Tomcat takes its time to start; the next thing happens when both of them serve again."""

    def __init__(self, *what):
        super().__init__(*what)
        self.deeds = (self.kill, self.restart, self.hang, self.drain, self.maintain, self.reload)

    async def kill(self, server):
        server.kill()
        await self.start(server)

    async def restart(self, server):
        """In good order, so that Tomcat saves its sessions, and has them again; what it answers while it stops is not its application's."""
        await asyncio.to_thread(self.order, server, "maintenance")
        await asyncio.to_thread(eventually, lambda: not self.report(server) or self.report(server)["requests"]["in_flight"] == 0)
        await asyncio.to_thread(server.stop)
        await self.start(server)
        await asyncio.to_thread(self.order, server, "up")

    async def start(self, server):
        server.start()
        await asyncio.to_thread(server.wait_until_it_accepts)
        # Its first answer takes seconds, and by then it is down.
        await asyncio.to_thread(eventually, lambda: not self.report(server) or self.report(server)["state"] != "down", servers.STARTING)

    def report(self, server):
        """Nothing where the file does not name it, and nothing of it is left."""
        return next((backend for backend in self.status.pool()["backends"] if backend["name"] == server.name), None)


def warm_up(server):
    """Has the pages compiled."""
    for page in ("/basket", "/login?user=ana", "/logout"):
        connection = http.client.HTTPConnection(server.address, timeout=servers.STARTING)
        connection.request("GET", page)
        assert connection.getresponse().status == 200
        connection.close()


@pytest.fixture
def mortal_tomcats(tomcats):
    """Those of all tests, warm; whatever is done to them, they run afterwards."""
    with concurrent.futures.ThreadPoolExecutor() as both:
        list(both.map(warm_up, tomcats))
    yield tomcats
    for server in tomcats:
        server.thaw()
        if server.process.poll() is not None:
            server.start()
            server.wait_until_it_accepts()


def live_through_a_storm(scene, tomcats, affinity, seconds):
    pool = {**POOLS[affinity], **(BY_ID if "session-id" in affinity else {}), "drain_timeout": "1s", "timeouts": {"head": "1s", "connect": "1s"},
            "health": {"check": "http", "path": "/logout", "interval": "500ms", "fast_interval": "200ms", "timeout": "400ms", "rise": 1, "fall": 2}}
    limpet = scene.limpet([server.as_table() for server in tomcats], pool=pool, listener={"proxy_protocol": affinity == "ip"}, workers=2, status=status_table())
    shoppers = [Shopper(number, limpet.address[1], affinity == "ip") for number in range(SHOPPERS)]
    storm = SlowStorm(limpet, tomcats, Status(limpet))
    seen = hold_to_the_truth(storm, shoppers, seconds, f"Tomcats, {affinity}", pause=0.1, carries=False)
    assert seen["answered 200"] > SHOPPERS * seconds / 2  # both may be away for a while


def test_what_is_reported_lost_is_what_shoppers_lost(scene, mortal_tomcats):
    live_through_a_storm(scene, mortal_tomcats, "session-id, cookie", SHORT)


@pytest.mark.soak
@pytest.mark.parametrize("affinity", POOLS)
def test_what_is_reported_lost_is_what_shoppers_lost_for_a_minute(scene, mortal_tomcats, affinity):
    live_through_a_storm(scene, mortal_tomcats, affinity, LONG)
