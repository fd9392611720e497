"""Placement of new sessions: weighted, and never beyond what a backend may hold."""

import time
from collections import Counter

import pytest

from support.session_app import session_servers

COOKIE = {"affinity": ["cookie"]}


def place(limpet, count):
    """Of clients that come for the first time, each from an address of its own."""
    return Counter(limpet.browser().get().text for _ in range(count))


def test_new_sessions_go_where_fewest_are(scene):
    limpet = scene.limpet(scene.backends(3), pool=COOKIE)
    assert place(limpet, 30) == {"a": 10, "b": 10, "c": 10}


def test_known_sessions_do_not_count_as_new(scene):
    limpet = scene.limpet(scene.backends(2), pool=COOKIE)
    browser = limpet.browser()
    for _ in range(10):
        browser.get()
    assert place(limpet, 9) in ({"a": 4, "b": 5}, {"a": 5, "b": 4})


def test_requests_without_a_session_take_turns_though_one_backend_has_more_sessions(scene):
    servers = session_servers(scene, 2)
    limpet = scene.limpet(servers, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}})
    limpet.request("POST", "/login", body=b"ann")
    asked = Counter(limpet.browser().get("/who").text for _ in range(10))
    assert asked == {"a:nobody": 5, "b:nobody": 5}


@pytest.mark.parametrize("placement", ["least-sessions", "round-robin"])
def test_weights_share_exactly(scene, placement):
    a, b, c = scene.backends(3)
    limpet = scene.limpet([a.as_table(weight=1), b.as_table(weight=2), c.as_table(weight=3)], pool={**COOKIE, "placement": placement})
    assert place(limpet, 60) == {"a": 10, "b": 20, "c": 30}


def test_round_robin_interleaves(scene):
    limpet = scene.limpet(scene.backends(3), pool={**COOKIE, "placement": "round-robin"})
    order = [limpet.browser().get().text for _ in range(9)]
    for start in range(0, 9, 3):
        assert sorted(order[start:start + 3]) == ["a", "b", "c"]


def test_random_two_reaches_every_backend(scene):
    limpet = scene.limpet(scene.backends(3), pool={**COOKIE, "placement": "random-two"})
    placed = place(limpet, 90)
    assert set(placed) == {"a", "b", "c"} and max(placed.values()) < 60


def test_hash_places_by_the_clients_address(scene):
    limpet = scene.limpet(scene.backends(3), listener={"trusted_proxies": ["127.0.0.1"]}, pool={**COOKIE, "placement": "hash"})
    clients = [f"X-Forwarded-For: 192.0.2.{number}" for number in range(90)]
    homes = [limpet.get("/", client).text for client in clients]
    placed = Counter(homes)
    assert set(placed) == {"a", "b", "c"} and max(placed.values()) < 60
    assert [limpet.get("/", client).text for client in clients] == homes


def test_random_two_evens_out(scene):
    # The better of two random choices keeps the spread small, where one choice would not.
    limpet = scene.limpet(scene.backends(4), pool={**COOKIE, "placement": "random-two"})
    placed = place(limpet, 200)
    assert max(placed.values()) - min(placed.values()) <= 14


def test_a_backend_of_weight_zero_gets_no_new_sessions(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a.as_table(weight=0), b], pool=COOKIE)
    assert place(limpet, 10) == {"b": 10}


def test_a_backend_of_weight_zero_keeps_its_own(scene):
    a, b = scene.backends(2)
    before = scene.limpet([a], pool=COOKIE)
    after = scene.limpet([a.as_table(weight=0), b], pool=COOKIE)
    browser = before.browser()
    assert browser.get().text == "a"
    browser.limpet = after
    assert [browser.get().text for _ in range(3)] == ["a", "a", "a"]


@pytest.mark.parametrize("placement", ["least-sessions", "round-robin", "random-two", "hash"])
def test_a_full_backend_gets_no_more(scene, placement):
    a, b = scene.backends(2)
    limpet = scene.limpet([a.as_table(max_sessions=3), b], pool={**COOKIE, "placement": placement})
    placed = place(limpet, 40)
    assert placed["a"] <= 3 and placed["a"] + placed["b"] == 40


def test_where_every_backend_is_full_the_answer_is_503_and_the_known_go_on(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a.as_table(max_sessions=2), b.as_table(max_sessions=2)], pool=COOKIE)
    browsers = [limpet.browser() for _ in range(4)]
    homes = [browser.get().text for browser in browsers]
    assert Counter(homes) == {"a": 2, "b": 2}
    for _ in range(3):
        response = limpet.get("/full")
        assert response.status == 503 and int(response.get("Retry-After")) > 0
    assert {line["reason"] for line in limpet.log_of("/full", 3)} == {"full"}
    assert [browser.get().text for browser in browsers] == homes


def test_a_place_is_given_back_when_no_session_began(scene):
    def handler(connection, request):
        if request.target == "/fails":
            connection.send(b"nonsense\r\n\r\n")
            connection.finish()
        else:
            connection.read_body()  # so that whoever resets before its end is never answered
            connection.reply(body=b"x")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a.as_table(max_sessions=1)], pool=COOKIE)
    for _ in range(5):
        assert limpet.get("/fails").status == 502
    for _ in range(5):
        client = limpet.client()
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\n")
        client.reset()
    browser = limpet.browser()
    # The last of the resets may still be on its way.
    for _ in range(50):
        if browser.get().status == 200:
            break
        time.sleep(0.02)
    assert browser.get().status == 200


def test_a_session_that_never_returned_gives_its_place_back(scene):
    a, = scene.backends(1)
    limpet = scene.limpet([a.as_table(max_sessions=1)], pool={**COOKIE, "unreturned_timeout": "1s"})
    assert limpet.get().status == 200
    assert limpet.get().status == 503
    end = time.monotonic() + 15
    while limpet.get().status == 503:
        assert time.monotonic() < end, "a session whose client never came back holds its place for good"
        time.sleep(0.1)


def test_sessions_by_id_count_once_the_application_has_set_one(scene):
    limpet = scene.limpet(session_servers(scene, 3), pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}})
    homes = Counter(limpet.browser().request("POST", "/login", body=b"u").text.partition(":")[0] for _ in range(30))
    assert homes == {"a": 10, "b": 10, "c": 10}
