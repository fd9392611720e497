"""A backend that is killed (-9) while hundreds of clients ask: which requests that costs, how soon nothing is tried there any more, and
that Limpet's own figures of it are what clients saw. The figures are printed."""

import asyncio
import collections
import dataclasses
import random
import time

import pytest

from support.limpet import settings
from support.status import Status, status_table
from support.truth import Client, Server, seen_by

CLIENTS = 300
INTERVAL = 0.5  # seconds between two checks
POOLS = {
    "cookie": {"affinity": ["cookie"]},
    "session-id": {"affinity": ["session-id"], "session_id": {"sources": ["cookie:SID"]}},
}
FOUND_BY = {
    "requests": {"passive": {"failures": 5}},
    "checks": {"passive": {"failures": 0}},
}


@dataclasses.dataclass
class Asked:
    """One request, as its client knows it."""
    method: str
    begun: float
    is_over: bool = False
    status: int | None = None  # None, once it is over: the connection broke


class Crowd:
    """Clients that go on asking until they are told to stop, and what became of each request."""

    def __init__(self, port, transport):
        self.clients = [Client(number, port, by_address=False, **transport.clients) for number in range(CLIENTS)]
        self.asked = {}  # by id
        self.is_over = False

    async def live(self, client):
        while not self.is_over:
            name, asked = f"r{len(self.asked)}", Asked(random.choice(("GET", "GET", "POST")), time.time())
            self.asked[name] = asked
            asked.status = await client.ask(asked.method, "/", f"X-Request-Id: {name}")
            asked.is_over = True
            await asyncio.sleep(random.uniform(0, 0.3))
        client.close()

    async def until(self, condition):
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"{len(self.asked)} requests, and nothing of what was waited for"
            await asyncio.sleep(0.01)

    async def serve(self, count):
        """Waits until so many more requests were begun and are over."""
        known = len(self.asked)
        await self.until(lambda: len(self.asked) >= known + count and all(one.is_over for one in list(self.asked.values())[:known + count]))

    @property
    def under_way(self):
        return {name for name, asked in self.asked.items() if not asked.is_over}

    @property
    def failed(self):
        return {name for name, asked in self.asked.items() if asked.is_over and asked.status != 200}


def tries_at(status, backend):
    """Attempts at it that failed, of all kinds."""
    return status.metric("limpet_backend_attempt_failures_total", backend=backend.name)


@pytest.fixture
def killed_under_load(scene, tmp_path, transport):
    """Starts three servers and Limpet, and lets the first be killed under load. Returns what there was to see."""
    servers = [Server(name, journal=tmp_path / name, delay=0.05, **transport.server) for name in "abc"]

    def run(**pool):
        for server in servers:
            server.wait()
        interval = f"{INTERVAL * 1000:.0f}ms"
        check = {"check": "http", "path": "/healthz", "interval": interval, "fast_interval": interval, "timeout": interval, "rise": 1, "fall": 2}
        limpet = scene.start(settings([server.as_table() for server in servers], workers=2, status=status_table(), pool={**pool, **transport.pool, "health": check}))
        status, crowd = Status(limpet), Crowd(limpet.address[1], transport)
        seen = Seen(status, crowd, *asyncio.run(kill_one(crowd, status, servers[0])))
        seen.lines = {line["request_id"]: line for line in limpet.log(len(crowd.asked))}
        seen.arrived = {server.name: collections.Counter((tmp_path / server.name).read_text().split()) for server in servers}
        return seen

    yield run
    for server in servers:
        server.close()


@dataclasses.dataclass
class Seen:
    status: Status
    crowd: Crowd
    killed: float           # when
    under_way: set          # at that moment
    begun_until_down: int   # since
    begun_at_rest: int      # later, while it was down
    lines: dict = None      # of the access log, by id
    arrived: dict = None    # by backend: how many times each id

    @property
    def retries(self):
        return sum(line["retries"] for line in self.lines.values())

    def posts(self, names):
        return sum(self.crowd.asked[name].method == "POST" for name in names)

    def tell(self, what):
        crowd = self.crowd
        there = self.under_way & self.arrived["a"].keys()
        after = [name for name, asked in crowd.asked.items() if asked.begun > self.killed]
        tried = [number for number, name in enumerate(after, 1) if self.lines[name]["retries"] or self.lines[name]["end"] == "backend_closed"]
        last = crowd.asked[after[tried[-1] - 1]].begun - self.killed if tried else 0
        print(f"{what}: {CLIENTS} clients, {len(crowd.asked)} requests, {len(self.under_way)} under way at the kill, {len(there)} of them at the "
              f"victim ({self.posts(there)} POST). Failed: {len(crowd.failed)} ({self.posts(crowd.failed)} POST), of which never arrived "
              f"{len(crowd.failed - there)}, begun after the kill {len(crowd.failed - self.under_way)}. Attempts made again: {self.retries}. "
              f"Down by {self.begun_until_down} requests after the kill. Tried at the victim: {len(tried)} of those, the last one number "
              f"{tried[-1] if tried else 0}, {last / INTERVAL:.2f} check intervals after the kill; then none of {self.begun_at_rest}.")


async def kill_one(crowd, status, victim):
    """What there was to see of it: when, what was under way, and how many attempts failed there in the end."""
    lives = asyncio.gather(*(crowd.live(client) for client in crowd.clients))
    await crowd.serve(5 * CLIENTS)
    before = crowd.under_way  # while nothing here runs but the kill
    victim.kill()
    killed = time.time()
    begun_before = len(crowd.asked)
    await asyncio.to_thread(status.wait_for_state, victim.name, "down")
    begun_until_down = len(crowd.asked) - begun_before
    await crowd.serve(CLIENTS)  # each worker has followed by now
    tries = await asyncio.to_thread(tries_at, status, victim)
    begun_before_rest = len(crowd.asked)
    await crowd.serve(3 * CLIENTS)
    assert await asyncio.to_thread(tries_at, status, victim) == tries, "it was tried again although it is down"
    crowd.is_over = True
    await lives
    return killed, before, begun_until_down, len(crowd.asked) - begun_before_rest


@pytest.mark.parametrize(("affinity", "found_by", "transport"), [("cookie", "requests", "plain h2"), ("session-id", "checks", "plain")], indirect=["transport"])
def test_a_kill_costs_what_was_under_way_and_could_not_be_repeated(killed_under_load, affinity, found_by):
    seen = killed_under_load(**POOLS[affinity], **FOUND_BY[found_by])
    seen.tell(f"{affinity}, found out by {found_by}")
    status, crowd, lines = seen.status, seen.crowd, seen.lines
    failed, there = crowd.failed, seen.under_way & seen.arrived["a"].keys()

    # What failed: POSTs that had gone out to it, and nothing else. Nothing was done twice.
    assert there and failed, "nothing was under way there: this tests nothing"
    assert {crowd.asked[name].method for name in failed} == {"POST"}
    assert {(lines[name]["backend"], lines[name]["end"], lines[name]["status"]) for name in failed} == {("a", "backend_closed", 502)}
    assert failed <= seen.under_way, "requests failed that were begun when it was dead"
    assert all(sum(of_one[name] for of_one in seen.arrived.values()) <= 1 for name, asked in crowd.asked.items() if asked.method == "POST")

    # Limpet's own figures are the clients'.
    for backend in "abc":
        is_it = backend == "a"
        assert status.metric("limpet_backend_requests_failed_total", backend=backend) == (len(failed) if is_it else 0)
        assert status.metric("limpet_backend_retries_total", backend=backend) == (seen.retries if is_it else 0)
    incident, = status.incidents("outage")
    assert (incident["requests_failed"], incident["requests_retried"]) == (len(failed), seen.retries)
    logouts = seen_by(crowd.clients)["logged out by a change of backend"]
    assert incident["lost"] == status.pool()["sessions"]["totals"]["lost"] == logouts > 0


@pytest.mark.parametrize("transport", ["plain http/1.1 to h2"], indirect=True)
def test_under_refuse_every_request_that_the_victim_should_have_answered_counts_as_failed(killed_under_load):
    seen = killed_under_load(affinity=["cookie"], failover="refuse", **FOUND_BY["checks"])
    seen.tell("cookie, refused, found out by checks")
    status, failed = seen.status, seen.crowd.failed
    incident, = status.incidents("outage")
    ends = collections.Counter(seen.lines[name]["end"] for name in failed)
    assert ends.keys() <= {"backend_closed", "refused"}
    assert status.metric("limpet_pool_session_errors_total", kind="refused") == ends["refused"] > 0
    assert seen_by(seen.crowd.clients)["logged out by a change of backend"] == status.pool()["sessions"]["totals"]["lost"] == 0
    assert status.metric("limpet_backend_requests_failed_total", backend="a") == incident["requests_failed"] == len(failed)
