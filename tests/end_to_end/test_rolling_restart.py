"""Backends are taken away one after the other, as docs/status.md tells operators to: `limpet drain --wait`, a restart, `limpet up`. It costs
nobody anything. (Limpet was started before there was any session, so drains wait for known ones only.) Where a drain's time is up, it costs
what is left, and tunnels last until then."""

import asyncio
import datetime
import random
import re
import threading
import time

import pytest

from support.client import request_bytes
from support.limpet import is_sanitized, settings
from support.session_app import SessionApp
from support.status import Status, status_table
from support.truth import Client, Server, seen_by
from support.wire import Closed, eventually

CLIENTS = 150 if not is_sanitized() else 40
BY_ID = {"session_id": {"sources": ["cookie:SID"]}}
POOLS = {
    "session-id": {"affinity": ["session-id"], **BY_ID},
    "session-id, cookie": {"affinity": ["session-id", "cookie"], **BY_ID},
    # Nothing tells Limpet that such a session is over but that its client stays away.
    "cookie": {"affinity": ["cookie"], "idle_timeout": "8s", "unreturned_timeout": "8s"},
}


class Visitor(Client):
    """Comes, does something, and leaves: logs out, and forgets its cookies."""

    def __init__(self, number, port, transport):
        super().__init__(number, port, by_address=False, **transport.clients)
        self.sessions = 0
        self.is_over = False

    async def live(self):
        while not self.is_over:
            self.sessions += 1
            for _ in range(random.randrange(2, 8)):
                await self.ask(random.choice(("GET", "GET", "POST")))
                await asyncio.sleep(random.uniform(0, 0.2))
            await self.ask("POST", "/logout")
            self.jar.clear()
            self.server = self.nonce = None
            await asyncio.sleep(random.uniform(0, 0.2))
        self.close()


async def restart_all(status, servers, visitors):
    """Returns what each drain's command printed."""
    lives = asyncio.gather(*(visitor.live() for visitor in visitors))
    while any(visitor.sessions < 2 for visitor in visitors):
        await asyncio.sleep(0.05)
    told = []
    for server in servers:
        drain = await asyncio.to_thread(status.command, "drain", f"app/{server.name}", "--wait", "--known-only", patience=60)
        assert (drain[0], drain[2]) == (0, ""), drain
        told.append(drain[1])
        server.kill()
        server.start()
        await asyncio.to_thread(server.wait)
        assert (await asyncio.to_thread(status.command, "up", f"app/{server.name}"))[0] == 0
    await asyncio.sleep(0.3)
    for visitor in visitors:
        visitor.is_over = True
    await lives
    return told


IN_SOAK = [("session-id", "tls"), ("session-id, cookie", "plain h2"), ("cookie", "plain"), ("cookie", "tls h2")]


@pytest.mark.parametrize(("affinity", "transport"), [("session-id", "plain h2 to http/1.1"), ("session-id, cookie", "tls http/1.1 to h2"),
                                                     *(pytest.param(*both, marks=pytest.mark.soak) for both in IN_SOAK)], indirect=["transport"])
def test_a_rolling_restart_costs_nobody_anything(scene, affinity, transport):
    servers = [Server(name, **transport.server) for name in "abc"]
    try:
        for server in servers:
            server.wait()
        limpet = scene.start(settings([server.as_table() for server in servers], pool={**POOLS[affinity], **transport.pool}, listener=transport.listener,
                                      workers=2, status=status_table()))
        status = Status(limpet)
        visitors = [Visitor(number, limpet.address[1], transport) for number in range(CLIENTS)]
        told = asyncio.run(restart_all(status, servers, visitors))
    finally:
        for server in servers:
            server.close()
    seen, pool = seen_by(visitors), status.pool()
    totals = pool["sessions"]["totals"]
    drains = list(reversed(status.incidents("drain")))
    print(f"{affinity}: {sum(visitor.sessions for visitor in visitors)} sessions of {CLIENTS} clients, who saw {dict(seen)}; Limpet says {totals}")
    for drain in drains:
        ended = {key: drain[key] for key in ("logged_out", "expired", "lost", "carried", "moved", "reassigned", "abandoned", "unbound", "evicted", "left")}
        print(f"  drain of {drain['backend']}: began with {drain['at_risk']}, joined {drain['joined']}, {ended}, {drain['closed'] - drain['opened']} s")
        assert drain["at_risk"] + drain["joined"] == sum(ended.values())
        assert drain["at_risk"] > 0 and drain["end"] == "settled"
        assert ended["logged_out"] + ended["expired"] + ended["reassigned"] == sum(ended.values()), "a session ended otherwise than by itself"
        assert drain["requests_failed"] == 0
    # Visitors begin in bursts, for one address' first requests go to one backend: of one drain's all may be new.
    assert any(drain["returned"]["at_risk"] for drain in drains)
    assert [drain["backend"] for drain in drains] == ["a", "b", "c"]
    assert [int(re.search(r"it began with (\d+) sessions?, none was cut$", text.strip())[1]) for text in told] == [drain["at_risk"] for drain in drains]
    assert [line for line in limpet.log(seen.total()) if line["status"] != 200] == []
    assert seen.keys() == {"answered 200"} and seen["answered 200"] > 10 * CLIENTS
    assert status.incidents() == status.incidents("drain")
    assert totals["lost"] == totals["carried"] == totals["moved"] == totals["abandoned"] == 0
    assert pool["books_imbalance"] == 0
    assert status.metric("limpet_backend_requests_failed_total") == 0
    assert {backend["state"] for backend in pool["backends"]} == {"up"}


# What a drain's deadline cuts.


class Application(SessionApp):
    """GET /tunnel becomes an echo; GET /slow is never answered."""

    def __call__(self, connection, request):
        if request.target == "/slow":
            connection.is_closed()
            return connection.close()
        if request.target != "/tunnel":
            return super().__call__(connection, request)
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        try:
            while data := connection.read_some():
                connection.send(data)
        finally:
            connection.close()


class Tunnel:
    def __init__(self, limpet, user):
        self.client = limpet.client()
        self.client.send(request_bytes(target="/tunnel", fields=[f"Cookie: JSESSIONID={user.jar['JSESSIONID']}", "Connection: Upgrade", "Upgrade: echo"]))
        assert self.client.read_head().status == 101
        self.echoes = 0

    def echoes_still(self):
        try:
            self.client.send(b"ping")
            if self.client.read_exactly(4) != b"ping":
                return False
        except (Closed, OSError):
            return False
        self.echoes += 1
        return True


def people_at(scene, names, **pool):
    """A Limpet before three servers, and for each of these names somebody who is logged in at that server. Nobody else is."""
    servers = [scene.backend(name, Application()) for name in "abc"]
    limpet = scene.limpet(servers, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}, **pool}, status=status_table())
    people = []
    for name in names:
        user = limpet.browser()
        elsewhere = []
        while not user.request("POST", "/login", body=b"u").text.startswith(name):
            elsewhere.append(user)
            user = limpet.browser()
        for stranger in elsewhere:
            assert stranger.request("POST", "/logout").text == "bye"
        people.append(user)
    return limpet, Status(limpet), people


def test_a_drains_deadline_cuts_what_is_left_and_tunnels_last_until_then(scene):
    limpet, status, (leaving, idle, asking, tunneling) = people_at(scene, "aaaa", drain_timeout="2s")
    tunnel, slow = Tunnel(limpet, tunneling), limpet.client()
    slow.send(request_bytes(target="/slow", fields=[f"Cookie: JSESSIONID={asking.jar['JSESSIONID']}"]))
    drain = []
    waiting = threading.Thread(target=lambda: drain.append(status.command("drain", "app/a", "--wait")))
    waiting.start()
    deadline = status.wait_for_state("a", "draining")["drain"]["deadline"]
    assert leaving.request("POST", "/logout").text == "bye"
    while status.backend("a")["state"] == "draining":
        if not tunnel.echoes_still():
            assert status.backend("a")["state"] == "maintenance", "the tunnel was cut before the deadline"
            break
        time.sleep(0.02)
    echoes = tunnel.echoes
    eventually(lambda: not tunnel.echoes_still(), what="the tunnel ends at the deadline")
    waiting.join(10)
    assert status.backend("a")["since"] >= deadline - 1  # both in whole seconds
    assert slow.read_response().status == 503
    code, out, _ = drain[0]
    print(f"{out.strip()}; the tunnel echoed {echoes} times while it drained, {tunnel.echoes - echoes} after")
    assert code == 1 and "it began with 4 sessions, and 3 were cut at the deadline" in out
    assert [limpet.log_of(target)[0]["end"] for target in ("/slow", "/tunnel")] == ["backend_withdrawn"] * 2
    assert [user.get("/who").status for user in (idle, asking, tunneling)] == [401] * 3
    ended, = status.incidents("drain")
    assert (ended["at_risk"], ended["logged_out"], ended["left"], ended["lost"], ended["end"]) == (4, 1, 3, 0, "deadline")
    assert eventually(lambda: status.incidents("maintenance")[0]["lost"] == 3)
    assert status.pool()["sessions"]["totals"]["lost"] == 3


@pytest.mark.released
def test_a_tunnel_whose_session_has_ended_lasts_until_the_drains_deadline_and_no_longer(scene):
    # A second drain, ordered before the session ends, outlasts that tunnel and would not if its time began anew. Deadlines are looked
    # at once a second.
    seconds = 6
    limpet, status, (leaving, staying) = people_at(scene, "ab", drain_timeout=f"{seconds}s")
    tunnels = [Tunnel(limpet, leaving), Tunnel(limpet, staying)]
    for backend in "ab":
        assert status.post(f"/pools/app/backends/{backend}/drain?known_only=true").status == 200
        time.sleep(1.2)
    assert leaving.request("POST", "/logout").text == "bye"
    assert status.wait_for_state("a", "maintenance")["cause"] == "drained"
    assert status.wait_for_state("b", "maintenance")["cause"] == "drain_timeout"
    eventually(lambda: not any(tunnel.echoes_still() for tunnel in tunnels), what="the tunnels end")
    lines = {line["backend"]: line for line in limpet.log_of("/tunnel", 2)}
    assert {line["end"] for line in lines.values()} == {"backend_withdrawn"}
    ends = {name: datetime.datetime.fromisoformat(line["time"]).timestamp() + line["total_ms"] / 1000 for name, line in lines.items()}
    drains = {drain["backend"]: drain for drain in status.incidents("drain")}
    print(", ".join(f"the tunnel to {name} ended {ends[name] - drains[name]['opened']:.1f} s after its drain began" for name in "ab") + f"; drain_timeout {seconds} s")
    assert drains["a"]["end"] == "settled" and ends["a"] >= drains["a"]["opened"] + seconds
    assert ends["a"] < ends["b"]
