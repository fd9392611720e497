"""One life of a world: one thing after another, drawn from its seed; then what Limpet says of it is held against what clients saw."""

import collections
import copy
import random
import signal

from support.applications import Application
from support.balancer import Balancer
from support.limpet import settings
from support.status import status_table
from support.transport import HTTP1, HTTP2
from support.visitor import BY_CHANGE, BY_RESTART, NO_REASON, Lines, Visitor
from support.wire import eventually
from support.worlds import SECRETS, promise

OUT = ("down", "maintenance")


class Voyage:
    def __init__(self, scene, world, transport):
        self.world, self.promise = world, promise(world)
        self.random = random.Random(world.seed + 1)
        memory, lock = world.memory(), None
        self.memory = memory
        self.servers = {}
        for name in world.names:
            application = Application(world.kind, memory, lock, shows_boot=world.boots)
            lock = application.lock
            self.servers[name] = scene.backend(name, application, **transport.backend)
            self.servers[name].records_bytes = False
        self.tables = [server.as_table(**({"backup": world.backup_of[name]} if world.backup_of else {})) for name, server in self.servers.items()]
        self.balancers = []
        for number in range(world.limpets):
            config = settings(copy.deepcopy(self.tables), pool={**world.pool(number), **transport.pool},
                              listener={"proxy_protocol": "ip" in world.affinity, **transport.listener},
                              secrets=SECRETS, status=status_table(), workers=self.random.choice((1, 2)))
            self.balancers.append(Balancer(scene, config, number))
        self.lines = Lines(world.keeps)
        self.visitors = []
        for _ in range(world.clients):
            self.newcomer()
        self.trouble = {}  # name -> what ends it
        self.emptied = False  # a server came back without its sessions, and not all of its clients were answered since
        self.did = []
        self.deeds = [self.kill, self.kill, self.drain, self.maintain, self.reload, self.settle]
        if world.hangs:
            self.deeds += [self.hang]
        if world.boots:
            self.deeds += [self.restart_unseen]
        if world.back == HTTP2:
            self.deeds += [self.go_away]
        if world.knows_tokens:
            self.deeds += [self.restart_limpet, self.restart_limpet]
        if world.is_calm:
            self.deeds = [self.settle, self.restart_limpet]
        if world.pauses:
            self.deeds += [self.pause]

    # What clients do.

    def newcomer(self):
        known = self.random.choice(self.visitors) if self.world.crowded and self.visitors and self.random.randrange(4) else None
        self.visitors.append(Visitor(len(self.visitors), self.world.kind, "ip" in self.world.affinity, known and known.source))
        self.choose_version(self.visitors[-1])
        return self.visitors[-1]

    def choose_version(self, visitor):
        version = self.random.choice((HTTP1, HTTP2)) if self.world.front == "either" else self.world.front
        visitor.lines = self.lines if version == HTTP2 else None

    def any_limpet(self):
        return self.random.choice(self.balancers).limpet

    def is_hung(self):
        return any(not server.handler.runs.is_set() for server in self.servers.values())

    def act(self):
        visitor = self.random.choice(self.visitors)
        self.choose_version(visitor)
        limpet = self.any_limpet()
        what = self.random.randrange(100)
        if what < 5:
            visitor = self.newcomer()
            if what < 3:
                method = "POST" if self.world.kind.at_login else "GET"
                targets = [("GET", "/"), (method, "/login" if self.world.kind.at_login else "/")]
                self.random.shuffle(targets)
                visitor.ask_at_once(limpet, targets if not self.is_hung() else [("GET", "/"), ("GET", "/")])
                # The token that came last may be of the answer without an id. The next one names it.
                return visitor.ask(limpet)
        if what < 15 and not self.is_hung():
            return self.change(visitor, limpet)
        if what < 20 and self.world.posts and not self.is_hung():
            return visitor.ask(limpet, "POST")
        if what < 25 and self.world.leaves:
            return self.leave(visitor, limpet)
        if what < 30 and visitor.nonce:
            return visitor.ask_at_once(limpet, [("GET", "/"), ("GET", "/")]) if not self.trouble and not self.emptied else visitor.ask(limpet)
        if self.world.kind.at_login and not visitor.has_id and self.random.randrange(2) and not self.is_hung():
            return visitor.ask(limpet, "POST", "/login")
        return visitor.ask(limpet)

    def change(self, visitor, limpet):
        """A login or a logout. Unless anything goes, what has become of its session is told by a GET before."""
        if not self.world.posts and visitor.has_id and visitor.ask(limpet) not in (200, 401, 404):
            return
        if self.random.randrange(3) == 0:
            visitor.ask(limpet, *(("DELETE", "/") if self.world.kind.header else ("POST", "/logout")))
        elif not self.world.kind.header:
            visitor.ask(limpet, "POST", "/login")

    def leave(self, visitor, limpet):
        applications = [server.handler for server in self.servers.values()]
        before = sum(application.arrived for application in applications)
        connection = visitor.leave(limpet)

        def arrived():
            return sum(application.arrived for application in applications) - before

        eventually(lambda: arrived() or not connection.is_silent(0.001), what="the request of who leaves arrives")
        visitor.give_up(limpet, connection)
        if arrived():
            eventually(lambda: sum(application.departed for application in applications) > before, what="who left is seen to have left")

    def everybody(self, through=None):
        for visitor in self.visitors:
            for _ in range(5):
                if visitor.ask(through or self.any_limpet()) in (200, 401, 404):
                    break

    # What befalls servers.

    def do(self, deed):
        self.did.append(deed.__name__)
        deed()

    def event(self):
        if self.trouble and self.random.randrange(2):
            return self.end_a_trouble()
        self.do(self.random.choice(self.deeds))

    def victim(self):
        well = [name for name in self.servers if name not in self.trouble]
        if len(well) < 2:
            return None
        name = self.random.choice(well)
        self.did[-1] += f" {name}"
        return name

    def end_a_trouble(self):
        name = self.random.choice(list(self.trouble))
        self.did.append(f"end {name}")
        self.trouble.pop(name)()

    def wait_until(self, name, states):
        for balancer in self.balancers:
            eventually(lambda: balancer.state(name) in states, what=lambda: f"{name} is {states}: {balancer.status.backend(name)}", patience=15)

    def kill(self):
        if not (name := self.victim()):
            return
        server, forgets = self.servers[name], self.random.randrange(2) == 0
        # While two are out, and not seen to be, nobody can tell whose copies are gone.
        dead = [other for other, one in self.servers.items() if not one.listens and self.world.has_copies]
        for other in dead:
            self.wait_until(other, OUT)
        server.die()
        self.memory.stops(name, forgets=forgets)
        server.handler.boot += 1
        is_seen = self.random.randrange(2) == 0 or bool(dead)
        if is_seen:
            self.wait_until(name, OUT)
        self.did[-1] += (" and it forgets" if forgets else "") + (", seen" if is_seen else "")

        def come_back():
            if forgets:
                self.wait_until(name, OUT)
            self.memory.starts(name)
            self.emptied |= forgets
            server.listen()
            if forgets or self.random.randrange(2):
                self.wait_until(name, ("up",))

        self.trouble[name] = come_back

    def restart_unseen(self):
        """The next checks tell."""
        if not (name := self.victim()):
            return
        server, application = self.servers[name], self.servers[name].handler
        for balancer in self.balancers:
            self.wait_for_checks(server, balancer)
        server.die()
        self.memory.stops(name, forgets=True)
        application.boot += 1
        self.memory.starts(name)
        server.listen()
        self.emptied = True
        for balancer in self.balancers:
            self.wait_for_checks(server, balancer)
        self.wait_until(name, ("up",))

    @staticmethod
    def wait_for_checks(server, balancer):
        """The answers to all but the last have been judged."""
        def checks():
            return sum(check.host == f"limpet-{balancer.number}" for check in list(server.checks))

        before = checks()
        eventually(lambda: checks() >= before + 3, what=f"checks of {server}")

    def go_away(self):
        """It ends its connections in order, as a server does to balance load. Nothing comes of that."""
        if name := self.victim():
            self.servers[name].go_away()

    def hang(self):
        alone = not self.trouble  # of several that hang some are held
        if not (name := self.victim()):
            return
        application = self.servers[name].handler
        application.runs.clear()
        if self.random.randrange(2) and alone:
            self.wait_until(name, OUT)
        self.trouble[name] = application.runs.set

    def orders(self, what):
        if not (name := self.victim()):
            return
        told = self.random.sample(self.balancers, self.random.randint(1, len(self.balancers)))
        for balancer in told:
            balancer.order(name, what)

        def end():
            for balancer in self.balancers:
                balancer.order(name, "up")

        self.trouble[name] = end
        if what == "drain" and self.random.randrange(4) == 0:
            for balancer in told:
                eventually(lambda: balancer.state(name) in OUT, what="the end of the drain")

    def drain(self):
        self.orders("drain")

    def maintain(self):
        self.orders("maintenance")

    def reload(self):
        """Other weights; and one time in three a backend is left out until the trouble ends."""
        tables = copy.deepcopy(self.tables)
        for table in tables:
            table["weight"] = self.random.choice((50, 100, 200))
        left_out = self.left_out()
        is_spare = len(tables) - len(left_out) > 2 and not self.world.backup_of
        if self.random.randrange(3) == 0 and is_spare and (name := self.victim()):
            left_out.append(name)
            self.trouble[name] = lambda: self.reload_with([table for table in tables if table["name"] not in self.left_out()])
            self.trouble[name].leaves_out = True
        self.reload_with([table for table in tables if table["name"] not in left_out])

    def left_out(self):
        return [name for name, end in self.trouble.items() if getattr(end, "leaves_out", False)]

    def reload_with(self, tables):
        for balancer in self.balancers:
            balancer.reload(tables)

    def restart_limpet(self):
        """What a server forgot before a process began that process cannot know: those whom it concerns ask before."""
        if self.is_hung():
            return
        if self.emptied:
            self.settle()
        how = self.random.choice((signal.SIGTERM, signal.SIGKILL))
        self.random.choice(self.balancers).restart(how)

    def pause(self):
        def have_expired():
            sessions = [balancer.status.pool()["sessions"] for balancer in self.balancers]
            return all(session["live"] == session["returned"]["live"] for session in sessions)

        eventually(have_expired, what="sessions of who has not returned to expire", patience=10)

    def settle(self):
        """Everything is well again and everybody is answered; from there on nobody is logged out."""
        while self.trouble:
            self.end_a_trouble()
        outages = self.outages()
        for name in self.servers:
            self.wait_until(name, ("up",))
        for balancer in self.balancers:
            self.everybody(balancer.limpet)
        self.emptied = False
        self.stay_quiet(outages)

    def stay_quiet(self, outages):
        """There were so many outages when everybody was last seen to be up."""
        before = self.logouts()
        self.everybody()
        if self.outages() == outages:
            assert self.logouts() == before, f"logged out while all was well: {self.story()}"

    def outages(self):
        return sum(len(balancer.status.incidents()) for balancer in self.balancers)

    # What came of it.

    def seen(self):
        return sum((visitor.seen for visitor in self.visitors), collections.Counter())

    def logouts(self):
        seen = self.seen()
        return seen[BY_CHANGE] + seen[BY_RESTART] + seen[NO_REASON]

    def said(self):
        return sum((balancer.totals() for balancer in self.balancers), collections.Counter())

    def story(self):
        return (f"\nTRUTH_SEED={self.world.seed}\n{self.world}\n{self.promise}\nclients saw {dict(self.seen())}\nLimpet says {dict(self.said())}\n"
                f"what happened: {self.did}")

    def sail(self, steps):
        outages = self.outages()
        self.everybody()
        self.stay_quiet(outages)
        for _ in range(steps):
            if self.random.randrange(12) == 0:
                self.event()
            else:
                self.act()
        self.settle()
        self.hold()

    def hold(self):
        """Limpet's counts against the clients'."""
        if self.world.failback == "stay":
            for balancer in self.balancers:
                eventually(balancer.every_loss_is_in_an_incident, what=self.story)
        seen, said, story = self.seen(), self.said(), self.story()
        lost, restarted, uncertain = said["lost"], said["restarted"], said["uncertain"]
        by_change, by_restart = seen[BY_CHANGE], seen[BY_RESTART]
        assert seen[NO_REASON] == 0, story
        if self.world.is_calm:
            assert by_change + by_restart == 0, story
            return
        if self.world.is_carried:
            assert by_change + by_restart == 0, story
            assert lost == (restarted if self.promise.restarts == "visitors" else 0), story
            assert said["carried"] == (seen["carried"] if self.world.by_id else seen["moved"]), story
            return
        if self.promise.changes == "visitors":
            told = lost + said["carried"]
            assert told - restarted <= seen["moved"] <= told - restarted + uncertain, story
            assert restarted + uncertain >= by_restart if self.promise.restarts == "visitors" else restarted == 0, story
            assert uncertain == 0 or self.world.pauses or self.world.has_copies or self.world.posts, story
            assert by_change <= lost - restarted + uncertain, story
            return
        # A session that a restart may have cost, or a change, is uncertain in one sum.
        silent = self.promise.restarts == "untold" and not self.world.kind.adopts  # it is lost once it has to move
        assert lost - restarted <= by_change + (by_restart if silent else 0), story
        assert by_change <= lost - restarted + uncertain or self.promise.changes == "untold", story
        assert restarted <= by_restart, story
        if self.promise.changes == "exact":
            assert lost - restarted == by_change, story
        if self.promise.restarts == "exact":
            assert restarted == by_restart, story
        if self.promise.restarts == "untold":
            assert restarted == 0, story
        elif self.promise.changes != "untold":
            assert lost <= by_change + by_restart <= lost + uncertain, story
        if (self.promise.changes, self.promise.restarts) == ("exact", "exact"):
            assert uncertain == 0, story
