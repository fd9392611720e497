"""Affinity by the application's own session id: found in the request, bound by the answer that sets it."""

import pytest

from support.session_app import SessionApp, session_servers
from support.status import Status, status_table
from support.wire import eventually


def by(*sources, **pool):
    return {"affinity": ["session-id"], "session_id": {"sources": list(sources)}, **pool}


JSESSIONID = by("cookie:JSESSIONID")


def test_an_id_that_the_application_sets_is_bound_to_the_backend_that_made_it(scene):
    # By hash alone three of four would go elsewhere: the id's hash knows nothing of who made it.
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    browsers = [limpet.browser() for _ in range(20)]
    homes = []
    for index, browser in enumerate(browsers):
        homes.append(browser.request("POST", "/login", body=f"user{index}".encode()).text.partition(":")[0])
    assert len(set(homes)) == 4
    for _ in range(3):
        assert [browser.get("/who").text for browser in browsers] == [f"{home}:user{index}" for index, home in enumerate(homes)]


@pytest.mark.released
def test_who_pauses_after_the_login_is_led_home_all_the_same(scene):
    # Whoever reads the first page for longer than unreturned_timeout has expired in the books, and is at home all the same.
    limpet = scene.limpet(session_servers(scene, 4), pool={**JSESSIONID, "unreturned_timeout": "1s"}, status=status_table())
    browsers = [limpet.browser() for _ in range(20)]
    homes = [browser.request("POST", "/login", body=b"u").text.partition(":")[0] for browser in browsers]
    status = Status(limpet)
    eventually(lambda: status.pool()["sessions"]["totals"]["expired"] == 20, what=lambda: f"all to have expired: {status.pool()}")
    assert [browser.get("/who").text for browser in browsers] == [f"{home}:u" for home in homes]
    assert status.pool()["sessions"]["totals"]["restored"] == 20


def test_no_cookie_of_limpets_own_is_set_and_the_applications_is_left_alone(scene):
    a, = session_servers(scene, 1)
    browser = scene.limpet([a], pool=JSESSIONID).browser()
    response = browser.request("POST", "/login", body=b"u")
    assert list(response.set_cookies) == ["JSESSIONID"]
    browser.get("/who")
    assert a.last.get("Cookie") == f"JSESSIONID={browser.jar['JSESSIONID']}"


def test_a_header_can_carry_the_id(scene):
    # As MCP does: the server names the session in its first answer, the client repeats the name.
    limpet = scene.limpet(session_servers(scene, 4, "header:Mcp-Session-Id"), pool=by("header:Mcp-Session-Id"))
    sessions = []
    for index in range(20):
        response = limpet.browser().request("POST", "/login", body=f"user{index}".encode())
        sessions.append((response.get("Mcp-Session-Id"), response.text))
    for sid, text in sessions * 3:
        assert limpet.get("/who", f"mcp-session-id: {sid}").text == text


def test_the_path_can_carry_an_id_that_a_cookie_set(scene):
    # A client that keeps no cookies goes on by the links that the application rewrote.
    limpet = scene.limpet(session_servers(scene, 4, path_name="jsessionid"), pool=by("cookie:JSESSIONID", "path:jsessionid"))
    for index in range(12):
        response = limpet.browser().request("POST", "/login", body=f"user{index}".encode())
        sid = response.set_cookies["JSESSIONID"][0]
        for target in (f"/who;jsessionid={sid}", f"/who;jsessionid={sid}?q=1"):
            assert limpet.get(target).text == response.text


def test_the_query_can_carry_an_id_that_a_cookie_set(scene):
    limpet = scene.limpet(session_servers(scene, 4, "cookie:sid"), pool=by("query:sid", "cookie:sid"))
    for index in range(12):
        response = limpet.browser().request("POST", "/login", body=b"u")
        sid = response.set_cookies["sid"][0]
        home = response.text.partition(":")[0]
        for target in (f"/who?sid={sid}", f"/who?a=b&sid={sid}&c=d"):
            assert limpet.get(target).text.partition(":")[0] == home


def test_the_first_place_that_holds_an_id_wins(scene):
    servers = session_servers(scene, 4, path_name="jsessionid")
    limpet = scene.limpet(servers, pool=by("cookie:JSESSIONID", "path:jsessionid"))
    logins = [limpet.browser().request("POST", "/login", body=b"u") for _ in range(12)]
    for first, second in zip(logins, logins[1:]):
        by_cookie, by_path = (login.set_cookies["JSESSIONID"][0] for login in (first, second))
        response = limpet.get(f"/x;jsessionid={by_path}", f"Cookie: JSESSIONID={by_cookie}")
        assert response.text.partition(":")[0] == first.text.partition(":")[0]


@pytest.mark.parametrize("cookie", ["a=1; JSESSIONID={}", "JSESSIONID={}; b=2", "a=1;JSESSIONID={};b=2", "xJSESSIONID=no; JSESSIONID={}", "JSESSIONIDx=no; JSESSIONID={}", "a=JSESSIONID=no; JSESSIONID={}"])
def test_the_id_is_found_among_other_cookies(scene, cookie):
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    for _ in range(6):
        login = limpet.browser().request("POST", "/login", body=b"u")
        sid = login.set_cookies["JSESSIONID"][0]
        assert limpet.get("/who", "Cookie: " + cookie.format(sid)).text == login.text


def test_an_unknown_id_is_routed_by_hash_and_always_alike(scene):
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    homes = {}
    for index in range(30):
        homes[index] = limpet.get("/guess", f"Cookie: JSESSIONID=unknown{index}").text
    assert len(set(homes.values())) == 4
    for index, home in homes.items():
        assert limpet.get("/guess", f"Cookie: JSESSIONID=unknown{index}").text == home
    assert {line["reason"] for line in limpet.log_of("/guess", 60)} == {"hash"}


def test_the_log_says_why(scene):
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    browser = limpet.browser()
    browser.request("POST", "/login", body=b"u")
    browser.get("/who")
    login, who = limpet.log_of("/login")[0], limpet.log_of("/who")[0]
    assert login["reason"] == "placed" and who["reason"] == "bound"
    assert who["affinity"] == "session-id"


def test_requests_without_an_id_are_spread_and_open_nothing(scene):
    backends = scene.backends(3)
    limpet = scene.limpet(backends, pool={**JSESSIONID, "placement": "round-robin"})
    for _ in range(30):
        assert not limpet.browser().get().has("Set-Cookie")
    assert [len(backend.requests) for backend in backends] == [10, 10, 10]


def test_a_new_id_at_login_keeps_its_home(scene):
    # Tomcat changes the id at login, against fixation. Requests on their way with the old one still arrive.
    limpet = scene.limpet(session_servers(scene, 4, renews_at_login=True), pool=JSESSIONID)
    for index in range(12):
        browser = limpet.browser()
        home = browser.request("POST", "/visit").text.partition(":")[0]
        old = browser.jar["JSESSIONID"]
        assert browser.request("POST", "/login", body=b"u").text == f"{home}:u"
        assert browser.jar["JSESSIONID"] != old
        assert browser.get("/who").text == f"{home}:u"
        assert limpet.get("/who", f"Cookie: JSESSIONID={old}").text.partition(":")[0] == home


def test_a_logout_unbinds(scene):
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    for _ in range(5):
        browser = limpet.browser()
        browser.request("POST", "/login", body=b"u")
        sid = browser.jar["JSESSIONID"]
        assert browser.request("POST", "/logout").text == "bye"
        assert "JSESSIONID" not in browser.jar
        limpet.get("/late", f"Cookie: JSESSIONID={sid}")
    assert {line["reason"] for line in limpet.log_of("/late", 5)} == {"hash"}


@pytest.mark.parametrize("deletion", ["Max-Age=0", "max-age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Expires=Thu, 01-Jan-1970 00:00:10 GMT", "Path=/; Max-Age=0; HttpOnly"])
def test_every_way_to_delete_a_cookie_unbinds(scene, deletion):
    def handler(connection, request):
        if request.target == "/login":
            connection.reply(fields=["Set-Cookie: JSESSIONID=mine"], body=b"in")
        elif request.target == "/logout":
            connection.reply(fields=[f"Set-Cookie: JSESSIONID=; {deletion}"], body=b"out")
        else:
            connection.reply(body=b"x")

    limpet = scene.limpet([scene.backend("a", handler)], pool=JSESSIONID)
    cookie = "Cookie: JSESSIONID=mine"
    limpet.get("/login")
    limpet.get("/before", cookie)
    limpet.get("/logout", cookie)
    limpet.get("/after", cookie)
    assert limpet.log_of("/before")[0]["reason"] == "bound"
    assert limpet.log_of("/after")[0]["reason"] == "hash"


def test_a_cookie_that_expires_in_the_future_is_no_deletion(scene):
    def handler(connection, request):
        connection.reply(fields=["Set-Cookie: JSESSIONID=mine; Max-Age=3600; Expires=Thu, 01 Jan 2099 00:00:00 GMT"], body=b"x")

    limpet = scene.limpet([scene.backend("a", handler)], pool=JSESSIONID)
    limpet.get("/")
    limpet.get("/")
    limpet.get("/after", "Cookie: JSESSIONID=mine")
    assert limpet.log_of("/after")[0]["reason"] == "bound"


def test_an_id_is_learned_from_any_answer_and_among_several_cookies(scene):
    def handler(connection, request):
        if request.target.startswith("/login"):
            connection.reply(302, reason="Found", fields=["Set-Cookie: a=1", f"set-cookie: JSESSIONID={request.target[6:]}; Path=/", "Set-Cookie: b=2", "Location: /"], body=b"")
        else:
            connection.reply(body=connection.backend.name.encode())

    backends = scene.backends(4, handler=handler)
    limpet = scene.limpet(backends, pool=JSESSIONID)
    for index in range(12):
        response = limpet.browser().get(f"/login{index}")
        assert limpet.get("/", f"Cookie: JSESSIONID={index}").text == response.get("X-Backend")


def test_ids_are_compared_with_case(scene):
    limpet = scene.limpet(session_servers(scene, 4), pool=JSESSIONID)
    login = limpet.request("POST", "/login", body=b"u")
    sid = login.set_cookies["JSESSIONID"][0]
    limpet.get("/other", f"Cookie: JSESSIONID={sid.lower()}")
    limpet.get("/other-name", f"Cookie: jsessionid={sid}")
    assert limpet.log_of("/other")[0]["reason"] == "hash"
    assert limpet.log_of("/other-name")[0]["reason"] == "placed"


@pytest.mark.parametrize("target", ["/who;jsessionid=", "/who;jsessionid", "/who?jsessionid=x", "/who;xjsessionid=x", "/who?a=;jsessionid=x"])
def test_what_only_looks_like_a_path_parameter_is_none(scene, target):
    limpet = scene.limpet(scene.backends(2), pool=by("path:jsessionid"))
    assert limpet.get(target).status == 200
    assert limpet.log_of(target)[0]["reason"] == "placed"


def test_an_enormous_id_is_served(scene):
    limpet = scene.limpet(scene.backends(2), pool=JSESSIONID)
    assert limpet.get("/", "Cookie: JSESSIONID=" + "x" * 20_000).status == 200


# The fallback order.


def test_a_request_without_an_id_falls_back_to_the_address(scene):
    pool = {"affinity": ["session-id", "ip"], "session_id": {"sources": ["cookie:JSESSIONID"]}}
    backends = [scene.backend(name, SessionApp()) for name in "abcd"]
    limpet = scene.limpet(backends, pool=pool)
    homes = {limpet.get("/x").text for _ in range(10)}
    assert len(homes) == 1
    assert {line["affinity"] for line in limpet.log_of("/x", 10)} == {"ip"}
    browser = limpet.browser(source="127.0.0.1")
    home = browser.request("POST", "/login", body=b"u").text.partition(":")[0]
    assert f"{home}:nobody" in homes
    assert browser.get("/who").text == f"{home}:u"
    line = limpet.log_of("/who")[0]
    assert (line["affinity"], line["reason"]) == ("session-id", "bound")


def test_a_request_without_a_token_falls_back_to_the_address(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["cookie", "ip"]})
    responses = [limpet.get("/x") for _ in range(8)]
    assert len({response.text for response in responses}) == 1
    browser = limpet.browser()
    home = browser.get().text
    browser.get("/again")
    line = limpet.log_of("/again")[0]
    assert (line["affinity"], line["backend"]) == ("cookie", home)


def test_an_id_goes_before_a_token_where_it_comes_first(scene):
    pool = {"affinity": ["session-id", "cookie"], "session_id": {"sources": ["cookie:JSESSIONID"]}}
    limpet = scene.limpet([scene.backend(name, SessionApp()) for name in "abcd"], pool=pool)
    for _ in range(8):
        browser = limpet.browser()
        text = browser.request("POST", "/login", body=b"u").text
        assert browser.get("/who").text == text
