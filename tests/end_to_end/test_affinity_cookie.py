"""Affinity by Limpet's own cookie: a sealed token that names the session's home, and that nobody else can make or read."""

import base64
import re
import time
from collections import Counter

import pytest

from support.limpet import KEY, OTHER_KEY, pool_table
from support.session_app import session_servers

COOKIE = {"affinity": ["cookie"]}
NAME = "limpet_app"


def token_of(response, name=NAME):
    return response.set_cookies[name][0]


@pytest.fixture(scope="module")
def three(shared_scene):
    backends = shared_scene.backends(3)
    limpet = shared_scene.limpet(backends, pool=COOKIE)
    limpet.backends = backends
    return limpet


def seen(limpet):
    return [request for backend in limpet.backends for request in backend.requests]


def test_a_session_stays_at_the_backend_where_it_began(three):
    browsers = [three.browser() for _ in range(15)]
    homes = [browser.get().text for browser in browsers]
    assert set(homes) == {"a", "b", "c"}
    for _ in range(4):
        assert [browser.get().text for browser in browsers] == homes


def test_logins_stick(scene):
    limpet = scene.limpet(session_servers(scene, 3), pool=COOKIE)
    browsers = [limpet.browser() for _ in range(20)]
    for index, browser in enumerate(browsers):
        assert browser.request("POST", "/login", body=f"user{index}".encode()).status == 200
    for _ in range(3):
        for index, browser in enumerate(browsers):
            response = browser.get("/who")
            assert response.status == 200 and response.text.endswith(f":user{index}")


def test_sessions_of_one_connection_are_kept_apart(three):
    # A connection says nothing about who speaks: another proxy may share it between many users.
    first, second = three.browser(), three.browser()
    homes = {}
    while len(set(homes.values())) < 2:
        first, second = three.browser(), three.browser()
        homes = {0: first.get().text, 1: second.get().text}
    client = three.client()
    for index, browser in [(0, first), (1, second)] * 5:
        assert client.get("/", f"Cookie: {NAME}={browser.jar[NAME]}").text == homes[index]


def test_the_token_is_sent_once_and_not_on_every_answer(three):
    browser = three.browser()
    assert NAME in browser.get().set_cookies
    for _ in range(5):
        assert not browser.get().has("Set-Cookie")


def test_a_client_without_cookies_gets_a_token_each_time(three):
    assert len({token_of(three.get()) for _ in range(5)}) == 5


def test_the_log_says_why(three):
    browser = three.browser()
    browser.get("/why")
    browser.get("/why")
    first, second = three.log_of("/why", 2)
    assert (first["affinity"], first["reason"]) == ("", "placed")  # it brought no key of any kind
    assert (second["affinity"], second["reason"]) == ("cookie", "bound")
    assert first["backend"] == second["backend"] and first["pool"] == "app"


# What the application sees.


@pytest.mark.parametrize("before, after", [
    ("{}", None),
    ("a=1; {}", "a=1"),
    ("{}; b=2", "b=2"),
    ("a=1; {}; b=2", "a=1; b=2"),
    ("a=1;{};b=2", "a=1; b=2"),
    ("a=1;\t{};  b=2", "a=1; b=2"),
    ("a=1; " + NAME + " = {0}; b=2", "a=1; b=2"),
    ("a=1; {}; {}; b=2", "a=1; b=2"),
    ("x" + NAME + "=keep; {}", "x" + NAME + "=keep"),
    (NAME + "x=keep; {}", NAME + "x=keep"),
    ("a={}; {}", "a={}"),
])
def test_the_application_never_sees_the_token_among_other_cookies(three, before, after):
    home = three.browser()
    home.get()
    value = home.jar[NAME]
    target = f"/unseen-{abs(hash(before))}"
    three.get(target, "Cookie: " + before.replace("{}", f"{NAME}={value}").replace("{0}", value))
    request = next(request for request in seen(three) if request.target == target)
    cookies = [[pair.strip() for pair in line.split(";")] for line in request.all("Cookie")]
    expected = after.replace("{}", f"{NAME}={value}") if after else None
    assert cookies == ([[pair.strip() for pair in expected.split(";")]] if expected else [])


def test_the_application_does_not_see_a_token_on_a_cookie_line_of_its_own(three):
    home = three.browser()
    home.get()
    three.get("/two-lines", "Cookie: a=1", f"Cookie: {NAME}={home.jar[NAME]}", "Cookie: b=2")
    request = next(request for request in seen(three) if request.target == "/two-lines")
    assert NAME not in request.raw_head.decode()
    assert request.cookies == {"a": "1", "b": "2"}


def test_the_application_does_not_see_a_token_that_does_not_verify_either(three):
    three.get("/forged", f"Cookie: a=1; {NAME}=forged; b=2")
    request = next(request for request in seen(three) if request.target == "/forged")
    assert request.cookies == {"a": "1", "b": "2"}


def test_the_applications_own_cookies_come_through(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(fields=["Set-Cookie: x=1; Path=/", "Set-Cookie: y=2"], body=b"ok"))
    response = scene.limpet([a], pool=COOKIE).get()
    assert response.all("Set-Cookie")[:2] == ["x=1; Path=/", "y=2"]
    assert len(response.all("Set-Cookie")) == 3 and NAME in response.set_cookies


# Tokens that are not believed.


def test_a_token_with_any_character_changed_is_replaced(three):
    browser = three.browser()
    browser.get()
    token = browser.jar[NAME]
    for at in range(0, len(token), 7):
        forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:]
        response = three.get("/", f"Cookie: {NAME}={forged}")
        assert response.status == 200
        assert token_of(response) not in (token, forged)


@pytest.mark.parametrize("value", ["", "x", "a", "b", "127.0.0.1:80", "A" * 70, "A" * 5000, "=", "%00", '""', "....", "é".encode().decode("latin-1")])
def test_nonsense_in_the_cookie_is_replaced(three, value):
    response = three.get("/", f"Cookie: {NAME}={value}")
    assert response.status == 200
    assert NAME in response.set_cookies


def test_a_shortened_or_lengthened_token_is_replaced(three):
    browser = three.browser()
    browser.get()
    token = browser.jar[NAME]
    for forged in (token[:-1], token[1:], token + "A", token + "=", token + token):
        assert NAME in three.get("/", f"Cookie: {NAME}={forged}").set_cookies


def test_a_token_of_another_pool_is_not_believed(scene):
    a, b = scene.backend("a"), scene.backend("b")
    cookie = {"affinity": ["cookie"], "cookie": {"name": "sticky"}}
    limpet = scene.limpet(pools=[pool_table("one", [a], **cookie), pool_table("two", [b], **cookie)],
                          routes=[{"pool": "one", "host": "one.test"}, {"pool": "two", "host": "two.test"}])
    token = token_of(limpet.get(host="one.test"), "sticky")
    assert not limpet.get("/", f"Cookie: sticky={token}", host="one.test").has("Set-Cookie")
    assert "sticky" in limpet.get("/", f"Cookie: sticky={token}", host="two.test").set_cookies


def test_a_token_tells_nothing_to_whoever_has_no_key(scene):
    backends = [scene.backend("very-secret-name"), scene.backend("other-secret-name")]
    limpet = scene.limpet(backends, pool=COOKIE)
    tokens = [token_of(limpet.get()) for _ in range(10)]
    assert len(set(tokens)) == 10
    for token in tokens:
        assert re.fullmatch(r"[A-Za-z0-9_.~-]+", token)
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        for secret in (b"secret", b"127.0.0.1", backends[0].port.to_bytes(2, "big"), str(backends[0].port).encode()):
            assert len(secret) == 2 or secret not in raw
    # No part of a token is alike for all sessions of one backend.
    same = [position for position in range(len(tokens[0])) if len({token[position] for token in tokens}) == 1]
    assert len(same) <= 2


# Keys.


def restart(scene, backends, keys, **pool):
    return scene.limpet(backends, pool={**COOKIE, **pool}, secrets={"keys": keys, "hash_secret": "5a" * 32})


def test_sessions_survive_a_restart_with_the_same_key(scene):
    backends = scene.backends(5)
    first = restart(scene, backends, [KEY])
    browsers = [first.browser() for _ in range(10)]
    homes = [browser.get().text for browser in browsers]
    second = restart(scene, backends, [KEY])
    for browser, home in zip(browsers, homes):
        browser.limpet = second
        assert browser.get("/after").text == home
    assert {line["reason"] for line in second.log_of("/after", 10)} == {"token"}


def test_keys_rotate_without_moving_anybody(scene):
    backends = scene.backends(5)
    limpets = [restart(scene, backends, keys) for keys in ([KEY], [OTHER_KEY, KEY], [OTHER_KEY])]
    browsers = [limpets[0].browser() for _ in range(10)]
    homes = [browser.get().text for browser in browsers]
    for browser, home in zip(browsers, homes):
        browser.limpet = limpets[1]
        assert browser.get().text == home
    newcomers = [limpets[1].browser() for _ in range(10)]
    new_homes = [browser.get().text for browser in newcomers]
    for browser, home in zip(newcomers, new_homes):
        browser.limpet = limpets[2]
        assert browser.get().text == home, "the first key did not sign"


def test_a_token_of_a_key_that_is_gone_is_replaced(scene):
    backends = scene.backends(2)
    old, new = restart(scene, backends, [KEY]), restart(scene, backends, [OTHER_KEY])
    browser = old.browser()
    browser.get()
    token = browser.jar[NAME]
    browser.limpet = new
    assert token_of(browser.get()) != token
    assert not browser.get().has("Set-Cookie")


def test_a_token_of_a_backend_that_is_gone_is_replaced(scene):
    a, b = scene.backends(2)
    both, only_b = restart(scene, [a, b], [KEY]), restart(scene, [b], [KEY])
    browsers = [both.browser() for _ in range(6)]
    for browser in browsers:
        home = browser.get().text
        browser.limpet = only_b
        response = browser.get()
        assert response.text == "b"
        assert (NAME in response.set_cookies) == (home == "a")


def test_a_backend_under_another_address_is_still_the_home(scene):
    # The name is its identity: a container that comes back elsewhere keeps its sessions.
    a, b, moved = scene.backend("a"), scene.backend("b"), scene.backend("a")
    before, after = restart(scene, [a, b], [KEY]), restart(scene, [b, moved], [KEY])
    for browser in [before.browser() for _ in range(6)]:
        home = browser.get().text
        browser.limpet = after
        assert browser.get().text == home
    assert moved.requests


# Its attributes.


def test_the_cookie_is_a_careful_one_by_default(three):
    value, attributes = three.get().set_cookies[NAME]
    assert value
    assert attributes == {"path": "/", "httponly": "", "samesite": "Lax"}


def test_every_attribute_can_be_chosen(scene):
    cookie = {"name": "sticky", "path": "/app", "domain": "example.com", "secure": True, "http_only": False, "same_site": "none",
              "partitioned": True, "attributes": ["Priority=High"]}
    limpet = scene.limpet(scene.backends(1), pool={"affinity": ["cookie"], "cookie": cookie})
    cookies = limpet.get().set_cookies
    assert list(cookies) == ["sticky"]
    assert cookies["sticky"][1] == {"path": "/app", "domain": "example.com", "secure": "", "samesite": "None", "partitioned": "", "priority": "High"}


# Caches.


@pytest.mark.parametrize("cache_control", [[], ["Cache-Control: public, max-age=60"], ["Cache-Control: max-age=60", "Expires: Thu, 01 Jan 2099 00:00:00 GMT"],
                                           ["Cache-Control: s-maxage=60"], ["Cache-Control: private"], ["Cache-Control: no-store"]])
def test_an_answer_with_a_token_is_not_for_shared_caches_and_one_without_is_as_it_was(scene, cache_control):
    a = scene.backend("a", lambda connection, request: connection.reply(fields=cache_control, body=b"x"))
    browser = scene.limpet([a], pool=COOKIE).browser()
    directives = browser.get().tokens("Cache-Control")
    assert {"private", "no-store"} & set(directives)
    assert "public" not in directives and not any(directive.startswith("s-maxage") for directive in directives)
    without = browser.get()
    assert not without.has("Set-Cookie")
    assert [f"Cache-Control: {value}" for value in without.all("Cache-Control")] == [line for line in cache_control if line.startswith("Cache")]


# Which answers carry it.


@pytest.mark.parametrize("status, reason", [(201, "Created"), (302, "Found"), (304, "Not Modified"), (404, "Not Found"), (500, "Oops"), (204, "No Content")])
def test_any_answer_of_a_backend_begins_a_session(scene, status, reason):
    def handler(connection, request):
        connection.reply(status, reason=reason, body=b"", length=status not in (204, 304))

    assert NAME in scene.limpet([scene.backend("a", handler)], pool=COOKIE).get().set_cookies


def test_an_interim_answer_carries_no_token(scene):
    def handler(connection, request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        connection.reply(body=b"x")

    response = scene.limpet([scene.backend("a", handler)], pool=COOKIE).get()
    assert not response.interim[0].has("Set-Cookie") and response.has("Set-Cookie")


def test_a_websocket_keeps_to_its_session(three):
    browser = three.browser()
    home = browser.get().text
    for _ in range(3):
        assert browser.get("/", "Connection: Upgrade", "Upgrade: websocket").text == home


# Lifetimes, which Limpet enforces itself whatever the client does.


def test_a_session_that_goes_on_outlives_its_idle_timeout(scene):
    limpet = scene.limpet(scene.backends(4), pool={**COOKIE, "idle_timeout": "2s", "unreturned_timeout": "2s"})
    browser = limpet.browser()
    homes, end = [], time.monotonic() + 3.5
    while time.monotonic() < end:
        homes.append(browser.get().text)
        time.sleep(0.25)
    assert len(set(homes)) == 1


def test_a_session_that_idles_out_is_replaced(scene):
    limpet = scene.limpet(scene.backends(4), pool={**COOKIE, "idle_timeout": "1s", "unreturned_timeout": "1s", "dormant_timeout": "0s"})
    browser = limpet.browser()
    browser.get()
    assert not browser.get().has("Set-Cookie")
    time.sleep(3.2)  # times are whole seconds, and a token need not be sent anew at once
    assert NAME in browser.get("/later").set_cookies
    assert limpet.log_of("/later")[0]["reason"] == "placed"


def test_a_session_that_goes_on_too_long_begins_anew_where_it_was(scene):
    limpet = scene.limpet(scene.backends(4), pool={**COOKIE, "cookie": {"absolute_timeout": "2s"}})
    browser = limpet.browser()
    first = token_of(browser.get("/age"))
    begun, replaced, count = time.monotonic(), None, 1
    while replaced is None and time.monotonic() < begun + 5:
        response = browser.get("/age")
        count += 1
        replaced = response.set_cookies.get(NAME)
        time.sleep(0.1)
    assert replaced and replaced[0] != first, "the session went on beyond its absolute timeout"
    reasons = [line["reason"] for line in limpet.log_of("/age", count)]
    assert Counter(reasons)["placed"] == 2 and reasons[-1] == "placed"
    assert len({line["backend"] for line in limpet.log_of("/age", count)}) == 1


@pytest.mark.parametrize("style, https, http", [
    ("x-forwarded", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"),
    ("forwarded", "Forwarded: for=192.0.2.1;proto=https, for=127.0.0.1;proto=http", "Forwarded: for=192.0.2.1;proto=http"),
])
def test_secure_follows_what_a_trusted_proxy_says_of_the_client(scene, style, https, http):
    a = scene.backend("a")
    pool = {"affinity": ["cookie"], "cookie": {"secure": "auto", "same_site": "none"}}
    trusting = scene.limpet([a], pool=pool, listener={"forwarded": style, "trusted_proxies": ["127.0.0.1"]})
    alone = scene.limpet([a], pool=pool, listener={"forwarded": style})

    def is_secure(limpet, field):
        value, attributes = limpet.get("/", field).set_cookies[NAME]
        return "secure" in attributes

    assert is_secure(trusting, https)
    assert not is_secure(trusting, http)
    assert not is_secure(trusting, "X-Other: https")
    assert not is_secure(alone, https)
