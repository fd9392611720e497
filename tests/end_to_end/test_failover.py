"""Failover in its first form: the client sees no error that a retry could have avoided, and nothing is done twice."""

import resource
import threading
import time

import pytest

from support.client import request_bytes
from support.session_app import session_servers
from support.wire import Closed, eventually, head

COOKIE = {"affinity": ["cookie"]}


def settle():
    """Gives Limpet the moment in which it notices that an idle connection was closed."""
    time.sleep(0.03)


# Refused connections.


@pytest.mark.parametrize("affinity", ["cookie", "ip"])
def test_a_refused_connection_is_tried_at_the_next_backend(scene, affinity):
    a, b, c = scene.backends(3)
    a.refuse()
    b.refuse()
    limpet = scene.limpet([a, b, c], pool={"affinity": [affinity]})
    for _ in range(6):
        response = limpet.browser().get("/x")
        assert response.status == 200 and response.text == "c"
    assert max(line["retries"] for line in limpet.log_of("/x", 6)) >= 1


def test_a_body_is_not_lost_when_the_first_backend_refuses(scene):
    a = scene.backend("a", listening=False)
    b = scene.backend("b", lambda connection, request: connection.reply(body=connection.read_body()))
    limpet = scene.limpet([a, b], pool={**COOKIE, "placement": "round-robin"})
    body = bytes(range(256)) * 2000
    for how in ({"body": body}, {"chunks": [body[:1000], body[1000:]]}):
        for _ in range(2):
            response = limpet.browser().request("POST", "/", **how)
            assert response.status == 200 and bytes(response.body) == body


def test_a_session_whose_home_is_gone_moves_and_stays_moved(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool=COOKIE)
    browser = limpet.browser_at("a")
    a.die()
    settle()
    response = browser.get("/moved")
    assert response.status == 200 and response.text == "b"
    assert "limpet_app" in response.set_cookies, "the client still holds a token that names the old home"
    line = limpet.log_of("/moved")[0]
    assert (line["reason"], line["backend"]) == ("failed_over", "b") and line["retries"] >= 1
    assert browser.get().text == "b"
    a.listen()
    assert [browser.get().text for _ in range(3)] == ["b", "b", "b"]


def test_a_session_id_whose_home_is_gone_moves_and_stays_moved(scene):
    servers = session_servers(scene, 3)
    limpet = scene.limpet(servers, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}})
    browsers = [limpet.browser() for _ in range(6)]
    for browser in browsers:
        browser.request("POST", "/login", body=b"u")
    servers[0].die()
    settle()
    moved = {}
    for index, browser in enumerate(browsers):
        moved[index] = browser.get("/who").text.partition(":")[0]
        assert moved[index] != "a"
    servers[0].listen()
    for index, browser in enumerate(browsers):
        assert browser.get("/who").text.partition(":")[0] == moved[index]


def test_where_nothing_answers_it_is_503_with_retry_after(scene):
    a, b = scene.backend("a", listening=False), scene.backend("b", listening=False)
    limpet = scene.limpet([a, b], pool=COOKIE)
    response = limpet.get("/nobody")
    assert response.status == 503
    assert int(response.get("Retry-After")) > 0
    line = limpet.log_of("/nobody")[0]
    assert (line["reason"], line["end"], line["retries"]) == ("no_backend", "no_backend", 1)
    assert line["backend"] in ("a", "b"), "the one that was tried last"
    a.listen()
    assert limpet.get().status == 200


def test_a_backend_that_comes_back_is_used_again(scene):
    a, = scene.backends(1)
    limpet = scene.limpet([a], pool=COOKIE)
    for _ in range(3):
        assert limpet.get().status == 200
        a.die()
        settle()
        assert limpet.get().status == 503
        a.listen()
    assert limpet.get().status == 200


# Stale connections: a backend may close an idle one just when a request is on its way (RFC 9112, section 9.3.1).


def dies_on_second_request(connection, request):
    """Answers the first request of a connection; closes at the second as if it had never been read."""
    body = connection.read_body()
    if len(connection.requests) > 1 and request.target == "/stale":
        connection.backend.stale += 1
        return connection.close()
    connection.reply(body=connection.backend.name.encode() + body)


@pytest.fixture
def stale(scene):
    backends = scene.backends(2, handler=dies_on_second_request)
    for backend in backends:
        backend.stale = 0
    limpet = scene.limpet(backends, pool=COOKIE)
    limpet.backends = backends
    return limpet


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
def test_an_idempotent_request_on_a_stale_connection_is_sent_again_to_the_same_backend(stale, method):
    browser = stale.browser()
    home = browser.get().text
    response = browser.request(method, "/stale")
    assert response.status == 200
    backend = next(backend for backend in stale.backends if backend.name == home)
    assert backend.stale == 1
    line = stale.log_of("/stale")[0]
    assert line["backend"] == home and line["reason"] == "bound", "a stale connection says nothing against its backend"
    assert not response.has("Set-Cookie")


def test_a_small_body_may_be_sent_again_with_its_request(stale):
    browser = stale.browser()
    home = browser.get().text
    response = browser.request("PUT", "/stale", body=b"hello")
    # RFC 9110, section 9.2.2 allows it; whoever did not keep the body must say 502 and not send half of it.
    assert (response.status, response.text) == (200, home + "hello") or response.status == 502


def test_a_request_that_waits_for_100_is_sent_again_before_its_body(stale):
    browser = stale.browser()
    home = browser.get().text
    client = stale.client()
    client.send(head("PUT /stale HTTP/1.1", ["Host: app.test", f"Cookie: limpet_app={browser.jar['limpet_app']}", "Expect: 100-continue", "Content-Length: 5"]))
    client.is_silent(0.1)
    client.send(b"hello")
    response = client.read_response()
    assert (response.status, response.text) == (200, home + "hello") or response.status == 502


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_is_not_idempotent_is_never_sent_twice(stale, method):
    # RFC 9110, section 9.2.2: a proxy must not retry it by itself.
    browser = stale.browser()
    browser.get()
    response = browser.request(method, "/stale", body=b"pay")
    count = sum(request.target == "/stale" for backend in stale.backends for request in backend.requests)
    assert count == 1
    assert response.status == 502 or sum(backend.stale for backend in stale.backends) == 0


def test_a_post_on_a_fresh_connection_that_dies_is_502_and_sent_once(scene):
    backends = scene.backends(2, handler=lambda connection, request: (connection.read_body(), connection.close()))
    limpet = scene.limpet(backends, pool=COOKIE)
    assert limpet.request("POST", "/pay", body=b"x").status == 502
    assert sum(len(backend.requests) for backend in backends) == 1
    assert limpet.log_of("/pay")[0]["retries"] == 0


def asked_for(backends, target):
    return sorted(sum(request.target == target for request in backend.requests) for backend in backends)


def test_a_get_that_its_home_dies_of_is_sent_once_more_to_it_then_502(scene):
    # Sending it to the next one would kill that too, and its session is not there.
    def dying(connection, request):
        return connection.close() if request.target == "/die" else connection.reply(fields=["Connection: close"])

    backends = scene.backends(2, handler=dying)
    limpet = scene.limpet(backends, pool=COOKIE)
    browser = limpet.browser()
    browser.get()
    assert browser.get("/die").status == 502
    assert asked_for(backends, "/die") == [0, 2]


def test_a_get_without_a_home_that_a_backend_dies_of_is_sent_to_one_other_then_502(scene):
    backends = scene.backends(4, handler=lambda connection, request: connection.close())
    limpet = scene.limpet(backends, pool=COOKIE)
    assert limpet.get("/die").status == 502
    assert asked_for(backends, "/die") == [0, 0, 1, 1]


def test_a_get_under_way_at_a_backend_that_dies_is_served_by_another(scene):
    def answer(connection, request):
        if request.target == "/die" and len(alive) == 2:
            alive.remove(connection.backend)
            connection.backend.refuse()
            return connection.close()
        connection.reply(body=connection.backend.name.encode())

    alive = scene.backends(2, handler=answer)
    limpet = scene.limpet(list(alive), pool=COOKIE)
    browser = limpet.browser()
    home = browser.get().text
    assert browser.get("/die").text == alive[0].name != home
    assert limpet.log_of("/die")[0]["reason"] == "failed_over"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_idle_connections_that_die_cost_no_request_anything(scene, reset):
    a, = scene.backends(1)
    limpet = scene.limpet([a], pool=COOKIE)
    client = limpet.client()
    for round_number in range(10):
        method, body = ("POST", b"x") if round_number % 2 else ("GET", None)
        assert client.request(method, "/", body=body).status == 200
        a.drop_connections(reset=reset)
        settle()
    assert len(a.requests) == 10


def test_many_stale_connections_at_once_cost_no_request_anything(scene):
    # A restarted backend leaves a whole pool of stale connections behind: one after another may fail, the request may not.
    arrived = threading.Barrier(8)

    def handler(connection, request):
        if request.target == "/together":
            arrived.wait(5)
        elif len(connection.requests) > 1:
            return connection.close()
        connection.reply(body=b"ok")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    clients = [limpet.client() for _ in range(8)]
    for client in clients:
        client.send(request_bytes(target="/together"))
    assert all(client.read_response().status == 200 for client in clients)
    for client in clients:
        assert client.get("/x").status == 200


def test_a_request_is_not_sent_again_once_its_answer_has_begun(scene):
    def handler(connection, request):
        if len(connection.requests) == 1 and request.target == "/first":
            return connection.reply(body=b"first")
        connection.send(head("HTTP/1.1 200 OK", ["Content-Length: 10"]) + b"half")
        connection.finish()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    assert client.get("/first").text == "first"
    client.send(request_bytes(target="/second"))
    with pytest.raises(Closed):
        client.read_response()
    assert [request.target for request in a.requests if request.method == "GET"] == ["/first", "/second"]


# Patience.


def test_a_home_that_comes_back_within_patience_keeps_its_session(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool={**COOKIE, "patience": "5s"})
    browser = limpet.browser_at("a")
    a.die()
    settle()
    threading.Timer(0.4, a.listen).start()
    response = browser.get("/patient")
    assert response.status == 200 and response.text == "a"
    assert not response.has("Set-Cookie")
    line = limpet.log_of("/patient")[0]
    assert (line["backend"], line["reason"]) == ("a", "bound") and line["retries"] >= 1


def test_a_body_waits_with_its_request(scene):
    a, b = scene.backends(2, handler=lambda connection, request: connection.reply(body=connection.backend.name.encode() + connection.read_body()))
    limpet = scene.limpet([a, b], pool={**COOKIE, "patience": "5s"})
    browser = limpet.browser_at("a")
    a.die()
    settle()
    threading.Timer(0.4, a.listen).start()
    body = b"x" * 3_000_000
    response = browser.request("POST", "/", body=body)
    assert response.status == 200 and bytes(response.body) == b"a" + body


def test_a_home_that_does_not_come_back_is_left_when_patience_ends(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool={**COOKIE, "patience": "300ms"})
    browser = limpet.browser_at("a")
    a.die()
    settle()
    response = browser.get("/impatient")
    assert response.status == 200 and response.text == "b"
    line = limpet.log_of("/impatient")[0]
    assert line["reason"] == "failed_over" and line["total_ms"] >= 250


def test_new_sessions_do_not_wait(scene):
    a, b = scene.backend("a", listening=False), scene.backend("b")
    limpet = scene.limpet([a, b], pool={**COOKIE, "patience": "30s", "placement": "round-robin"})
    for _ in range(6):
        assert limpet.browser().get().text == "b"  # a wait would outlast the test's own patience


def test_a_client_that_leaves_while_its_request_waits_does_no_harm(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool={**COOKIE, "patience": "5s"})
    browser = limpet.browser_at("a")
    a.die()
    settle()
    for _ in range(5):
        client = limpet.client()
        client.send(request_bytes(target="/left", fields=[f"Cookie: limpet_app={browser.jar['limpet_app']}"]))
        time.sleep(0.03)
        client.reset()
    assert {line["end"] for line in limpet.log_of("/left", 5)} == {"client_gone"}
    a.listen()
    assert browser.get().text == "a"


# Refuse.


def test_under_refuse_nothing_moves(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool={**COOKIE, "failover": "refuse"})
    browser = limpet.browser_at("a")
    a.die()
    settle()
    for _ in range(3):
        response = browser.get("/refused")
        assert response.status == 503 and int(response.get("Retry-After")) > 0
        assert not response.has("Set-Cookie")
    assert {(line["reason"], line["backend"]) for line in limpet.log_of("/refused", 3)} == {("refused", "a")}
    a.listen()
    eventually(lambda: browser.get().status == 200, what="it to be up")
    response = browser.get()
    assert response.text == "a" and not response.has("Set-Cookie")


def test_under_refuse_new_sessions_go_where_they_can(scene):
    a, b = scene.backend("a", listening=False), scene.backend("b")
    limpet = scene.limpet([a, b], pool={**COOKIE, "failover": "refuse", "placement": "round-robin"})
    for _ in range(4):
        assert limpet.browser().get().text == "b"


# What Limpet itself lacks.


def test_a_lack_of_descriptors_moves_no_session(scene):
    def handler(connection, request):
        connection.reply(fields=["Connection: close"], body=connection.backend.name.encode())
        connection.finish()

    limpet = scene.limpet(scene.backends(3, handler=handler), pool=COOKIE)
    browsers = [limpet.browser(keep_alive=True) for _ in range(6)]
    homes = [browser.get().text for browser in browsers]
    limpet.log(6)  # what a sanitizer looks up with a descriptor of its own is looked up by now
    most = resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE, (3, most[1]))  # no new one is below 3
    assert [browser.get("/lacking").status for browser in browsers] == [503] * 6
    assert {line["end"] for line in limpet.log_of("/lacking", 6)} == {"no_descriptors"}
    resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE, most)
    assert [browser.get().text for browser in browsers] == homes


# All together.


def test_a_backend_that_dies_under_load_costs_readers_nothing(scene):
    backends = scene.backends(3, handler=lambda connection, request: connection.reply(body=connection.backend.name.encode()))
    limpet = scene.limpet(backends, pool=COOKIE)
    stop, failures, served = threading.Event(), [], []

    def reader():
        browser = limpet.browser(keep_alive=True)
        while not stop.is_set():
            try:
                response = browser.get()
                (served if response.status == 200 else failures).append(response.status)
            except (Closed, OSError) as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=reader, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for victim in backends[:2]:
        time.sleep(0.2)
        victim.refuse()
        # As a server does that stops in good order: what is under way is finished, and then the connection is closed.
        victim.handler = lambda connection, request: (connection.reply(fields=["Connection: close"], body=b"last"), connection.finish())
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(6)
    assert failures == []
    assert len(served) > 50
