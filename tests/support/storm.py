"""What befalls servers and clients in a test of truth: one thing after another, at random, while everybody goes on asking; and what Limpet
says of it afterwards."""

import asyncio
import collections
import copy
import os
import random
import signal
import time

from support.truth import crowd, hold_lost, seen_by
from support.wire import listens

SHORT, LONG = (float(os.environ.get("TRUTH_SECONDS", seconds)) for seconds in (8, 60))
LOGOUTS = {"logged out by a change of backend", "logged out by a restart"}


class Storm:
    """Does things to servers, one after another, and leaves none of them hanging. Of servers it takes kill, start, freeze and thaw."""

    def __init__(self, limpet, servers, status, go_away=False):
        """`go_away`: they can do that too."""
        self.limpet, self.servers, self.status = limpet, servers, status
        self.seed = int(os.environ.get("TRUTH_SEED", time.time_ns() % 1_000_000))
        self.random = random.Random(self.seed)
        self.deeds = (self.kill, self.kill, self.hang, self.drain, self.maintain, self.reload) + (self.go_away,) * go_away
        self.did = []

    def order(self, server, what):
        answer = self.status.post(f"/pools/app/backends/{server.name}/{what}")
        assert answer.status in (200, 404, 409), answer.text  # not now, or the file does not name it

    async def run(self, until):
        await asyncio.sleep(0.5)  # everybody has a session
        what = self.kill
        while time.monotonic() < until:
            server = self.random.choice(self.servers)
            self.did.append(f"{what.__name__} {server.name}")
            await what(server)
            await asyncio.sleep(self.random.uniform(0.05, 0.5))
            what = self.random.choice(self.deeds)

    async def kill(self, server):
        server.kill()
        await asyncio.sleep(self.random.choice((0, 0.1, 1.0)))
        server.start()

    async def hang(self, server):
        server.freeze()
        await asyncio.sleep(self.random.uniform(0.2, 2.0))
        server.thaw()

    async def go_away(self, server):
        if await asyncio.to_thread(listens, server.port):  # it may have been started just now
            server.go_away()

    async def drain(self, server):
        await asyncio.to_thread(self.order, server, "drain")
        await asyncio.sleep(self.random.uniform(0.1, 1.5))
        await asyncio.to_thread(self.order, server, self.random.choice(("undrain", "up")))

    async def maintain(self, server):
        await asyncio.to_thread(self.order, server, "maintenance")
        await asyncio.sleep(self.random.uniform(0.1, 1.0))
        await asyncio.to_thread(self.order, server, "up")

    async def reload(self, server):
        """Other weights; and one time in three a backend is left out, until the next reload."""
        config = copy.deepcopy(self.limpet.config)
        backends = config["pool"][0]["backend"]
        if self.random.randrange(3) == 0:
            backends.remove(next(backend for backend in backends if backend["name"] == server.name))
        for backend in backends:
            backend["weight"] = self.random.choice((50, 100, 200))
        self.limpet.write(config)
        self.limpet.signal(signal.SIGHUP)


def hold_to_the_truth(storm, clients, seconds, what, *, pause, carries):
    """Lets the storm rage and says what came of it: lost is what clients lost, or, where everything is `carried`, carried is what moved."""
    async def live():
        await asyncio.gather(crowd(clients, seconds + 1, pause), storm.run(time.monotonic() + seconds))

    asyncio.run(live())
    seen, pool = seen_by(clients), storm.status.pool()
    said = pool["sessions"]["totals"]
    did = collections.Counter(event.split()[0] for event in storm.did)
    print(f"{what}: seed {storm.seed}, {seconds:.0f} s, {dict(did)}; clients saw {dict(seen)}; "
          f"lost {said['lost']} = {seen['logged out by a change of backend']} logouts, carried {said['carried']} = {seen['carried']} moves")
    story = f"Limpet says {said}; what happened: {storm.did}"
    # Of these alone a client can tell where its session is: the application's answers, and Limpet's own.
    assert seen.keys() <= {"answered 200", "answered 502", "answered 503", "answered 504", "carried", *LOGOUTS}, story
    assert pool["books_imbalance"] == 0, story
    hold_lost(said, seen, story)
    assert said["carried"] == seen["carried"], story
    assert said["carried" if carries else "lost"] > 0 == said["lost" if carries else "carried"], story
    return seen
