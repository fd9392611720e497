"""Restarts that no check sees as a failure: the check's answer names the server's start (`instance_header`), and a new name puts the
sessions there at risk, until their first answer tells whether their data has survived."""

import itertools
import secrets

import pytest

from support.status import Status, status_table
from support.wire import eventually

CHECK = {"check": "http", "path": "/healthz", "interval": "100ms", "fast_interval": "50ms", "rise": 1, "fall": 2,
         "instance_header": "X-Boot-Id"}


class Server:
    """Gives whoever it does not know a session, and has a boot id."""

    def __init__(self):
        self.sessions = {}
        self.boot = "boot-1"
        self.boots = None  # several, in turn
        self.health = 200

    def restart(self, boot, *, forgets=True):
        if forgets:
            self.sessions = {}
        self.boot = boot

    def __call__(self, connection, request):
        connection.read_body()
        if request.target == "/healthz":
            boot = next(self.boots) if self.boots else self.boot
            return connection.reply(self.health, fields=[f"X-Boot-Id: {boot}"] if boot else [])
        sid, fields = request.cookies.get("SID"), []
        if sid not in self.sessions:
            sid = secrets.token_hex(16)
            self.sessions[sid] = secrets.token_hex(4)
            fields = [f"Set-Cookie: SID={sid}; Path=/"]
        connection.reply(fields=fields, body=f"{connection.backend.name} {self.sessions[sid]}".encode())


class Client:
    def __init__(self, limpet):
        self.browser = limpet.browser()
        self.seen = self.browser.get().text
        self.is_logged_out()

    @property
    def home(self):
        return self.seen.split()[0]

    def is_logged_out(self):
        before, self.seen = self.seen, self.browser.get().text
        return before != self.seen


def started(scene, count, **health):
    """Two servers, and so many clients of each that have come back once."""
    backends = [scene.backend(name, Server()) for name in "ab"]
    limpet = scene.limpet(backends, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:SID"]}, "health": {**CHECK, **health}},
                          status=status_table())
    clients = [Client(limpet) for _ in range(2 * count)]
    of = {name: [client for client in clients if client.home == name] for name in "ab"}
    assert len(of["a"]) == len(of["b"]) == count
    for backend in backends:
        wait_for_checks(backend)
    return limpet, Status(limpet), backends, of


def wait_for_checks(backend, count=2):
    """The answers to all but the last of these have been judged."""
    seen = len(backend.checks)
    eventually(lambda: len(backend.checks) >= seen + count, what=f"{count} checks of {backend}")


def adds_up(incident):
    became = ("lost", "carried", "recovered", "abandoned", "expired", "logged_out", "unbound", "evicted", "moved", "reassigned")
    return incident["at_risk"] + incident["joined"] == sum(incident[what] for what in became) + incident["left"]


def test_a_restart_between_two_checks_costs_what_clients_lose(scene):
    limpet, status, (a, b), of = started(scene, 5)
    a.handler.restart("boot-2")
    eventually(lambda: status.incidents("restart"), what="an incident")
    opened, = status.incidents()
    assert (opened["backend"], opened["kind"], opened["cause"], opened["end"]) == ("a", "restart", "checks", "open")
    assert opened["detail"] == "instance_header X-Boot-Id has a new value"
    assert (opened["at_risk"], opened["returned"]["at_risk"], opened["left"]) == (5, 5, 5) and adds_up(opened)
    assert status.backend("a")["state"] == "up" and opened["back"] is None
    assert status.backend("a")["sessions"]["at_risk"] == 5
    limpet.says("a was restarted between two checks")

    logged_out = sum(client.is_logged_out() for client in of["a"] + of["b"])
    assert logged_out == 5
    eventually(lambda: status.incidents()[0]["closed"], what="its end")
    incident, = status.incidents()
    assert (incident["lost"], incident["restarted"], incident["recovered"], incident["left"]) == (logged_out, 5, 0, 0)
    assert incident["end"] == "settled" and adds_up(incident)
    assert status.pool()["sessions"]["totals"]["lost"] == logged_out
    assert status.pool()["books_imbalance"] == 0
    assert status.metric("limpet_pool_session_losses_total", kind="restart", cause="checks") == logged_out
    assert not any(client.is_logged_out() for client in of["a"] + of["b"])
    assert len(status.incidents()) == 1


def test_who_has_survived_a_restart_has_recovered(scene):
    limpet, status, (a, b), of = started(scene, 4)
    a.handler.restart("boot-2", forgets=False)
    eventually(lambda: status.incidents("restart"), what="an incident")
    kept, gone = of["a"][:3], of["a"][3:]
    a.handler.sessions.pop(gone[0].browser.jar["SID"])
    assert [client.is_logged_out() for client in kept + gone] == [False, False, False, True]
    eventually(lambda: status.incidents()[0]["closed"], what="its end")
    incident, = status.incidents()
    assert (incident["at_risk"], incident["recovered"], incident["lost"]) == (4, 3, 1) and adds_up(incident)


def test_a_second_restart_takes_over_whom_the_first_left_at_risk(scene):
    limpet, status, (a, b), of = started(scene, 4)
    a.handler.restart("boot-2")
    eventually(lambda: status.incidents("restart"), what="an incident")
    assert of["a"][0].is_logged_out()
    a.handler.restart("boot-3")
    eventually(lambda: len(status.incidents("restart")) == 2, what="another incident")
    assert all(client.is_logged_out() for client in of["a"])
    second, first = status.incidents()
    assert (first["end"], first["lost"], first["left"]) == ("interrupted", 1, 3) and adds_up(first)
    assert (second["at_risk"], second["lost"], second["left"]) == (4, 4, 0) and adds_up(second)
    assert status.pool()["sessions"]["totals"]["lost"] == 5


def test_a_restart_that_was_seen_as_an_outage_is_that_outage(scene):
    limpet, status, (a, b), of = started(scene, 3)
    a.handler.health = 500
    status.wait_for_state("a", "down")
    a.handler.restart("boot-2")
    wait_for_checks(a)
    a.handler.health = 200
    status.wait_for_state("a", "up")
    assert all(client.is_logged_out() for client in of["a"])
    eventually(lambda: status.incidents()[0]["closed"], what="its end")
    outage, = status.incidents()
    assert (outage["kind"], outage["lost"], outage["restarted"], outage["end"]) == ("outage", 3, 3, "back")


def test_a_restart_while_draining_is_the_drains(scene):
    limpet, status, (a, b), of = started(scene, 3)
    assert status.post("/pools/app/backends/a/drain").status == 200
    a.handler.restart("boot-2")
    eventually(lambda: status.backend("a")["sessions"]["at_risk"] == 3, what="sessions at risk")
    assert all(client.is_logged_out() for client in of["a"])
    drain, = status.incidents()
    assert (drain["kind"], drain["at_risk"], drain["lost"]) == ("drain", 3, 3) and adds_up(drain)


@pytest.mark.released
@pytest.mark.parametrize("boots", ["1 2", "1 1 1 2", "1 2 3"])
def test_values_that_alternate_are_ignored_and_why_says_so(scene, boots):
    limpet, status, (a, b), of = started(scene, 3)
    a.handler.boots = itertools.cycle(["boot-" + number for number in boots.split()])
    eventually(lambda: "alternates" in status.backend("a")["why"], what="why")
    why = "its instance_header alternates: more than one server answers at this address; it is ignored"
    assert status.backend("a")["why"] == why
    limpet.says(f"backend a: {why}")
    assert "alternates" in status.command("status")[1]
    seen = len(status.incidents())
    assert seen < len(set(boots.split())), "each may have been new once"
    assert not any(client.is_logged_out() for client in of["a"])
    wait_for_checks(a, 2 * len(boots))
    assert len(status.incidents()) == seen
    totals = status.pool()["sessions"]["totals"]
    assert totals["lost"] == 0 and status.backend("a")["sessions"]["at_risk"] == 0

    a.handler.boots, a.handler.boot = None, "boot-1"
    eventually(lambda: "alternates" not in status.backend("a")["why"], what="its steadiness")
    a.handler.restart("boot-9")
    eventually(lambda: len(status.incidents("restart")) == seen + 1, what="a restart")


def test_an_answer_without_the_field_is_no_verdict(scene):
    limpet, status, (a, b), of = started(scene, 2)
    a.handler.boot = None
    wait_for_checks(a, 4)
    a.handler.boot = "boot-1"
    wait_for_checks(a, 4)
    assert status.incidents() == [] and status.backend("a")["why"] == ""


def test_a_restart_without_sessions_opens_nothing(scene):
    limpet, status, (a, b), of = started(scene, 0)
    a.handler.restart("boot-2")
    limpet.says("a was restarted between two checks")
    assert status.incidents() == []


def test_another_field_after_a_reload_begins_anew(scene):
    limpet, status, (a, b), of = started(scene, 2)
    limpet.config["pool"][0]["health"]["instance_header"] = "X-Backend"
    assert status.reload().status == 200
    wait_for_checks(a, 4)
    assert status.incidents() == []
