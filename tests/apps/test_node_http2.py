"""Node's own HTTP/2, as client and as server: what it says passes both ways, and what either refuses or leaves loses nothing."""

import json
import signal
from collections import Counter

import pytest

import servers
from support.status import Status, status_table
from support.wire import eventually
from users import Http2Guest

BODY = bytes(range(256)).decode("latin-1") * 4000


@pytest.fixture
def front(scene, http2_servers, http2_users, transport):
    """Starts a Limpet in front of servers, of which guest() is a client."""
    def start(backends=http2_servers[:1], **how):
        tables = [server.as_table(transport.certificate is not None) for server in backends]
        limpet = scene.limpet(tables, pool={"affinity": ["cookie"], "health": {"check": "none"}, **transport.pool}, workers=2,
                              listener={**transport.listener, "trusted_proxies": ["127.0.0.1"]}, status=status_table(), **how)
        limpet.guest = lambda: Http2Guest(http2_users, limpet)
        return limpet
    return start


def asked_for(guest, path):
    """How often its server was asked for each path that begins so."""
    return {target: times for target, times in json.loads(guest.get("/asked")).items() if target.startswith(path)}


by_each = pytest.mark.parametrize("transport", ["plain h2", "tls h2"], indirect=True)
by_tls = pytest.mark.parametrize("transport", ["tls h2"], indirect=True)


@by_each
def test_bodies_trailers_and_hints_pass(front):
    guest = front().guest()
    answer = guest.ask("/echo", method="POST", body=BODY, trailers={"x-sum": "7"})
    assert (answer["status"], answer["ended"], answer["trailers"]) == (200, 0, {"x-sum": "7"})
    assert answer["body"] == BODY
    hinted = guest.ask("/hints")
    assert [(head[":status"], head["link"]) for head in hinted["interim"]] == [(103, "</a.css>; rel=preload")]
    assert (hinted["status"], hinted["body"]) == (200, "a")


@by_each
def test_parallel_streams_of_one_session_stay_together(front, http2_servers):
    limpet = front(http2_servers)
    guests = [limpet.guest() for _ in range(6)]
    homes = [guest.get("/who") for guest in guests]
    for guest in guests:
        guest.do("begin", count=90, path="/held")
    at_homes = dict(zip(homes, guests, strict=True)).values()  # one guest of each server
    eventually(lambda: sum(int(guest.get("/waiting")) for guest in at_homes) == 90 * len(guests))
    for guest in at_homes:
        guest.get("/release")
    for guest, home in zip(guests, homes, strict=True):
        assert Counter(answer["body"] for answer in guest.do("end")["answers"]) == {home: 90}
    assert len(set(homes)) > 1
    status = Status(limpet)
    assert status.pool()["sessions"]["totals"]["opened"] == status.metric("limpet_client_connections") == len(guests)


@by_tls
def test_what_a_server_refuses_goes_out_again(front):
    guest = front().guest()
    path = f"/refused/{guest.name}/"
    guest.do("begin", count=20, path=path + "{}", method="POST", body="x")
    assert Counter((answer["status"], answer["body"]) for answer in guest.do("end")["answers"]) == {(200, "a"): 20}
    assert asked_for(guest, path) == {f"{path}{number}": 2 for number in range(20)}


@by_each
def test_a_server_that_ends_its_sessions_loses_nothing(front):
    """Each POST is answered, and was asked for once."""
    guest = front().guest()
    path = f"/goes/{guest.name}/"
    assert guest.do("load", count=400, atOnce=20, path=path + "{}")["bad"] == []
    assert asked_for(guest, path) == {f"{path}{number}": 1 for number in range(400)}


@by_tls
def test_a_server_that_takes_few_streams_gets_no_more_and_all_that_is_asked(front, tls_on_both_sides):
    """Though they all come before it has said how many it takes."""
    with servers.running(servers.kind(servers.Http2, files=tls_on_both_sides.files, streams=7), "a") as few:
        limpet = front(few)
        guest, other = limpet.guest(), limpet.guest()
        guest.do("begin", count=90, path="/held", method="POST", body="x")
        eventually(lambda: int(other.get("/waiting")) == 90)
        other.get("/release")
        assert Counter(answer["body"] for answer in guest.do("end")["answers"]) == {"a": 90}


@by_tls
def test_a_client_that_ends_its_session_is_answered_what_it_asked(front):
    guest, other = [front().guest() for _ in range(2)]
    guest.do("begin", count=50, path="/held")
    eventually(lambda: int(other.get("/waiting")) == 50)
    guest.do("close")
    other.get("/release")
    assert Counter(answer["body"] for answer in guest.do("end")["answers"]) == {"a": 50}
    eventually(lambda: guest.do("look")["closed"])


@by_tls
def test_a_client_of_a_limpet_that_shuts_down_is_answered_what_it_asked(front):
    limpet, beside = front(shutdown_timeout="10s"), front()
    guest, other = limpet.guest(), beside.guest()
    guest.do("begin", count=50, path="/held")
    eventually(lambda: int(other.get("/waiting")) == 50)
    limpet.signal(signal.SIGTERM)
    eventually(lambda: guest.do("look")["goaways"])
    other.get("/release")
    assert Counter(answer["body"] for answer in guest.do("end")["answers"]) == {"a": 50}
    eventually(lambda: guest.do("look")["closed"])
    assert limpet.wait() == 0
