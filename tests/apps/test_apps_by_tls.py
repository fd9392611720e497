"""Real applications behind TLS: Limpet ends it in front of them, or speaks it with them too. They know how their clients came, users stay
logged in, and what is sent at once arrives at once."""

import contextlib
import http.client
import json
import time

import pytest

import servers
from support.status import Status, status_table
from support.wire import eventually
from users import PATIENCE, Driver, SocketUser, User, crowd, own_address, stays_logged_in

BY_ID = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID", "cookie:connect.sid", "path:jsessionid"]}}
POLLING = {"withCredentials": True, "transports": ["polling"]}


@pytest.fixture(scope="module")
def expresses(tls_on_both_sides):
    options = {"cookie": {"secure": "auto"}}
    with servers.running(servers.kind(servers.SafeExpress, options=options, trust="loopback", files=tls_on_both_sides.files)) as both:
        yield both


@pytest.fixture
def front(scene, tls_on_both_sides):
    """Starts a Limpet in front of servers, with TLS where it is said."""
    def start(both, *, by_tls=True, backends_by_tls=False, status=None, **pool):
        sides = tls_on_both_sides
        return scene.limpet([server.as_table(backends_by_tls) for server in both], pool={**BY_ID, **pool, **(sides.pool if backends_by_tls else {})},
                            listener=sides.listener if by_tls else {}, workers=2, status=status or status_table())
    return start


@pytest.mark.parametrize("backends_by_tls", [False, True], ids=["in front", "on both sides"])
@pytest.mark.parametrize("kind", ["tomcats", "expresses"])
def test_thirty_users_stay_logged_in(request, front, tls_on_both_sides, kind, backends_by_tls):
    limpet = front(request.getfixturevalue(kind), backends_by_tls=backends_by_tls)
    homes = crowd(limpet.address, stays_logged_in, users=30, sources=own_address, tls=tls_on_both_sides.client)
    assert min(homes["a"], homes["b"]) >= 5, f"one server got nearly all users: {homes}"


class Guest(User):
    """Asks for a host of the name that Limpet's certificate has."""

    def look(self, target):
        answer = self.ask("GET", target)
        cookie, = answer.headers.get_all("Set-Cookie", [""])
        return answer, "secure" in [attribute.strip().lower() for attribute in cookie.split(";")]


@pytest.fixture
def guest(tls_on_both_sides):
    with contextlib.ExitStack() as stack:
        yield lambda limpet, by_tls: stack.enter_context(
            contextlib.closing(Guest(limpet.address, source="127.0.0.9", tls=tls_on_both_sides.client if by_tls else None)))


@pytest.mark.parametrize("backends_by_tls", [False, True], ids=["plain to Tomcat", "by TLS to Tomcat"])
@pytest.mark.parametrize("by_tls", [False, True], ids=["plain clients", "clients by TLS"])
def test_tomcat_knows_how_its_client_came(front, tomcats, guest, by_tls, backends_by_tls):
    someone = guest(front(tomcats, by_tls=by_tls, backends_by_tls=backends_by_tls), by_tls)
    scheme = "https" if by_tls else "http"
    answer, is_secure = someone.look("/behind/here")
    # The valve takes the port from the scheme: of a URL at 443 or 80 nothing is said.
    assert answer.json == {"scheme": scheme, "secure": by_tls, "url": f"{scheme}://127.0.0.1/behind/here", "client": "127.0.0.9"}
    assert is_secure == by_tls
    redirect, _ = someone.look("/behind/go")
    assert (redirect.status, redirect.headers["Location"]) == (302, f"{scheme}://127.0.0.1/behind/here")


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "tls"])
def test_express_knows_how_its_client_came(front, expresses, guest, by_tls):
    answer, is_secure = guest(front(expresses, by_tls=by_tls), by_tls).look("/here")
    assert answer.json == {"scheme": "https" if by_tls else "http", "secure": by_tls, "client": "127.0.0.9"}
    assert is_secure == by_tls


def test_what_clients_say_of_tls_is_not_believed(front, expresses, guest):
    someone = guest(front(expresses, by_tls=False), False)
    someone.fields = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}
    assert someone.look("/here")[0].json["scheme"] == "http"


def test_sockets_that_poll_stay_where_they_are(scene, tls_on_both_sides):
    with servers.running(servers.SocketIo) as both:
        limpet = scene.limpet([server.as_table() for server in both], pool={"affinity": ["cookie"]}, listener={**tls_on_both_sides.listener, "trusted_proxies": ["127.0.0.1"]})
        url = "https://%s:%d" % limpet.address
        driver = Driver("socket_users.mjs", url, json.dumps(POLLING), authority=tls_on_both_sides.files["certificate"])
        with contextlib.closing(driver):
            users = [SocketUser(driver, number, "polling") for number in range(12)]
            for user in users:
                user.log_in()
            for _ in range(5):
                for user in users:
                    assert user.come()["transport"] == "polling"
        assert {user.home for user in users} == {"a", "b"}
        assert not any(user.seen for user in users)


# Server-sent events.


class Listener(User):
    """Has a stream of events beside what else it asks for."""

    def listen(self):
        self.stream = http.client.HTTPSConnection(*self.address, timeout=PATIENCE, context=self.tls, source_address=(self.source, 0))
        self.stream.request("GET", "/events", headers={"Cookie": f"connect.sid={self.jar['connect.sid']}"})
        self.events = self.stream.getresponse()
        assert (self.events.status, self.events.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")

    def hears(self, what):
        """Its server is told so, and the next event is that."""
        assert self.get(f"/tell?what={what}").status == 200
        return (self.events.readline(), self.events.readline()) == (f"data: {what}\n".encode(), b"\n")

    def streams(self):
        return self.get("/tell").json["streams"]

    def hang_up(self):
        self.events.close()
        self.stream.close()


@pytest.fixture
def listener(tls_on_both_sides):
    with contextlib.ExitStack() as stack:
        def begin(limpet, name="ana"):
            made = stack.enter_context(contextlib.closing(Listener(limpet.address, name, source=own_address(len(name)), tls=tls_on_both_sides.client)))
            made.log_in()
            made.listen()
            stack.callback(made.hang_up)
            return made
        yield begin


def test_each_event_arrives_before_the_next_is_sent(front, expresses, listener):
    limpet = front(expresses, backends_by_tls=True)
    ana = listener(limpet)
    assert all(ana.hears(f"event-{number}") for number in range(50))


def test_who_hangs_up_is_seen_to_have_left_though_nothing_is_sent(front, expresses, listener):
    ana = listener(front(expresses, backends_by_tls=True))
    assert ana.hears("hello")
    eventually(lambda: ana.streams() == 1)  # those of tests before have left
    ana.hang_up()
    eventually(lambda: ana.streams() == 0, what="the server sees that its client has left")


def test_an_open_stream_keeps_its_session_alive(front, expresses, listener, tls_on_both_sides):
    limpet = front(expresses, backends_by_tls=True, idle_timeout="1s")
    sessions = lambda: Status(limpet).pool()["sessions"]  # noqa: E731
    ana = listener(limpet)
    bob = User(limpet.address, "bob", source="127.0.0.8", tls=tls_on_both_sides.client)  # comes later, and has no stream
    bob.log_in()
    bob.check_in()
    bob.close()
    eventually(lambda: sessions()["totals"]["expired"] == 1, what=lambda: f"bob's session is over: {sessions()}")
    assert (sessions()["live"], sessions()["totals"]["opened"]) == (1, 2)
    ana.hang_up()
    eventually(lambda: sessions()["totals"]["expired"] == 2, what=lambda: f"ana's session is over: {sessions()}")


def test_a_stream_may_be_silent_for_its_own_time_and_no_longer(front, expresses, listener):
    limpet = front(expresses, backends_by_tls=True, timeouts={"stream": "1s"})
    talks, rests = listener(limpet, "talks"), listener(limpet, "rests!")
    told = 0
    while not [line for line in limpet.log(0) if line["target"] == "/events"]:
        talks.get(f"/tell?what={told}")
        assert talks.events.readline() == f"data: {told}\n".encode() and talks.events.readline() == b"\n"
        told += 1
        time.sleep(0.05)
    line, = limpet.log_of("/events")
    assert (line["end"], line["client"]) == ("stream_timeout", rests.source)
    with pytest.raises((http.client.IncompleteRead, OSError)):
        rests.events.read()
    talks.get("/tell?what=more")
    assert talks.events.readline() == b"data: more\n"
    assert told > 1
