"""What health checks and requests find out about backends, and what that does to sessions: seen from clients and the status endpoint."""

import threading

import pytest

from support.status import Status, status_table
from support.wire import Closed, eventually

CHECK = {"check": "http", "path": "/healthz", "interval": "100ms", "fast_interval": "50ms", "rise": 2, "fall": 2}


class Checked:
    """A handler that answers checks as `health` says and everything else with the backend's name."""

    def __init__(self):
        self.health = {}
        self.answer = {}

    def __call__(self, connection, request):
        connection.read_body()
        if request.target == "/healthz":
            return connection.reply(**{"body": b"all well", **self.health})
        connection.reply(**{"body": connection.backend.name.encode(), **self.answer})


def started(scene, **pool):
    backends = [scene.backend(name, Checked()) for name in "ab"]
    limpet = scene.limpet(backends, pool={"affinity": ["cookie"], **pool}, status=status_table())
    return limpet, Status(limpet), backends


@pytest.mark.parametrize("bad, why", [
    ({"status": 500}, "answered 500"),
    ({"body": b"all lost"}, "body"),
], ids=["status", "body"])
def test_a_check_that_is_answered_badly_takes_a_backend_down_until_answers_are_good(scene, bad, why):
    limpet, status, (a, b) = started(scene, health={**CHECK, "body": "well"})
    browser = limpet.browser_at("a")
    a.handler.health = bad
    down = status.wait_for_state("a", "down")
    assert down["cause"] == "checks" and why in down["why"]
    assert {limpet.browser().get().text for _ in range(6)} == {"b"}
    a.handler.health = {}
    status.wait_for_state("a", "up")
    assert browser.get().text == "a", "nobody came meanwhile: the session recovered"
    outage, = status.incidents("outage")
    assert (outage["at_risk"], outage["recovered"], outage["lost"], outage["requests_failed"]) == (1, 1, 0, 0)


def test_a_check_that_is_not_answered_in_time_takes_a_backend_down(scene):
    limpet, status, (a, b) = started(scene, health={**CHECK, "timeout": "100ms"})
    gate = threading.Event()
    answer = a.handler
    a.handler = lambda connection, request: (gate.wait(10), answer(connection, request))
    assert "no answer within 100ms" in status.wait_for_state("a", "down")["why"]
    gate.set()
    status.wait_for_state("a", "up")


def test_a_check_may_ask_at_another_port(scene):
    health = scene.backend("health", Checked())
    limpet, status, (a, b) = started(scene, health={**CHECK, "port": health.port})
    eventually(lambda: len(health.checks) >= 4, what="checks at the other port")
    assert not a.checks and not b.checks
    health.handler.health = {"status": 503}
    for name in "ab":
        status.wait_for_state(name, "down")
    assert limpet.get().status == 503
    assert limpet.get().get("Retry-After")


@pytest.mark.parametrize("asks", [{"fields": ["X-Limpet-State: drain"]}, {"status": 503}], ids=["header", "status"])
def test_a_checks_answer_can_ask_for_a_drain_and_end_it(scene, asks):
    limpet, status, (a, b) = started(scene, health={**CHECK, "drain_status": [503]})
    browser = limpet.browser_at("a")
    a.handler.health = asks
    status.wait_for_state("a", "draining")
    assert {limpet.browser().get().text for _ in range(6)} == {"b"}, "it got a new session"
    assert browser.get().text == "a", "its own session had to move"
    a.handler.health = {}
    status.wait_for_state("a", "up")
    assert browser.get().text == "a"
    drain, = status.incidents("drain")
    assert (drain["at_risk"], drain["lost"], drain["end"]) == (1, 0, "back")


def test_answers_that_the_file_calls_failures_take_a_backend_down(scene):
    limpet, status, (a, b) = started(scene, health=CHECK, passive={"failures": 1, "status": ["500-504"]})
    browser = limpet.browser_at("a")
    a.handler.answer = {"status": 500}
    assert browser.get().status == 500  # an answer is an answer: it is the client's
    assert status.wait_for_state("a", "down")["cause"] == "requests"
    assert browser.get().text == "b"


def test_requests_alone_take_down_no_more_of_a_pool_than_the_file_allows(scene):
    limpet, status, (a, b) = started(scene, health=CHECK, passive={"failures": 1, "status": ["500-504"], "max_down_percent": 50})
    for backend in (a, b):
        backend.handler.answer = {"status": 502}

    def states():
        assert limpet.get().status == 502
        return sorted((backend["state"], backend["held"]) for backend in map(status.backend, "ab"))

    eventually(lambda: states() == [("down", False), ("up", True)])
    limpet.says("max_down_percent")


def test_checks_take_down_a_whole_pool_if_they_must(scene):
    limpet, status, backends = started(scene, health=CHECK, passive={"max_down_percent": 0})
    for backend in backends:
        backend.handler.health = {"status": 500}
    for backend in backends:
        status.wait_for_state(backend.name, "down")
    assert limpet.get().status == 503


@pytest.mark.parametrize("drain_timeout, is_cut", [("30s", False), ("300ms", True)])
def test_what_a_backend_that_went_down_is_answering_has_the_drain_timeout_to_end(scene, drain_timeout, is_cut):
    limpet, status, (a, b) = started(scene, health=CHECK, drain_timeout=drain_timeout)
    browser = limpet.browser_at("a")
    gate, plain = threading.Event(), a.handler

    def slowly(connection, request):
        if request.target != "/slow":
            return plain(connection, request)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        gate.wait(10)
        connection.send(b"-last")

    a.handler = slowly
    client = limpet.client()
    client.send(f"GET /slow HTTP/1.1\r\nHost: x\r\nCookie: limpet_app={browser.jar['limpet_app']}\r\n\r\n".encode())
    answer = client.read_head()
    plain.health = {"status": 500}
    status.wait_for_state("a", "down")
    if is_cut:
        with pytest.raises(Closed):
            client.read_exactly(10)
        gate.set()
    else:
        gate.set()
        assert answer.status == 200 and client.read_exactly(10) == b"first-last"
