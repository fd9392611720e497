"""What takes a backend down, and what does not: requests make Limpet ask, and the question decides. Each backend here is broken in a way
of its own, or is not broken at all while something else is."""

import threading
import time

import pytest

from support.status import Status, status_table
from support.wire import Closed, eventually

FAST = {"fast_interval": "100ms", "rise": 2, "fall": 3}
HASTY = {**FAST, "timeout": "200ms"}  # for what hangs; what answers may be slow on a busy machine
TRUSTING = {"trusted_proxies": ["127.0.0.0/8"]}


def ok(connection, request):
    connection.read_body()
    connection.reply(body=connection.backend.name.encode())


def started(scene, handlers, *, affinity=("cookie",), is_asked=True, **pool):
    backends = [scene.backend(name, handler) for name, handler in zip("abcdef", handlers)]
    limpet = scene.limpet(backends, pool={"affinity": list(affinity), "health": FAST, **pool}, listener=TRUSTING, status=status_table())
    status = Status(limpet)
    if is_asked and "check" not in pool.get("health", FAST):
        eventually(lambda: all(status.backend(backend.name)["last_check"] for backend in backends),
                   what="the answer that tells whether it can be relied on")
    return limpet, status, backends


def from_client(limpet, number, target="/", **how):
    return limpet.get(target, f"X-Forwarded-For: 198.51.100.{number}", **how)


def never_down(status, name="a", seconds=1.0):
    """Holds that the backend is in service for so long, and answers why not else."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        backend = status.backend(name)
        assert backend["state"] == "up", backend["why"]
        time.sleep(0.05)


def hang(connection):
    """Until Limpet gives up, or the test does."""
    try:
        connection.read_exactly(1)
    except (Closed, AssertionError):
        connection.shut()


class Page:
    """Answers everything well but the pages of `bad`, which fail in the way that they name."""

    def __init__(self, **bad):
        self.bad = bad

    def __call__(self, connection, request):
        how = self.bad.get(request.target.strip("/"))
        if how == "close":
            return connection.shut()
        if how == "hang":
            return hang(connection)
        if how == "garbage":
            return connection.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        if how == "cut":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            return connection.shut()
        ok(connection, request)


@pytest.mark.parametrize("how", ["close", "garbage", "cut"])
def test_one_client_that_asks_for_a_bad_page_a_hundred_times_takes_nothing_down(scene, how):
    limpet, status, (a, b) = started(scene, [Page(bad=how), ok])
    browser = limpet.browser_at("a")
    for _ in range(100):
        try:
            assert browser.get("/bad").status == 502
        except Closed:
            assert how == "cut"
    never_down(status, seconds=0.5)
    assert browser.get().text == "a"
    assert status.incidents() == []


def test_slow_pages_of_one_client_take_nothing_down(scene):
    limpet, status, (a, b) = started(scene, [Page(slow="hang"), ok], timeouts={"head": "300ms"})
    browsers = [limpet.browser_at("a") for _ in range(6)]
    for browser in browsers:
        browser.source = "127.0.0.1"  # from now on
    threads = [threading.Thread(target=browser.get, args=("/slow",)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    never_down(status, seconds=0.5)


@pytest.mark.parametrize("everything", ["close", "garbage"])
def test_a_backend_that_fails_everything_is_down_after_fall_questions(scene, everything):
    """With one client, and with all clients behind one address."""
    def broken(connection, request):
        return Page(x=everything)(connection, type("Any", (), {"target": "/x"}))

    limpet, status, (a, b) = started(scene, [ok, ok])
    browser = limpet.browser_at("a")
    a.handler = broken
    assert browser.get().status == 502
    down = status.wait_for_state("a", "down")
    assert down["cause"] == "checks" and down["why"].startswith("its checks fail: HEAD /: "), down["why"]
    questions = a.checks
    assert len(questions) > FAST["fall"] and {request.method for request in questions} == {"HEAD"}
    assert browser.get().text == "b"
    a.handler = ok
    status.wait_for_state("a", "up")


def test_where_it_accepts_and_closes_newcomers_are_served_elsewhere(scene):
    limpet, status, (a, b) = started(scene, [Page(), ok], passive={"failures": 0}, health={**FAST, "fall": 1000})
    a.handler = lambda connection, request: connection.shut()
    for _ in range(20):
        assert limpet.get().text == "b"
    assert status.backend("a")["state"] == "up"


def test_clients_whose_requests_all_fail_take_down_what_passes_its_question(scene):
    """And its downtime doubles while that is all that ever happens; where one request in between is answered it does not."""
    def half_dead(connection, request):
        return ok(connection, request) if request.method == "HEAD" else connection.shut()

    limpet, status, (a, b) = started(scene, [ok, ok], passive={"failures": 3})
    browsers = [limpet.browser_at("a") for _ in range(5)]
    a.handler = half_dead
    for number, browser in zip([1, 1, 2], browsers):
        assert browser.get("/", f"X-Forwarded-For: 198.51.100.{number}").status == 502
    eventually(lambda: status.backend("a")["why"].startswith("requests of 2 clients failed within 10s"), what="the doubt")
    never_down(status, seconds=0.3)
    for number, browser in enumerate(browsers[:3]):
        browser.get("/", f"X-Forwarded-For: 198.51.100.{number + 1}")
    down = status.wait_for_state("a", "down")
    assert down["cause"] == "requests", down
    assert "requests of 3 clients failed within 10s" in down["why"] and "HEAD / passes" in down["why"], down["why"]
    assert browsers[4].get().text == "b"


def test_who_is_held_is_said_in_plain_words(scene):
    def half_dead(connection, request):
        return ok(connection, request) if request.method == "HEAD" else connection.shut()

    limpet, status, (a,) = started(scene, [half_dead], passive={"failures": 3})
    for number in range(6):
        assert from_client(limpet, number).status == 502
        time.sleep(0.1)
    eventually(lambda: status.backend("a")["held"], what="held")
    assert status.backend("a")["why"].startswith("held: requests of 6 clients failed within 10s"), status.backend("a")["why"]
    limpet.says("is held: requests of ", "HEAD / passes", "max_down_percent")
    assert status.metric("limpet_backend_held", backend="a", pool="app") == 1


@pytest.mark.parametrize("unasked", ["close", "503"])
def test_a_server_that_never_answers_the_question_nobody_configured_is_not_taken_down_for_it(scene, unasked):
    """A default host of nginx that closes, one of HAProxy that says 503: users are served, or nobody asks, or one client fails."""
    def picky(connection, request):
        if request.method != "HEAD" and request.target != "/nobody":
            return ok(connection, request)
        return connection.shut() if unasked == "close" else connection.reply(status=503)

    limpet, status, (a, b) = started(scene, [picky, picky], placement="round-robin")
    user = limpet.browser()
    for _ in range(10):
        limpet.get("/nobody")
        assert user.get().status == 200
    for _ in range(10):
        limpet.get("/nobody")
    never_down(status, seconds=0.5)
    never_down(status, "b", seconds=0.5)
    a.die()
    browsers = [limpet.browser() for _ in range(4)]
    assert all(browser.get().text == "b" for browser in browsers)
    status.wait_for_state("a", "down")
    a.listen()
    status.wait_for_state("a", "up")


@pytest.mark.parametrize("state", [502, 503, 504])
def test_a_proxy_whose_own_server_is_gone_is_down(scene, state):
    """Where no checks are configured, and whatever the address its clients come from."""
    limpet, status, (a, b) = started(scene, [ok, ok])
    browser = limpet.browser_at("a")
    a.handler = lambda connection, request: connection.reply(status=state)
    assert browser.get().status == state
    down = status.wait_for_state("a", "down")
    assert down["why"].startswith(f"its checks fail: HEAD /: answered {state}"), down["why"]
    assert browser.get().text == "b"


def test_an_application_that_says_503_at_one_page_stays_up(scene):
    def busy(connection, request):
        return connection.reply(status=503) if request.target == "/busy" else ok(connection, request)

    limpet, status, (a, b) = started(scene, [busy, ok])
    browser = limpet.browser_at("a")
    for _ in range(50):
        assert browser.get("/busy").status == 503
    never_down(status, seconds=0.5)


def test_event_streams_that_fall_silent_take_nothing_down(scene):
    def silent(connection, request):
        if request.target != "/events":
            return ok(connection, request)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n")
        hang(connection)

    limpet, status, (a, b) = started(scene, [silent, silent], timeouts={"body": "300ms", "stream": "300ms"}, passive={"failures": 1})
    before = len(a.checks + b.checks)
    streams = [limpet.client() for _ in range(12)]
    for number, stream in enumerate(streams):
        stream.send(f"GET /events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.{number}\r\n\r\n".encode())
    for stream in streams:
        with pytest.raises(Closed):
            while True:
                stream.read_exactly(1)
    for name in "ab":
        never_down(status, name, seconds=0.3)
    assert len(a.checks + b.checks) == before


@pytest.mark.released
def test_a_hung_backend_is_found_by_its_only_client(scene):
    """Ten seconds of waiting make Limpet ask, and `fall` questions are enough."""
    limpet, status, (a, b) = started(scene, [ok, ok], health=HASTY)
    browser = limpet.browser_at("a")
    a.handler = Page(**{"": "hang"})
    began = time.monotonic()
    waiting = limpet.client()
    waiting.send(f"GET / HTTP/1.1\r\nHost: x\r\nCookie: limpet_app={browser.jar['limpet_app']}\r\n\r\n".encode())
    eventually(lambda: "no answer within 200ms" in status.backend("a")["why"], patience=30, what="a question that came to nothing")
    assert time.monotonic() - began >= 10
    status.wait_for_state("a", "down")
    assert len(a.checks) > FAST["fall"]


@pytest.mark.released
def test_a_backend_whose_checks_starve_while_it_answers_stays_up_for_three_times_as_long(scene):
    """Checks at a page that hangs, beside requests that are answered."""
    health = {**HASTY, "check": "http", "path": "/hang", "interval": "200ms", "fall": 10}
    limpet, status, (a, b) = started(scene, [ok, ok], health=health)
    browser = limpet.browser_at("a")
    a.handler = Page(hang="hang")

    before = len(a.checks)
    while len(a.checks) < before + 15:
        assert browser.get().text == "a"
        assert status.backend("a")["state"] == "up"
    assert "though requests were answered" in status.backend("a")["why"], status.backend("a")["why"]
    eventually(lambda: browser.get() and status.backend("a")["state"] == "down", patience=60, what="down")
    assert len(a.checks) >= before + 30


def test_starved_checks_alone_take_down_no_more_than_max_down_percent(scene):
    health = {**HASTY, "check": "http", "path": "/hang", "interval": "200ms"}
    limpet, status, backends = started(scene, [ok, ok, ok, ok], health=health)
    for backend in backends:
        backend.handler = Page(hang="hang")
    eventually(lambda: sorted(status.backend(name)["held"] for name in "abcd") == [False, False, True, True], patience=30, what="held")
    states = sorted(status.backend(name)["state"] for name in "abcd")
    assert states == ["down", "down", "up", "up"]
    assert limpet.get().status == 200


@pytest.mark.parametrize("what", ["kill", "stop", "port"])
def test_what_dies_under_load_is_found_at_the_first_question_where_many_clients_fail(scene, what):
    """A question that fails beside five clients' requests is enough: nobody waits for `fall` of them."""
    limpet, status, (a, b) = started(scene, [ok, ok], health={**HASTY, "fall": 1000}, timeouts={"head": "500ms"})
    browsers = [limpet.browser_at("a") for _ in range(6)]
    if what == "kill":
        a.die()
    elif what == "port":
        a.refuse()
        a.drop_connections()
    else:
        a.handler = Page(**{"": "hang"})
    threads = [threading.Thread(target=browser.get, args=("/", f"X-Forwarded-For: 198.51.100.{number}")) for number, browser in enumerate(browsers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    down = status.wait_for_state("a", "down")
    assert "requests of " in down["why"], down["why"]
    assert all(browser.get().text == "b" for browser in browsers)


def test_what_refuses_its_question_and_requests_of_one_address_is_down_before_the_next_question(scene):
    """Nobody waits for the next question, as long as it may take to come."""
    limpet, status, (a, b) = started(scene, [ok, ok], is_asked=False, health={"fast_interval": "60s", "fall": 3})
    first, second, third = (limpet.browser_at("a") for _ in range(3))
    a.die()
    assert first.get().text == "b"
    eventually(lambda: "refused (1 of 3)" in status.backend("a")["why"], what="the question")
    assert second.get().text == "b"
    assert third.get().text == "b"
    assert "HEAD /: connection refused, 2 requests too" in status.wait_for_state("a", "down")["why"]


@pytest.mark.parametrize("seconds, patience", [(1, "900ms"), (3, "2500ms")])
def test_a_limpet_that_was_stopped_takes_nothing_down_and_gives_everybody_the_answer_that_came_meanwhile(scene, seconds, patience):
    def soon(connection, request):
        connection.read_body()
        time.sleep(0.3)
        connection.reply(body=connection.backend.name.encode())

    health = {**FAST, "check": "http", "interval": patience, "timeout": patience, "fall": 1}
    limpet, status, (a, b) = started(scene, [ok, ok], health=health, timeouts={"head": patience})
    browsers = [limpet.browser() for _ in range(40)]
    for browser in browsers:
        browser.get()
    # Checks are answered at once: one that is under way when Limpet is stopped is not there long.
    for backend in (a, b):
        backend.handler = lambda connection, request: (ok if request.get("User-Agent") == "limpet-check" else soon)(connection, request)
    answers = []
    threads = [threading.Thread(target=lambda one=browser: answers.append(one.get().status)) for browser in browsers]
    for thread in threads:
        thread.start()
    eventually(lambda: len(a.requests) + len(b.requests) >= 80, what="all requests at their backends")
    with limpet.stopped():
        time.sleep(seconds)
    for thread in threads:
        thread.join()
    assert answers == [200] * 40
    assert status.incidents() == []
    for name in "ab":
        assert status.backend(name)["state"] == "up"


@pytest.mark.soak
def test_a_limpet_that_was_stopped_for_a_minute_takes_nothing_down(scene):
    limpet, status, (a, b) = started(scene, [ok, ok], health={**HASTY, "check": "http", "interval": "200ms"})
    browser = limpet.browser_at("a")
    with limpet.stopped():
        time.sleep(60)
    assert browser.get().text == "a"
    assert status.incidents() == []


def test_a_name_without_an_address_is_up_says_so_and_costs_nobody_anything(scene):
    b = scene.backend("b", ok)
    nowhere = {"name": "a", "address": "nowhere.invalid:80"}
    limpet = scene.limpet([nowhere, b], pool={"affinity": ["cookie"], "health": FAST}, status=status_table())
    status = Status(limpet)
    for _ in range(20):
        assert limpet.get().text == "b"
    backend = status.backend("a")
    assert backend["state"] == "up" and backend["why"].startswith("nowhere.invalid has no address: "), backend["why"]
    assert status.backend("a")["requests"]["failures"]["connect"] == 0


def test_a_request_is_tried_at_no_more_backends_than_the_retries_allow(scene):
    backends = [scene.backend(name, listening=False) for name in "abcdef"]
    limpet = scene.limpet(backends, pool={"affinity": ["cookie"], "retries": {"percent": 0, "floor": 0}}, workers=1, status=status_table())
    assert limpet.get().status == 503
    status = Status(limpet)
    assert sum(status.backend(name)["requests"]["failures"]["connect"] for name in "abcdef") == 1
