"""Backends that serve so many requests at once at most: others wait, each session for its own backend."""

import threading
import time

import pytest

from support.busy import Busy
from support.limpet import settings
from support.status import Status, status_table
from support.wire import eventually

POST = b"POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
POOL = {"affinity": ["cookie"], "health": {"check": "none"}}


def table(backend, **keys):
    return {**backend.as_table(), **keys}


def ask(limpet, answers, *fields, target="/"):
    """One request by a thread of its own."""
    def run():
        answers.append(limpet.get(target, *fields))
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_no_more_are_under_way_than_the_limit_says_and_everybody_is_served(scene):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.start(settings([table(backend, max_connections=8)], pool={**POOL, "queue_timeout": "1m"}, status=status_table(), workers=2))
    answers = []
    threads = [ask(limpet, answers) for _ in range(200)]
    status = Status(limpet)
    eventually(lambda: status.backend("a")["waiting"] == 192, 20)
    assert busy.here["a"] == 8
    assert status.metric("limpet_backend_requests_waiting", backend="a") == 192
    assert "full: 8 of 8, 192 wait\n" in status.command("status")[1]
    busy.let_go(200)
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [200] * 200
    assert busy.most["a"] == 8
    assert status.backend("a")["waiting"] == 0
    lines = limpet.log(200)
    assert sum(line["queued_ms"] is not None for line in lines) == 192
    assert status.pool("app")["queue"]["timeouts"] == 0


def test_a_session_waits_for_its_own_backend_and_a_new_one_goes_elsewhere(scene):
    a, b = scene.backends(2)
    busy = Busy(a, b)
    limpet = scene.start(settings([table(a, max_connections=1), table(b, max_connections=1)], pool=POOL, status=status_table()))
    one = limpet.browser()
    home = one.get("/quick").text
    answers = []
    first = threading.Thread(target=lambda: answers.append(("first", one.get("/"))))
    first.start()
    eventually(lambda: busy.here[home] == 1)
    twin = limpet.browser()
    twin.jar = dict(one.jar)
    waits = threading.Thread(target=lambda: answers.append(("twin", twin.get("/quick"))))
    waits.start()
    eventually(lambda: Status(limpet).backend(home)["waiting"] == 1)
    other = limpet.browser().get("/quick")
    assert other.status == 200 and other.text != home
    assert not answers
    busy.let_go(1)
    for thread in (first, waits):
        thread.join(10)
    assert {name: answer.text for name, answer in answers} == {"first": home, "twin": home}


def test_who_waits_for_too_long_is_refused_and_no_earlier(scene):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.start(settings([table(backend, max_connections=1)], pool={**POOL, "queue_timeout": "400ms"}, status=status_table()))
    answers = []
    first = ask(limpet, answers)
    eventually(lambda: busy.here["a"] == 1)
    refused = limpet.get("/late")
    assert refused.status == 503 and refused.get("Retry-After")
    line = limpet.log_of("/late")[0]
    assert line["end"] == "queue_timeout" and line["queued_ms"] >= 400
    assert Status(limpet).metric("limpet_pool_requests_refused_total", limit="queue_timeout") == 1
    busy.let_go(1)
    first.join(10)
    assert answers[0].status == 200
    assert Status(limpet).backend("a")["state"] == "up"  # it did nothing wrong


@pytest.mark.parametrize("sent, leaves", [(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n", "reset"), (POST + b"hello", "close"), (POST + b"hell", "close")],
                         ids=["a whole request", "its whole body", "half of it"])
def test_a_client_that_goes_away_waits_no_more(scene, sent, leaves):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.start(settings([table(backend, max_connections=1)], pool=POOL, status=status_table()))
    answers = []
    first = ask(limpet, answers)
    eventually(lambda: busy.here["a"] == 1)
    status = Status(limpet)
    gone = limpet.client()
    gone.send(sent)
    eventually(lambda: status.backend("a")["waiting"] == 1)
    getattr(gone, leaves)()
    eventually(lambda: status.backend("a")["waiting"] == 0, 3)
    assert limpet.log_of("/gone")[0]["end"] == "client_gone"
    busy.let_go(1)
    first.join(10)
    assert len(backend.requests) == 1
    assert limpet.get("/quick").status == 200


def test_time_that_a_request_waits_for_its_home_is_none_in_the_queue(scene):
    backend = scene.backend("a")
    busy = Busy(backend)
    pool = {**POOL, "queue_timeout": "1s", "patience": "20s", "health": {"check": "none", "fall": 100}}  # it stays up
    limpet = scene.start(settings([table(backend, max_connections=2)], pool=pool, status=status_table()))
    one, twin = limpet.browser(), limpet.browser()
    one.get("/quick")
    twin.jar = dict(one.jar)
    answers = []
    threads = [ask(limpet, answers) for _ in range(2)]
    eventually(lambda: busy.here["a"] == 2)
    threads.append(threading.Thread(target=lambda: answers.append(twin.get("/quick-later"))))
    threads[-1].start()
    status = Status(limpet)
    eventually(lambda: status.backend("a")["waiting"] == 1)
    backend.refuse()
    backend.connections[0].shut()  # who waited has a place now, but nobody listens
    eventually(lambda: status.backend("a")["waiting"] == 0)
    time.sleep(1)
    limpet.config["pool"][0]["backend"][0]["max_connections"] = 1
    assert status.reload().status == 200
    eventually(lambda: status.backend("a")["waiting"] == 1)
    time.sleep(0.1)
    backend.listen()
    busy.let_go(2)
    for thread in threads:
        thread.join(10)
    assert sorted(answer.status for answer in answers) == [200, 200, 503]


def test_a_reload_raises_the_limit_and_lets_in_who_waits(scene):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.start(settings([table(backend, max_connections=1)], pool={**POOL, "queue_timeout": "1m"}, status=status_table()))
    answers = []
    threads = [ask(limpet, answers) for _ in range(5)]
    status = Status(limpet)
    eventually(lambda: status.backend("a")["waiting"] == 4)
    for limit, under_way in ((3, 3), (0, 5)):
        limpet.config["pool"][0]["backend"][0]["max_connections"] = limit
        limpet.write()
        assert status.command("reload")[0] == 0
        eventually(lambda: busy.here["a"] == under_way)
    busy.let_go(5)
    for thread in threads:
        thread.join(10)
    assert [answer.status for answer in answers] == [200] * 5


def test_whoever_waits_at_a_backend_that_fails_is_served_by_another(scene):
    a, b = scene.backends(2)
    busy = Busy(a, b)
    health = {"check": "tcp", "interval": "100ms", "fast_interval": "50ms", "fall": 1, "timeout": "100ms"}
    limpet = scene.start(settings([table(a, max_connections=1), table(b, max_connections=1)], pool={**POOL, "health": health}, status=status_table()))
    one = limpet.browser()
    home = one.get("/quick").text
    answers = []
    first = threading.Thread(target=lambda: answers.append(one.get("/")))
    first.start()
    eventually(lambda: busy.here[home] == 1)
    twin = limpet.browser()
    twin.jar = dict(one.jar)
    waits = threading.Thread(target=lambda: answers.append(twin.get("/quick")))
    waits.start()
    status = Status(limpet)
    eventually(lambda: status.backend(home)["waiting"] == 1)
    status.post(f"/pools/app/backends/{home}/maintenance")
    waits.join(10)
    assert answers[0].text != home
    busy.let_go(1)
    first.join(10)


@pytest.mark.parametrize("by", [{"shed_in_flight": 2}, {"shed_queue_time": "100ms"}])
def test_new_sessions_are_refused_under_load_and_known_ones_served(scene, by):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.start(settings([table(backend, max_connections=2)], pool={**POOL, "queue_timeout": "1m", "shed": "new-sessions", **by}, status=status_table()))
    known = [limpet.browser() for _ in range(4)]
    for browser in known:
        assert browser.get("/quick").status == 200
    answers = []
    threads = [threading.Thread(target=lambda b=browser: answers.append(b.get("/"))) for browser in known[:3]]
    for thread in threads:
        thread.start()
    status = Status(limpet)
    eventually(lambda: status.backend("a")["waiting"] == 1)
    threading.Event().wait(0.2)  # or more, as it has waited for longer then
    refused = limpet.browser().get("/new")
    assert refused.status == 503 and refused.get("Retry-After")
    line = limpet.log_of("/new")[0]
    assert (line["end"], line["reason"]) == ("shed", "shed")
    assert status.metric("limpet_pool_requests_refused_total", limit="shed") >= 1
    assert status.pool()["sheds"] and status.metric("limpet_pool_sheds") == 1
    assert "REFUSES NEW SESSIONS (shed); refused: shed " in status.command("status")[1]
    last = threading.Thread(target=lambda: answers.append(known[3].get("/quick")))
    last.start()
    busy.let_go(3)
    for thread in (*threads, last):
        thread.join(10)
    assert [answer.status for answer in answers] == [200] * 4
    assert limpet.browser().get("/quick").status == 200
    assert not status.pool()["sheds"] and status.metric("limpet_pool_sheds") == 0


@pytest.mark.parametrize("affinity", [["session-id", "cookie"], ["cookie", "session-id"]])
def test_who_brings_an_id_is_not_refused_for_new_sessions(scene, affinity):
    backend = scene.backend("a")
    busy = Busy(backend)
    pool = {"affinity": affinity, "session_id": {"sources": ["cookie:SID"]}, "health": {"check": "none"}, "shed": "new-sessions", "shed_in_flight": 1}
    limpet = scene.start(settings([backend], pool=pool))
    answers = []
    first = ask(limpet, answers)
    eventually(lambda: busy.here["a"] == 1)
    assert limpet.get("/quick").status == 503
    assert limpet.get("/quick", "Cookie: SID=of-somebody").status == 200
    busy.let_go(1)
    first.join(10)


@pytest.mark.parametrize("by, whole_pool", [({"shed_queue_time": "100ms"}, False), ({"shed_in_flight": 2}, True)])
def test_one_busy_home_shuts_newcomers_out_by_the_count_of_the_pool_alone(scene, by, whole_pool):
    a, b = scene.backends(2)
    busy = Busy(a, b)
    pool = {**POOL, "queue_timeout": "1m", "shed": "new-sessions", **by}
    limpet = scene.start(settings([table(a, max_connections=1), table(b, max_connections=1)], pool=pool, status=status_table()))
    slow = limpet.browser()
    home = slow.get("/quick").text
    other = "b" if home == "a" else "a"
    twins = [limpet.browser() for _ in range(3)]
    for twin in twins:
        twin.jar = dict(slow.jar)
    threads = [threading.Thread(target=lambda t=twin: t.get("/")) for twin in twins]
    for thread in threads:
        thread.start()
    status = Status(limpet)
    eventually(lambda: status.backend(home)["waiting"] == 2)
    threading.Event().wait(0.2)  # or more, as it has waited for longer then
    answers = [limpet.browser().get("/quick") for _ in range(3)]
    assert [answer.status for answer in answers] == [503 if whole_pool else 200] * 3
    assert status.pool()["sheds"] == whole_pool
    if not whole_pool:
        assert {answer.text for answer in answers} == {other}
        threads.append(ask(limpet, []))
        eventually(lambda: busy.here[other] == 1)
        assert limpet.browser().get("/quick").status == 503 and status.pool()["sheds"]
    busy.let_go(len(threads))
    for thread in threads:
        thread.join(10)
