"""One story, lived by the users of each application that the README names, in the form in which it is run: servers are killed, restarted and
drained, and so is Limpet. What Limpet says that it cost is what users saw."""

import contextlib
import dataclasses
import json

import pytest

import servers
from support.limpet import settings
from support.status import Status, status_table
from support.wire import eventually
from users import Driver, McpUser, Regular, SocketUser, own_address

USERS = 24
HEALTH = {"check": "http", "interval": "1s", "fast_interval": "50ms", "timeout": "1s", "rise": 1, "fall": 2}
BECAME = ("lost", "carried", "recovered", "abandoned", "expired", "logged_out", "unbound", "evicted", "moved", "reassigned")


@dataclasses.dataclass
class Application:
    kind: type
    sources: list  # of its session ids, as the README has them
    options: dict = dataclasses.field(default_factory=dict)  # of its servers
    pool: dict = dataclasses.field(default_factory=dict)
    affinity: tuple = ("session-id", "cookie")
    client: dict = dataclasses.field(default_factory=dict)  # options of socket.io's
    page: str = "/whoami"
    health: str = "/healthz"
    unknown: str = "new"  # what it says to an id that it does not know: gives a new one, or deletes it; "adopts" it; or nothing ("silent")
    tells_logouts: bool = True
    outlives_limpet: bool = True
    tls: str = ""  # where it is spoken: "in front", "on both sides"
    marks: tuple = ()


TOMCAT = {"sources": ["cookie:JSESSIONID", "path:jsessionid"], "page": "/home", "health": "/logout", "tells_logouts": False}
SOAK = (pytest.mark.soak,)
PROMPT = {"reconnectionDelay": 100}  # milliseconds
SOCKET_IO = {"sources": [], "unknown": "silent", "tells_logouts": False, "outlives_limpet": False}
BY_COOKIE = {**SOCKET_IO, "affinity": ("cookie",)}
APPLICATIONS = {
    "Tomcat": Application(servers.Tomcat, **TOMCAT),
    "Tomcat, TLS": Application(servers.SafeTomcat, **TOMCAT, tls="on both sides"),
    "Tomcat, DeltaManager": Application(servers.ClusteredTomcat, **TOMCAT, options={"manager": "DeltaManager"}, pool={"storage": "replicated"}, marks=SOAK),
    "Tomcat, BackupManager": Application(servers.ClusteredTomcat, **TOMCAT, options={"manager": "BackupManager"}, pool={"storage": "backup"}, marks=SOAK),
    "Django, files": Application(servers.DjangoWithFiles, ["cookie:sessionid"]),
    "Django, database": Application(servers.DjangoWithDatabase, ["cookie:sessionid"], pool={"storage": "shared"}),
    "PHP, strict": Application(servers.Php, ["cookie:PHPSESSID"], {"strict": True}),
    "PHP, as installed": Application(servers.Php, ["cookie:PHPSESSID"], {"strict": False, "workers": 4}, pool={"session_id": {"adopts_ids": True}},
                                     unknown="adopts"),
    "Express": Application(servers.Express, ["cookie:connect.sid"], {"options": {"saveUninitialized": True}}),
    "Express, TLS": Application(servers.SafeExpress, ["cookie:connect.sid"], {"options": {"saveUninitialized": True, "cookie": {"secure": "auto"}}},
                                tls="on both sides", marks=SOAK),
    "Express, rolling": Application(servers.Express, ["cookie:connect.sid"], {"options": {"saveUninitialized": True, "rolling": True}}),
    "Express, silent": Application(servers.Express, ["cookie:connect.sid"], {"options": {"saveUninitialized": False}}, unknown="silent"),
    "MCP": Application(servers.Mcp, ["header:Mcp-Session-Id"], affinity=("session-id", "ip"), outlives_limpet=False),
    "socket.io, ip": Application(servers.SocketIo, **SOCKET_IO, affinity=("ip",), client=PROMPT),
    "socket.io, cookie": Application(servers.SocketIo, **BY_COOKIE, client={**PROMPT, "withCredentials": True}),
    "socket.io, TLS": Application(servers.SocketIo, **BY_COOKIE, client={**PROMPT, "withCredentials": True}, tls="in front"),
}


class Story:
    """The users of three servers behind a Limpet, and what was said by each Limpet that there was."""

    def __init__(self, scene, application, three, transport):
        self.scene, self.application, self.servers = scene, application, three
        pool = {"affinity": list(application.affinity), **application.pool, "health": {**HEALTH, "path": application.health}}
        if application.sources:
            pool["session_id"] = {"sources": application.sources, **pool.get("session_id", {})}
        by_tls = application.tls == "on both sides"
        self.config = settings([server.as_table(by_tls) for server in three], pool={**pool, **(transport.pool if by_tls else {})},
                               listener={"trusted_proxies": ["127.0.0.1"], **(transport.listener if application.tls else {})}, status=status_table())
        self.start_limpet()
        self.users = []
        self.said = dict.fromkeys((*BECAME, "opened", "restored", "restarted", "uncertain"), 0)

    def start_limpet(self):
        self.limpet = self.scene.start(self.config)
        self.status = Status(self.limpet)
        for server in self.servers:
            self.status.wait_for_state(server.name, "up")

    def end_limpet(self, how):
        self.hear()
        for user in self.users:
            user.close()
        how(self.limpet)
        self.scene.forget(self.limpet)

    def hear(self):
        """Adds what this Limpet says to what was said."""
        totals = self.status.pool()["sessions"]["totals"]
        for event in self.said:
            self.said[event] += totals[event]
        for event in ("lost", "carried"):
            eventually(lambda event=event: sum(incident[event] for incident in self.status.incidents()) == totals[event],
                       what=lambda: f"incidents that account for {totals}: {self.status.incidents()}")
        for incident in self.status.incidents():
            assert incident["at_risk"] + incident["joined"] == sum(incident[what] for what in BECAME) + incident["left"], incident
        assert self.status.pool()["books_imbalance"] == 0

    def order(self, server, what):
        answer = self.status.post(f"/pools/app/backends/{server.name}/{what}")
        assert answer.status == 200, answer.text

    def of(self, server):
        return [user for user in self.users if user.home == server.name]

    def come(self, users=None):
        for user in self.users if users is None else users:
            user.come()

    def seen(self, what):
        return sum(user.seen[what] for user in self.users)

    def logouts(self):
        return self.seen("failover") + self.seen("restart")

    # What happens.

    def everybody_logs_in(self):
        for user in self.users:
            user.arrive()
        assert all(self.of(server) for server in self.servers)

    def fall(self, server):
        server.kill()
        self.status.wait_for_state(server.name, "down")

    def rise(self, server):
        server.start()
        server.wait_until_it_accepts()
        self.status.wait_for_state(server.name, "up")

    def outage(self, server, wiped=False):
        """One half of its users come while it is out of service, the others when it is back."""
        there = self.of(server)
        self.fall(server)
        self.come(there[::2])
        if wiped:
            server.wipe()
        self.rise(server)
        self.come()
        self.come()

    def maintenance(self, server):
        there = self.of(server)
        self.order(server, "maintenance")
        self.come(there[::2])
        self.order(server, "up")
        self.status.wait_for_state(server.name, "up")
        logouts = self.logouts()
        self.come()
        assert self.logouts() == logouts

    def restart_in_good_order(self, server):
        self.order(server, "maintenance")
        server.stop()
        server.start()
        server.wait_until_it_accepts()
        self.order(server, "up")
        self.status.wait_for_state(server.name, "up")
        self.come()

    def drain(self, server):
        """Nobody is cut: who is there stays until they have logged out, and comes back elsewhere."""
        there, logouts, moves = self.of(server), self.logouts(), self.seen("carried")
        self.order(server, "drain?known_only=true")
        self.come()
        assert self.of(server) == there
        assert (self.logouts(), self.seen("carried")) == (logouts, moves)
        if self.application.tells_logouts:
            for user in there:
                user.log_out()
                user.log_in()
            assert not self.of(server)
            self.status.wait_for_state(server.name, "maintenance")
            drain, = self.status.incidents("drain")
            assert (drain["at_risk"], drain["logged_out"], drain["left"]) == (len(there), len(there), 0)
        self.order(server, "up")
        self.status.wait_for_state(server.name, "up")
        self.come()
        assert (self.logouts(), self.seen("carried")) == (logouts, moves)

    def restart_limpet(self, how):
        logouts, moves, seen = self.logouts(), self.seen("carried"), [user.seen.copy() for user in self.users]
        self.end_limpet(how)
        self.start_limpet()
        if self.application.outlives_limpet:
            self.come(self.users[::2])
            assert (self.logouts(), self.seen("carried")) == (logouts, moves)
        else:  # what that costs it cannot know
            self.come()
            assert logouts < self.logouts() <= logouts + USERS
            if "cookie" in self.application.affinity:
                assert self.seen("failover") == sum(before["failover"] for before in seen)
            for user, before in zip(self.users, seen, strict=True):
                user.seen = before


    def hold_to_the_truth(self):
        said, seen, unknown = self.said, {what: self.seen(what) for what in ("failover", "restart", "carried")}, self.application.unknown
        print(f"Limpet says {said}; users saw {seen}")
        is_local = "storage" not in self.application.pool
        if self.application.kind is servers.Mcp:  # a client's event stream may find out before its user does, elsewhere
            assert (said["lost"], said["uncertain"]) == (seen["failover"] + seen["restart"], 0)
            return
        assert said["lost"] - said["restarted"] == seen["failover"]
        assert said["carried"] == seen["carried"]
        assert (seen["failover"] > 0, seen["carried"] > 0) == (is_local, not is_local)
        assert is_local or seen["restart"] == 0
        if unknown == "new":
            assert (said["restarted"], said["uncertain"]) == (seen["restart"], 0)
        elif unknown == "adopts":
            assert said["restarted"] == 0 < seen["restart"] <= said["uncertain"]
        else:  # a home that is back and says nothing passes for one that knows
            assert said["restarted"] == 0 and seen["restart"] <= said["recovered"]
            assert seen["restart"] > 0 or self.application.kind is servers.SocketIo  # its clients do not wait for their home


def users_of(application, address, drivers, transport):
    url = ("https" if application.tls else "http") + "://%s:%d" % address
    if application.kind is servers.Mcp:
        driver = drivers.enter_context(contextlib.closing(Driver("mcp_users.mjs", url + "/mcp")))
        return [McpUser(driver, number) for number in range(USERS)]
    if application.kind is servers.SocketIo:
        driver = drivers.enter_context(contextlib.closing(Driver("socket_users.mjs", url, json.dumps(application.client), authority=transport.files["certificate"])))
        return [SocketUser(driver, number) for number in range(USERS)]
    return [Regular(address, f"user{number}", source=own_address(number), page=application.page, tls=transport.client if application.tls else None)
            for number in range(USERS)]


@pytest.fixture(params=[pytest.param(name, marks=application.marks) for name, application in APPLICATIONS.items()])
def story(request, scene, tls_on_both_sides):
    application = APPLICATIONS[request.param]
    kind = servers.kind(application.kind, **application.options, files=tls_on_both_sides.files)
    with servers.running(kind, "abc") as three:
        story = Story(scene, application, three, tls_on_both_sides)
        with contextlib.ExitStack() as drivers:
            story.users = users_of(application, story.limpet.address, drivers, tls_on_both_sides)
            yield story


def test_what_limpet_says_that_it_cost_is_what_users_saw(story):
    a, b, c = story.servers
    story.everybody_logs_in()
    story.outage(a)
    if isinstance(b, servers.Files):
        story.outage(b, wiped=True)
    story.maintenance(b)
    story.drain(c)
    story.restart_limpet(lambda limpet: limpet.stop())
    story.restart_in_good_order(c)
    story.restart_limpet(lambda limpet: limpet.kill())
    story.outage(b)
    story.hear()
    story.come()
    story.hold_to_the_truth()
