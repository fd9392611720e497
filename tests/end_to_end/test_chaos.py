"""Chaos: descriptors, ports, disks and readers run out, processes stop and die, files are reloaded, one after another and two at a time.
Whoever is not concerned is served at home all the while, operators get in, and nothing of it stays. Half the clients speak HTTP/2; all
servers do, or none.

CHAOS_SECONDS and CHAOS_SEED choose how long, and what happens. The figures are printed.
"""

import asyncio
import collections
import os
import signal
import time

import pytest

from support.chaos import DEEDS, Resident, Stderr, Watcher, World
from support.limpet import is_sanitized, pool_table, settings
from support.network import network_or_skip
from support.status import Status, status_table
from support.transport import HTTP2, VERSIONS
from support.truth import Server, hold_lost, seen_by
from support.wire import eventually

SHORT, LONG = (float(os.environ.get("CHAOS_SECONDS", seconds)) for seconds in (20, 600))
RESIDENTS = 30
SERVERS = 4
MOST_FILES = 192
GROWTH = 2.5 if not is_sanitized() else 5  # of the second half over the first, in which not everything has been done
POOL = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:SID"]}, "storage": "local", "drain_timeout": "60s",
        "timeouts": {"connect": "2s", "head": "3s", "keep_alive": "1s"},
        "health": {"check": "http", "path": "/healthz", "interval": "1s", "fast_interval": "200ms", "timeout": "1s", "rise": 1, "fall": 2}}


@pytest.fixture(autouse=True)
def apart():
    with network_or_skip():
        yield


@pytest.fixture
def start_servers():
    made = []

    def start(version):
        made[:] = [Server(f"s{number}", delay=0.005 * (number + 1), http2=version == HTTP2) for number in range(SERVERS)]
        for server in made:
            server.wait()
        return made

    yield start
    for server in made:
        server.close()


def own_memory(limpet):
    """In KiB, without what it shares with other processes, whose number varies."""
    with open(f"/proc/{limpet.process.pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Anonymous:"))


def fewest_descriptors(limpet, seconds=2):
    """Those of checks and of questions to the status endpoint come and go."""
    end, counts = time.monotonic() + seconds, []
    while time.monotonic() < end:
        counts.append(len(limpet.descriptors()))
        time.sleep(0.01)
    return min(counts)


class Life:
    """The residents' life through one round after another, and what is held after each."""

    def __init__(self, world, status):
        self.world, self.status = world, status
        self.residents = [Resident(number, world.port, world.under_way, http2=number % 2 == 0) for number in range(RESIDENTS)]
        self.resting = fewest_descriptors(world.limpet)
        self.sizes = []

    def story(self):
        return f"what happened: {self.world.did}"

    def states(self):
        return {backend["name"]: backend["state"] for backend in self.status.pool()["backends"]}

    async def all_ask(self):
        await asyncio.gather(*(resident.ask("GET") for resident in self.residents))

    async def round(self):
        until = asyncio.Event()

        async def live(resident):
            while not until.is_set():
                await resident.act()
                await asyncio.sleep(self.world.random.uniform(0, 0.2))

        living = [asyncio.create_task(live(resident)) for resident in self.residents]
        before = self.newest_incident()
        await self.world.round()
        until.set()
        await asyncio.wait_for(asyncio.gather(*living), 60)
        await self.calm(before)

    def newest_incident(self):
        return max((incident["id"] for incident in self.status.incidents()), default=0)

    async def calm(self, before):
        """Nothing holds any more: everybody is served, each at home, and nothing is left of what was."""
        struck = self.world.struck()
        spared = {server.name for server in self.world.servers} - struck
        blamed = {incident["backend"] for incident in self.status.incidents("outage") + self.status.incidents("lapse")
                  if incident["id"] > before}
        for server in self.world.servers:
            await asyncio.to_thread(server.wait)
        for name in struck:
            self.status.post(f"/pools/app/backends/{name}/up")
        await asyncio.to_thread(eventually, lambda: self.states() == {server.name: "up" for server in self.world.servers}, 30,
                                lambda: f"all are up: {self.states()}, {self.story()}")
        assert not blamed & spared, f"backends were blamed: {blamed & spared}; {self.story()}"
        await self.all_ask()
        self.world.under_way.clear()
        await self.all_ask()
        for resident in self.residents:
            assert resident.faults == [], f"{resident.faults}; {self.story()}"
            resident.close()
        pool, seen = self.status.pool(), seen_by(self.residents)
        assert pool["books_imbalance"] == 0, self.story()
        hold_lost(pool["sessions"]["totals"], seen, self.story())
        await asyncio.to_thread(self.wait_for_rest)
        self.sizes.append(own_memory(self.world.limpet))

    def wait_for_rest(self):
        """No more descriptors are open than before it all began, once connections to backends that nobody uses have ended."""
        limpet = self.world.limpet
        eventually(lambda: len(limpet.descriptors()) <= self.resting, 15, lambda: f"{limpet.descriptors()}, not {self.resting}; {self.story()}")


def ends_within_its_time(life):
    """SIGTERM while a request is under way at a server that does not answer."""
    limpet, servers = life.world.limpet, life.world.servers
    for server in servers:
        server.freeze()
    limpet.http2().open()
    eventually(lambda: any(backend["requests"]["in_flight"] for backend in life.status.pool()["backends"]))
    limpet.signal(signal.SIGTERM)
    status = limpet.wait(15)
    limpet.assert_sane(life.world.stderr.text())
    assert status == 0, life.story()
    for server in servers:
        server.thaw()


def live_through_chaos(scene, start_servers, tmp_path, seconds, growth):
    seed = int(os.environ.get("CHAOS_SEED", time.time_ns() % 1_000_000))
    version = VERSIONS[seed % 2]
    servers = start_servers(version)
    print(f"CHAOS_SEED={seed} CHAOS_SECONDS={seconds:.0f}, servers speak {version}")
    stderr, access_log = Stderr(), tmp_path / "access.log"
    tables = [server.as_table() for server in servers]
    routes = [{"pool": "app"}, {"path": "/spare", "pool": "spare"}]
    spare = pool_table("spare", [{**tables[0], "name": "spare"}], protocol=version)
    limpet = scene.start(settings(pools=[pool_table("app", tables, protocol=version, **POOL), spare], routes=routes, workers=2, status=status_table(), log={"access": str(access_log)},
                                  shutdown_timeout="2s"), stderr=stderr.writer, most_files=MOST_FILES)
    os.close(stderr.writer)
    status = Status(limpet)
    world = World(limpet, servers, stderr, access_log, MOST_FILES, seed)
    life, watcher = Life(world, status), Watcher(status.address, world.under_way)
    watcher.start()
    end = time.monotonic() + seconds

    async def live():
        await life.all_ask()
        while time.monotonic() < end or len(world.did) < len(DEEDS):
            await life.round()

    try:
        asyncio.run(live())
        watcher.end()
    finally:
        watcher.over.set()
        print(f"{len(world.did)} rounds: {dict(collections.Counter(name for did in world.did for name in did.split() if len(name) > 3))}; "
              f"clients saw {dict(seen_by(life.residents))}; status asked {watcher.asked} times; KiB {life.sizes}")
    assert watcher.faults == [], life.story()
    half = len(life.sizes) // 2
    early, late = max(life.sizes[:half]), max(life.sizes[half:])  # a file with many faults takes some until a pool ends
    assert late < growth * early, f"{early} KiB, then {late}: {life.sizes}; {life.story()}"
    ends_within_its_time(life)


@pytest.mark.workers
def test_through_chaos_whoever_is_not_concerned_is_served_at_home_and_nothing_of_it_stays(scene, start_servers, tmp_path):
    live_through_chaos(scene, start_servers, tmp_path, SHORT, GROWTH)


@pytest.mark.soak
def test_through_ten_minutes_of_chaos_the_same(scene, start_servers, tmp_path):
    live_through_chaos(scene, start_servers, tmp_path, LONG, 1.2)
