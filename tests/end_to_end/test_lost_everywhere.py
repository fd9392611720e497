"""What Limpet says was lost is what clients lost, also where one process did not see everything begin: after a restart of Limpet, beside a
second Limpet, at applications that say nothing or delete what they do not know, at backends that come back empty."""

import secrets
import signal

import pytest

from support.limpet import settings
from support.status import Status, status_table
from support.wire import eventually

CLIENTS = 24
HEALTH = {"check": "http", "path": "/healthz", "interval": "1s", "fast_interval": "50ms", "timeout": "1s", "rise": 1, "fall": 2}
SECRETS = {"keys": ["4b" * 32], "hash_secret": "5a" * 32}
BOTH = ["session-id", "cookie"]


class Application:
    """Keeps sessions in its memory. To an id that it does not know it says what `unknown` says: gives a `new` one, deletes it, `adopts` it
    and says nothing or `says` so, or knows nobody (`silent`)."""

    def __init__(self, unknown="new"):
        self.unknown = unknown
        self.sessions = {}

    def __call__(self, connection, request):
        connection.read_body()
        if request.target == "/healthz":
            return connection.reply()
        sid = request.cookies.get("SID")
        fields = []
        if sid not in self.sessions:
            way = self.unknown if sid else "new"
            if way == "deletes":
                return connection.reply(401, fields=["Set-Cookie: SID=; Path=/; Max-Age=0"])
            if way == "silent":
                return connection.reply(401)
            if way == "new":
                sid = secrets.token_hex(16)
            if way in ("new", "says"):
                fields = [f"Set-Cookie: SID={sid}; Path=/"]
            self.sessions[sid] = secrets.token_hex(8)
        return connection.reply(fields=fields, body=f"{connection.backend.name} {self.sessions[sid]}".encode())


class Client:
    """Knows whether it was logged out."""

    def __init__(self, limpet):
        self.browser = limpet.browser()
        self.logouts = 0
        self.seen = self.ask(limpet)

    @property
    def home(self):
        return self.seen.split()[0]

    def ask(self, limpet, method="GET"):
        self.browser.limpet = limpet
        answer = self.browser.request(method, body=b"x" if method == "POST" else None)
        assert answer.status in (200, 401), answer.status
        return answer.text if answer.status == 200 else ""

    def goes_on(self, limpet, method="GET"):
        before, self.seen = self.seen, self.ask(limpet, method)
        self.logouts += before not in ("", self.seen)


def config_of(backends, affinity, **pool):
    if "session-id" in affinity:
        pool["session_id"] = {"sources": ["cookie:SID"], **pool.get("session_id", {})}
    return settings(backends, pool={"affinity": affinity, "health": HEALTH, **pool}, secrets=SECRETS, status=status_table())


def applications(scene, count, unknown="new"):
    return [scene.backend(name, Application(unknown)) for name in "abcde"[:count]]


def logouts_of(clients):
    return sum(client.logouts for client in clients)


def totals(*limpets):
    """Sums of what several Limpets say."""
    said = {}
    for limpet in limpets:
        pool = Status(limpet).pool()
        assert pool["books_imbalance"] == 0
        for event, count in pool["sessions"]["totals"].items():
            said[event] = said.get(event, 0) + count
        for incident in Status(limpet).incidents():
            became = sum(incident[what] for what in ("lost", "carried", "recovered", "abandoned", "expired", "logged_out", "unbound", "evicted", "moved",
                                                     "reassigned"))
            assert incident["at_risk"] + incident["joined"] == became + incident["left"], incident
        assert said["lost"] >= sum(incident["lost"] for incident in Status(limpet).incidents())
    return said


def fall(backend, status):
    backend.die()
    status.wait_for_state(backend.name, "down")


def rise(backend, status, *, forgets):
    if forgets:
        backend.handler.sessions.clear()
    backend.listen()
    status.wait_for_state(backend.name, "up")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("affinity", [["cookie"], BOTH], ids=["cookie", "session-id, cookie"])
def test_a_limpet_that_was_restarted_counts_what_a_failure_costs(scene, affinity, end):
    backends = applications(scene, 3)
    config = config_of(backends, affinity)
    limpet = scene.start(config)
    clients = [Client(limpet) for _ in range(CLIENTS)]
    limpet.kill() if end == signal.SIGKILL else limpet.stop()
    scene.forget(limpet)
    limpet = scene.start(config)
    victim = backends[0]
    fall(victim, Status(limpet))
    there = sum(client.home == "a" for client in clients)
    for client in clients:
        client.goes_on(limpet)
    assert logouts_of(clients) == there > 0
    said = totals(limpet)
    assert said["lost"] == there
    assert said["restored"] == CLIENTS
    outage, = eventually(lambda: Status(limpet).incidents("outage"))
    assert (outage["joined"], outage["lost"]) == (there, there)


def test_a_limpet_that_was_restarted_holds_the_sessions_of_ids_where_nothing_may_move(scene):
    backends = applications(scene, 3)
    config = config_of(backends, BOTH, failover="refuse")
    limpet = scene.start(config)
    clients = [Client(limpet) for _ in range(CLIENTS)]
    limpet.stop()
    scene.forget(limpet)
    limpet = scene.start(config)
    fall(backends[0], Status(limpet))
    for client in clients:
        assert (client.browser.get().status == 503) == (client.home == "a")
    assert totals(limpet)["lost"] == 0
    rise(backends[0], Status(limpet), forgets=False)
    for client in clients:
        client.goes_on(limpet)
    assert logouts_of(clients) == 0


@pytest.mark.parametrize("affinity", [["cookie"], BOTH], ids=["cookie", "session-id, cookie"])
def test_two_limpets_with_the_same_keys_log_nobody_out_by_disagreeing(scene, affinity):
    backends = applications(scene, 3)
    first, second = (scene.start(config_of(backends, affinity)) for _ in range(2))
    both = (first, second)
    clients = [Client(both[number % 2]) for number in range(CLIENTS)]
    for limpet in both:
        for client in clients:
            client.goes_on(limpet)
    there = sum(client.home == "a" for client in clients)
    backends[0].die()
    for limpet in both:
        Status(limpet).wait_for_state("a", "down")
    for number, client in enumerate(clients):
        client.goes_on(both[number % 2])
    assert logouts_of(clients) == there > 0
    backends[0].listen()
    for limpet in both:
        Status(limpet).wait_for_state("a", "up")
    for turn in range(6):
        for number, client in enumerate(clients):
            client.goes_on(both[(number + turn) % 2])
    assert logouts_of(clients) == there
    assert totals(*both)["lost"] == there


@pytest.mark.parametrize("unknown", ["new", "says", "deletes", "silent", "adopts"])
def test_two_failovers_cost_what_clients_lost_or_lie_within_the_bounds(scene, unknown):
    backends = applications(scene, 3, unknown)
    limpet = scene.start(config_of(backends, ["session-id"], session_id={"adopts_ids": unknown == "adopts"}))
    status = Status(limpet)
    clients = [Client(limpet) for _ in range(CLIENTS)]
    for victim in backends[:2]:
        fall(victim, status)
        for _ in range(2):
            for client in clients:
                client.goes_on(limpet)
    said = totals(limpet)
    assert said["lost"] <= logouts_of(clients) <= said["lost"] + said["uncertain"]
    assert said["lost"] == logouts_of(clients) > 0
    assert said["logged_out"] == 0
    assert (said["uncertain"] > 0) == (unknown == "silent")
    assert status.pool()["sessions"]["lost_at_most"] == said["lost"] + said["uncertain"]
    bounds = f"{said['lost']} to {said['lost'] + said['uncertain']}" if said["uncertain"] else str(said["lost"])
    assert f"  {bounds}  " in next(line for line in status.command("status")[1].splitlines() if line.startswith("app "))


@pytest.mark.parametrize("affinity, evidence", [(["session-id"], []), (["cookie"], ["cookie:SID"]), (["ip"], ["cookie:SID"])], ids=["session-id", "cookie", "ip"])
@pytest.mark.parametrize("forgets", [True, False])
def test_a_backend_that_is_back_tells_by_its_first_answer_whether_it_has_forgotten(scene, affinity, evidence, forgets):
    backends = applications(scene, 2)
    pool = {"evidence": evidence} if evidence else {}
    limpet = scene.start(config_of(backends, affinity, **pool))
    status = Status(limpet)
    clients = [Client(limpet) for _ in range(CLIENTS)]
    for client in clients:
        client.goes_on(limpet)
    there = sum(client.home == "a" for client in clients)
    fall(backends[0], status)
    rise(backends[0], status, forgets=forgets)
    assert status.pool()["sessions"]["at_risk"] == there > 0
    for client in clients:
        client.goes_on(limpet)
    assert logouts_of(clients) == (there if forgets else 0)
    said = totals(limpet)
    assert (said["lost"], said["restarted"], said["recovered"]) == ((there, there, 0) if forgets else (0, 0, there))
    outage = eventually(lambda: next(iter(status.incidents("outage")), {}).get("closed") and status.incidents("outage")[0])
    assert (outage["end"], outage["lost"], outage["recovered"], outage["left"]) == ("back", said["lost"], said["recovered"], 0)


def test_visitors_who_hold_no_id_lose_nothing_where_evidence_says_so(scene):
    backends = applications(scene, 2)
    for backend in backends:
        application = backend.handler
        backend.handler = lambda connection, request, application=application: (
            application(connection, request) if request.target != "/public" else connection.reply())
    limpet = scene.start(config_of(backends, ["cookie"], evidence=["cookie:SID"]))
    users = [Client(limpet) for _ in range(8)]
    visitors = [limpet.browser() for _ in range(8)]
    for visitor in visitors:
        visitor.get("/public")
    fall(backends[0], Status(limpet))
    for user in users:
        user.goes_on(limpet)
    for visitor in visitors:
        assert visitor.get("/public").status == 200
    said = totals(limpet)
    assert said["lost"] == logouts_of(users) > 0
    assert said["reassigned"] > 0
    assert said["uncertain"] == 0


@pytest.mark.released
def test_a_client_that_pauses_after_its_login_for_longer_than_an_unreturned_session_lasts_is_led_home(scene):
    backends = applications(scene, 3)
    limpet = scene.start(config_of(backends, ["session-id"], unreturned_timeout="1s"))
    clients = [Client(limpet) for _ in range(CLIENTS)]
    eventually(lambda: Status(limpet).pool()["sessions"]["totals"]["expired"] == CLIENTS, patience=30)
    for client in clients:
        client.goes_on(limpet)
    assert logouts_of(clients) == 0
    said = totals(limpet)
    assert (said["restored"], said["lost"]) == (CLIENTS, 0)
