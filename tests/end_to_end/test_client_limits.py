"""More than clients may ask: connections of a listener and of each client, how fast they are opened, and requests in a second."""

import time

import pytest

from support.client import new_address, proxy_v1
from support.limpet import settings
from support.status import Status, status_table
from support.tls import make, tls_table
from support.wire import eventually


def start(scene, limits=None, *, workers=2, **keys):
    listener = {**keys.pop("listener", {}), "limits": limits or {}}
    limpet = scene.start(settings([scene.backend("a")], listener=listener, workers=workers, status=status_table(), **keys))
    return limpet, Status(limpet)


def change(limpet, status, limits):
    limpet.config["listener"][0]["limits"] = limits
    assert status.reload().status == 200


def refused(status, limit):
    count = status.report()["listeners"][0]["refused"][limit]
    assert status.metric("limpet_listener_connections_refused_total", listener="main", limit=limit) == count
    return count


def test_a_listener_takes_so_many_connections_over_all_workers(scene):
    limpet, status = start(scene, {"connections": 5})
    eventually(lambda: status.report()["connections"] == 0)
    inside = [limpet.come(source=new_address()) for _ in range(5)]
    assert all(inside)
    assert [limpet.come(source=new_address()) for _ in range(10)] == [None] * 10
    assert refused(status, "connections") == 10
    assert all(client.get().status == 200 for client in inside)
    inside.pop().close()
    eventually(lambda: limpet.come(source=new_address()))
    limpet.says("(limits.connections)")
    code, out, _ = status.command("status")
    assert code == 0 and "REFUSED, over a listener's limits: connections " in out


def test_a_client_has_so_many_connections_over_all_workers_and_others_are_served(scene):
    limpet, status = start(scene, {"connections_per_client": 4})
    greedy = new_address()
    inside = [limpet.come(source=greedy) for _ in range(4)]
    assert all(inside)
    assert [limpet.come(source=greedy) for _ in range(10)] == [None] * 10
    assert all(limpet.come(source=new_address()) for _ in range(4))
    assert refused(status, "connections_per_client") == 10
    limpet.says(greedy)
    inside.pop().close()
    eventually(lambda: limpet.come(source=greedy))
    assert all(client.get().status == 200 for client in inside)


def test_trusted_proxies_bring_as_many_as_they_like(scene):
    front = new_address()
    limpet, status = start(scene, {"connections_per_client": 1, "new_connections_per_second": 1}, listener={"trusted_proxies": [front]})
    assert all([limpet.come(source=front) for _ in range(10)])
    assert refused(status, "connections_per_client") == refused(status, "new_connections_per_second") == 0


def test_a_client_opens_so_many_connections_in_a_second(scene):
    limpet, status = start(scene, {"new_connections_per_second": 5})
    greedy, began, passed = new_address(), time.monotonic(), 0
    for _ in range(60):
        if client := limpet.come(source=greedy):
            client.close()
            passed += 1
    took = time.monotonic() - began
    assert 5 <= passed <= 5 + 5 * took + 1
    assert refused(status, "new_connections_per_second") == 60 - passed
    assert limpet.come(source=new_address())
    eventually(lambda: limpet.come(source=greedy))


def test_by_the_proxy_protocol_a_client_is_who_the_header_tells(scene):
    limpet, status = start(scene, {"connections_per_client": 2}, listener={"proxy_protocol": True})
    inside = [limpet.come(preface=proxy_v1("192.0.2.1")) for _ in range(2)]
    assert all(inside)
    assert limpet.come(preface=proxy_v1("192.0.2.1")) is None
    assert all([limpet.come(preface=proxy_v1(f"192.0.2.{number}")) for number in range(2, 8)])
    assert limpet.come(preface=proxy_v1("2001:db8::1")) and limpet.come(preface=proxy_v1("2001:db8::2"))
    assert limpet.come(preface=proxy_v1("2001:db8::3")) is None
    assert refused(status, "connections_per_client") == 2


def test_whoever_is_refused_where_tls_is_spoken_is_so_before_any_handshake(scene, tmp_path):
    limpet, status = start(scene, {"connections_per_client": 2}, listener={"tls": tls_table(make(tmp_path))})
    greedy = new_address()
    inside = [limpet.come(source=greedy) for _ in range(2)]
    assert all(inside)
    assert limpet.come(source=greedy) is None
    listener = status.report()["listeners"][0]
    assert sum(listener["tls"]["handshakes"].values()) == 2
    assert refused(status, "connections_per_client") == 1


def test_a_reload_changes_limits_and_whoever_is_inside_stays(scene):
    limpet, status = start(scene)
    greedy = new_address()
    before = limpet.come(source=greedy)
    change(limpet, status, {"connections_per_client": 3})
    inside = [before, *(limpet.come(source=greedy) for _ in range(3))]  # there was nobody who counted the first
    assert all(inside)
    assert limpet.come(source=greedy) is None
    change(limpet, status, {"connections_per_client": 1, "connections": 2})
    assert limpet.come(source=greedy) is None and limpet.come(source=new_address()) is None
    assert all(client.get().status == 200 for client in inside)
    change(limpet, status, {})
    assert limpet.come(source=greedy)


def statuses(limpet, count, **how):
    return [limpet.get(**how).status for _ in range(count)]


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(scene):
    limpet, status = start(scene, pool={"rate": {"requests": 1, "burst": 8}})
    greedy, began = new_address(), time.monotonic()
    answers = statuses(limpet, 40, source=greedy)
    took = time.monotonic() - began
    passed = answers.count(200)
    assert 8 <= passed <= 8 + took + 1
    assert answers.count(429) == 40 - passed
    tries = 1
    while (last := limpet.get("/last", source=greedy)).status == 200:  # it is just a second later
        tries += 1
    assert last.status == 429 and last.get("Retry-After") == "1"
    line = limpet.log_of("/last", tries)[-1]
    assert (line["end"], line["pool"], line["backend"]) == ("rate_limited", "app", "")
    assert limpet.get(source=new_address()).status == 200
    limited = status.pool()["rate_limited"]
    assert limited >= 40 - passed + 1
    assert status.metric("limpet_pool_requests_refused_total", limit="rate") == limited
    assert status.pool()["requests"]["failed"] == 0


def test_whoever_waits_for_as_long_as_it_is_told_is_served(scene):
    limpet, _ = start(scene, pool={"rate": {"requests": 2, "burst": 1}})
    source = new_address()
    while (answer := limpet.get(source=source)).status == 200:
        pass
    time.sleep(int(answer.get("Retry-After")))
    assert limpet.get(source=source).status == 200


def test_behind_one_address_each_session_has_its_own_rate_and_newcomers_share_one(scene):
    limpet, status = start(scene, pool={"affinity": ["cookie"], "rate": {"requests": 1, "burst": 6, "by": "session"}})
    office = new_address()
    ann, bob = (limpet.browser(source=office) for _ in range(2))
    assert [person.get().status for person in (ann, bob)] == [200, 200]
    assert [ann.get().status for _ in range(30)].count(429) >= 1
    assert [bob.get().status for _ in range(6)] == [200] * 6
    assert statuses(limpet, 40, source=office).count(429) >= 1


@pytest.mark.parametrize("changed", [{"requests": 0}, {"requests": 10_000, "burst": 100_000}])
def test_a_reload_changes_the_rate(scene, changed):
    limpet, status = start(scene, pool={"rate": {"requests": 1, "burst": 2}})
    source = new_address()
    assert 429 in statuses(limpet, 30, source=source)
    limpet.config["pool"][0]["rate"] = changed
    assert status.reload().status == 200
    assert statuses(limpet, 30, source=source) == [200] * 30
    limpet.config["pool"][0]["rate"] = {"requests": 1, "burst": 2}
    assert status.reload().status == 200
    assert 429 in statuses(limpet, 30, source=source)
