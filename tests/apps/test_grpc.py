"""gRPC's own client and servers for Node, in cleartext and by TLS: calls of every kind pass, sessions live in metadata, and whatever fails,
fails as gRPC has it."""

import contextlib
import itertools
from collections import Counter

import pytest

import servers
from support.status import Status, status_table
from support.transport import HTTP2, Transport
from support.wire import eventually
from users import Driver, own_address

KINDS = ["Once", "Gather", "Tell", "Talk"]
BY_SESSION = {"affinity": ["session-id"], "session_id": {"sources": ["header:x-session"]}}
CHECKED = {"check": "grpc", "interval": "500ms", "fast_interval": "50ms", "rise": 1, "fall": 1}


class Caller:
    """One user of the client."""

    numbers = itertools.count()

    def __init__(self, driver, name, address, **how):
        self.driver, self.name = driver, name
        # A proxy in front says who they are.
        self.do("open", at=address, client=own_address(next(Caller.numbers)), **how)

    def do(self, does, **given):
        return self.driver.ask(self.name, does, **given)

    def log_in(self):
        self.home, self.calls = self.do("logIn")["server"], 0

    def call(self, kind, *texts, **how):
        return self.do("call", kind=kind, texts=texts, **how)

    def comes_home(self, kind):
        """A call of this kind is answered by whoever knows its session, and has counted all its calls."""
        self.calls += 1
        ended = self.call(kind, "here")
        answer = {"server": self.home, "user": self.name, "calls": self.calls, "text": "here"}
        assert (ended["code"], ended["answers"]) == ("OK", [answer]), f"{self.name}: {ended}"


class Place:
    """A Limpet in front of servers, by one transport, and those who call."""

    def __init__(self, limpet, driver, plain):
        self.limpet, self.driver, self.plain = limpet, driver, plain
        self.asked = {}  # server: who asks it
        self.status = Status(limpet)

    def caller(self, name="ana", **how):
        return Caller(self.driver, name, "%s:%d" % self.limpet.address, **how)

    def callers(self, count, **how):
        return [self.caller(f"user{number}", **how) for number in range(count)]

    def crowd(self, count, **how):
        """Who have logged in."""
        callers = self.callers(count, **how)
        for caller in callers:
            caller.log_in()
        return callers

    def seen(self, *servers):
        """What these servers themselves say of their calls."""
        return sum((Counter(self.turn(server, "")) for server in servers), Counter())

    def turn(self, server, health):
        if server not in self.asked:
            self.asked[server] = Caller(self.plain, server.name, server.address)
        return self.asked[server].do("look", text=health)


@pytest.fixture(scope="module")
def grpcs(tls_on_both_sides):
    with servers.running(servers.kind(servers.Grpc, files=tls_on_both_sides.files), "abc") as three:
        yield three


@pytest.fixture(scope="module")
def drivers(tls_on_both_sides):
    """Of users in cleartext and by TLS."""
    with contextlib.closing(Driver("grpc_users.mjs")) as plain, contextlib.closing(Driver("grpc_users.mjs", tls_on_both_sides.files["certificate"])) as safe:
        yield plain, safe


@pytest.fixture
def place(scene, grpcs, drivers):
    def make(sides=Transport(back=HTTP2), backends=None, **pool):
        by_tls = sides.certificate is not None
        limpet = scene.limpet([server.as_table(by_tls) for server in backends or grpcs], workers=2, status=status_table(),
                              listener={**sides.listener, "trusted_proxies": ["127.0.0.1"]},
                              pool={**BY_SESSION, "health": {"check": "none"}, **pool, **sides.pool})
        return Place(limpet, drivers[by_tls], drivers[0])
    return make


by_each = pytest.mark.parametrize("transport", ["plain h2", "tls h2"], indirect=True)
by_tls = pytest.mark.parametrize("transport", ["tls h2"], indirect=True)


@by_each
def test_calls_of_every_kind_pass(place, transport):
    caller = place(transport).caller()
    texts = {kind: [answer["text"] for answer in caller.call(kind, "one", "two", "three")["answers"]] for kind in KINDS}
    assert texts == {"Once": ["one two three"], "Gather": ["one two three"], "Tell": ["one", "two", "three"], "Talk": ["one", "two", "three"]}


@by_tls
def test_large_messages_pass_both_ways(place, transport):
    caller = place(transport).caller()
    for kind in KINDS:
        text = kind[0] * 3_000_000
        ended = caller.call(kind, text)
        assert (ended["code"], [answer["text"] for answer in ended["answers"]]) == ("OK", [text])


@by_tls
def test_a_server_s_own_failure_passes_as_it_is(place, transport):
    caller = place(transport).caller()
    for kind, texts in {"Once": ["fail"], "Tell": ["one", "fail"], "Talk": ["one", "fail"]}.items():
        ended = caller.call(kind, *texts)
        assert (ended["code"], ended["details"], ended["trailers"]["x-octets-bin"]) == ("FAILED_PRECONDITION", "not 100 % grün", "\x00\x01\ufffd\ufffd"), ended
        assert len(ended["answers"]) == len(texts) - 1


@by_tls
def test_a_talk_goes_to_and_fro(place, transport):
    caller = place(transport).caller()
    caller.do("begin", kind="Talk")
    for number in range(50):
        caller.do("say", text=f"word {number}")
        assert caller.do("hear")["text"] == f"word {number}"
    assert caller.do("end")["code"] == "OK"


def begin_each_kind(place, **how):
    """A call of each kind that no server answers; those who call."""
    callers = place.callers(len(KINDS))
    for caller, kind in zip(callers, KINDS, strict=True):
        caller.do("begin", kind=kind, text="wait", **how)
    return callers


@by_each
def test_a_client_that_cancels_is_seen_by_its_server(place, transport, grpcs):
    here = place(transport)
    before = here.seen(*grpcs)
    callers = begin_each_kind(here)
    eventually(lambda: here.seen(*grpcs) == before + Counter(open=len(KINDS)))
    assert {caller.do("cancel")["code"] for caller in callers} == {"CANCELLED"}
    eventually(lambda: here.seen(*grpcs) == before + Counter(cancelled=len(KINDS)))
    assert {line["end"] for line in here.limpet.log(len(KINDS))} == {"client_gone"}


@by_tls
def test_a_deadline_reaches_the_server_and_ends_the_call_at_both_ends(place, transport, grpcs):
    here = place(transport)
    before = here.seen(*grpcs)
    callers = begin_each_kind(here, deadline=1000)
    assert {caller.do("over")["code"] for caller in callers} == {"DEADLINE_EXCEEDED"}
    eventually(lambda: here.seen(*grpcs) == before + Counter(limited=len(KINDS), cancelled=len(KINDS)))


# Sessions.


@pytest.mark.parametrize("transport,shares", [("plain h2", False), ("tls h2", True)], ids=["own connections", "one connection by tls"], indirect=["transport"])
def test_all_calls_of_a_session_go_home(place, transport, shares):
    here = place(transport)
    callers = here.crowd(24, shares=shares)
    for kind in KINDS * 2:
        for caller in callers:
            caller.comes_home(kind)
    homes = Counter(caller.home for caller in callers)
    assert min(homes[name] for name in "abc") >= 4, homes
    sessions = here.status.pool()["sessions"]
    assert (sessions["totals"]["opened"], sessions["live"], sessions["returned"]["live"]) == (24, 24, 24)
    assert here.status.metric("limpet_client_connections") == (1 if shares else 24)
    assert here.status.metric("limpet_pool_books_imbalance") == 0


# Servers that come and go.


def test_a_server_that_serves_no_more_by_its_own_word_is_out_until_it_does(place, grpcs):
    here = place(health=CHECKED)
    callers = here.crowd(12)
    here.turn(grpcs[0], "NOT_SERVING")
    assert "NOT_SERVING" in here.status.wait_for_state("a", "down")["why"]
    lost = [caller for caller in callers if caller.home == "a"]
    for caller in callers:
        if caller in lost:
            assert caller.call("Once", "x")["code"] == "UNAUTHENTICATED"
            caller.log_in()
        assert caller.home in ("b", "c")
        caller.comes_home("Once")
    assert here.status.pool()["sessions"]["totals"]["lost"] == len(lost) > 0
    here.turn(grpcs[0], "SERVING")
    here.status.wait_for_state("a", "up")
    assert "a" in {caller.home for caller in here.crowd(12)}


@by_each
def test_a_server_that_dies_is_unavailable_and_nothing_worse(place, transport, tls_on_both_sides):
    """To calls that it had begun to answer and to those that it had not; once it is known to be down, to none that another can answer."""
    with servers.running(servers.kind(servers.Grpc, files=tls_on_both_sides.files), "xy") as (dies, stays):
        here = place(transport, backends=[dies, stays])
        at_home = [caller for caller in here.crowd(12) if caller.home == "x"]
        talkers, waiters = at_home[::2], at_home[1::2]
        for caller in talkers:
            caller.do("begin", kind="Talk", text="hello")
            assert caller.do("hear")["text"] == "hello"
        for caller in waiters:
            caller.do("begin", kind="Once", text="wait")
        eventually(lambda: here.seen(dies)["open"] == len(talkers) + len(waiters))
        busy = here.caller("busy")
        busy.do("load", atOnce=20)
        eventually(lambda: busy.do("ends").get("OK", 0) > 100)
        dies.kill()
        ends = [caller.do("over") for caller in talkers + waiters]
        assert len(talkers) and len(waiters) and {end["code"] for end in ends} == {"UNAVAILABLE"}, ends
        here.status.wait_for_state("x", "down")
        first = busy.do("ends")
        eventually(lambda: busy.do("ends")["OK"] > first["OK"] + 100)
        then = busy.do("ends")
        eventually(lambda: busy.do("ends")["OK"] > then["OK"] + 100)
        codes = busy.do("stop")
        assert set(codes) <= {"OK", "UNAVAILABLE"} and codes.get("UNAVAILABLE") == then.get("UNAVAILABLE"), (then, codes)
        stays.kill()
        assert busy.call("Once", "x")["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("streams", [1000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_many_streams_at_once(place, grpcs, streams):
    here = place()
    callers = here.callers(streams // 100)
    for caller in callers:
        caller.do("crowd", streams=100)
    eventually(lambda: here.seen(*grpcs)["open"] == streams, 60)
    assert sum(caller.do("crowdEnds")["good"] for caller in callers) == streams
    assert {line["status"] for line in here.limpet.log(streams)} == {200}
