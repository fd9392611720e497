"""What a reload takes away comes to an end: listeners, pools and backends serve what is under way, are told of while that lasts, and
leave nothing behind."""

import copy
import signal

import pytest

from support.limpet import is_sanitized, pool_table
from support.session_app import session_servers
from support.status import Status, status_table
from support.transport import PLAIN
from support.wire import Closed, eventually, free_port
from test_reload_reach import echo, echoes, tunnel_of

RELOADS = 80 if not is_sanitized() else 40
GROWTH_KIB = 1024 if not is_sanitized() else 32768  # from the third quarter to the fourth


def listener_table(name, transport=PLAIN):
    return {"name": name, "address": f"127.0.0.1:{free_port()}", **transport.listener}


each_transport = pytest.mark.parametrize("transport", ["plain", "tls"], indirect=True)


def listeners_of(status):
    return {listener["name"]: listener for listener in status.report()["listeners"]}


def pools_of(status):
    return {pool["name"]: pool for pool in status.report()["pools"]}


def without_old_listener(config):
    return {"listener": [listener for listener in config["listener"] if listener["name"] != "old"]}


@each_transport
@pytest.mark.parametrize("change", ["removed", "moved to another port"])
def test_a_connection_kept_at_a_listener_that_left_the_file_is_answered_once_more_and_closed(scene, change, transport):
    limpet = scene.limpet(scene.backends(1, **transport.backend), pool=transport.pool, listeners=[listener_table("old", transport), listener_table("new", transport)],
                          status=status_table(), workers=2)
    status = Status(limpet)
    clients = [limpet.client("old") for _ in range(8)]
    assert all(client.get().status == 200 for client in clients)
    entries = without_old_listener(limpet.config)["listener"]
    if change != "removed":
        entries = [listener_table("old", transport), *entries]
    assert status.reload(listener=entries).status == 200
    for client in clients:
        answer = client.get()
        assert answer.status == 200 and answer.tokens("connection") == ["close"]
        assert client.is_closed()
    assert limpet.get(listener="new").status == 200


@each_transport
def test_a_listener_that_left_the_file_is_told_of_while_it_has_connections(scene, transport):
    limpet = scene.limpet([scene.backend("a", echo, **transport.backend)], pool=transport.pool,
                          listeners=[listener_table("old", transport), listener_table("new", transport)], status=status_table())
    status = Status(limpet)
    limpet.addresses = {"old": limpet.addresses["old"], "new": limpet.addresses["new"]}
    tunnel = tunnel_of(limpet)
    assert status.reload(**without_old_listener(limpet.config)).status == 200
    old = listeners_of(status)["old"]
    assert (old["listed"], old["connections"]) == (False, 1)
    assert echoes(tunnel)
    tunnel.close()
    eventually(lambda: "old" not in listeners_of(status), what="the listener is gone")
    assert listeners_of(status)["new"]["listed"]


@each_transport
def test_what_outlives_the_drain_timeout_at_a_listener_that_left_the_file_is_cut(scene, transport):
    limpet = scene.limpet([scene.backend("a", echo, **transport.backend)], pool={"drain_timeout": "300ms", **transport.pool},
                          listeners=[listener_table("old", transport), listener_table("new", transport)], status=status_table())
    status = Status(limpet)
    tunnel = tunnel_of(limpet)
    assert status.reload(**without_old_listener(limpet.config)).status == 200
    eventually(lambda: not echoes(tunnel), what="the tunnel is cut")
    eventually(lambda: "old" not in listeners_of(status), what="the listener is gone")
    assert limpet.get(listener="new").status == 200


# Nothing in these tests is a session of such a pool, and Limpet can tell so a second after it began to serve it.
WITHOUT_SESSIONS = {"affinity": ["session-id"], "session_id": {"sources": ["header:X-Session"]}, "idle_timeout": "1s"}


def two_pools(scene, transport=PLAIN, **of_old):
    old = pool_table("old", [scene.backend("o", echo, **transport.backend)], **WITHOUT_SESSIONS, **of_old, **transport.pool)
    return {"pools": [pool_table("app", [scene.backend("a")]), old], "listener": transport.listener, "routes": [{"pool": "app"}, {"path": "/tunnel", "pool": "old"}]}


def without_old_pool(config):
    return {"pool": [pool for pool in config["pool"] if pool["name"] != "old"], "route": [route for route in config["route"] if route["pool"] != "old"]}


def test_a_pool_that_left_the_file_is_told_of_while_something_is_under_way_there(scene):
    limpet = scene.limpet(status=status_table(), workers=2, **two_pools(scene))
    status = Status(limpet)
    tunnel = tunnel_of(limpet)
    assert status.reload(**without_old_pool(limpet.config)).status == 200
    assert not pools_of(status)["old"]["listed"]
    assert echoes(tunnel)
    assert not pools_of(status)["old"]["listed"]
    tunnel.close()
    eventually(lambda: "old" not in pools_of(status), what="the pool is gone")
    assert pools_of(status)["app"]["listed"]
    limpet.says("pool old: nothing is left of it")


@each_transport
def test_a_tunnel_of_a_pool_that_left_the_file_is_cut_at_its_drain_timeout(scene, transport):
    limpet = scene.limpet(status=status_table(), **two_pools(scene, transport, drain_timeout="300ms"))
    status = Status(limpet)
    tunnel = tunnel_of(limpet)
    assert status.reload(**without_old_pool(limpet.config)).status == 200
    eventually(lambda: not echoes(tunnel), what="the tunnel is cut")
    assert limpet.log_of("/tunnel")[0]["end"] == "backend_withdrawn"
    eventually(lambda: "old" not in pools_of(status), what="the pool is gone")


def test_a_pool_that_comes_back_before_it_is_gone_has_its_sessions(scene):
    servers = session_servers(scene, 2)
    limpet = scene.limpet(servers, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}, status=status_table())
    status = Status(limpet)
    browser = limpet.browser()
    browser.request("POST", "/login", body=b"ann")
    browser.get("/who")
    config = copy.deepcopy(limpet.config)
    other = {**config["pool"][0], "name": "other"}
    assert status.reload(pool=[other], route=[{"pool": "other"}]).status == 200
    assert pools_of(status)["app"]["sessions"]["live"] == 1
    assert status.reload(pool=config["pool"], route=config["route"]).status == 200
    assert pools_of(status)["app"]["listed"]
    assert pools_of(status)["app"]["sessions"]["live"] == 1


@pytest.mark.parametrize("transport", [pytest.param("plain", marks=pytest.mark.soak), "tls"], indirect=True)
def test_reloads_that_each_bring_a_pool_a_listener_and_backends_leave_nothing_behind(scene, transport):
    app = {**WITHOUT_SESSIONS, **transport.pool}
    limpet = scene.limpet([], pools=[pool_table("app", [scene.backend("a", **transport.backend)], **app)], listener=transport.listener, status=status_table(), workers=2)
    status = Status(limpet)
    config = copy.deepcopy(limpet.config)
    sizes = []
    for number in range(RELOADS):
        names = [f"b{number}-{index}" for index in range(20)]
        backends = [{"name": name, "address": "127.0.0.1:1"} for name in names]
        pools = [pool_table("app", [*config["pool"][0]["backend"], *({**backend, "weight": 0} for backend in backends)], **app), pool_table(f"p{number}", backends, **app)]
        listeners = [*config["listener"], listener_table(f"l{number}", transport)]
        routes = [*config["route"], {"path": "/new", "pool": f"p{number}"}]
        assert status.reload(pool=pools, listener=listeners, route=routes).status == 200
        assert limpet.get().status == 200
        if number % 10 == 9:  # all is as it was
            assert status.reload(**{key: config[key] for key in ("pool", "listener", "route")}).status == 200
            eventually(lambda: len(pools_of(status)) == len(listeners_of(status)) == len(pools_of(status)["app"]["backends"]) == 1, what="what came has gone")
            sizes.append(limpet.status("VmRSS"))
    quarter = len(sizes) // 4
    assert max(sizes[-quarter:]) - max(sizes[-2 * quarter:-quarter]) < GROWTH_KIB, sizes


def test_a_backend_that_takes_over_a_slot_takes_over_neither_counts_nor_sessions(scene):
    first, second, other = scene.backends(3)
    limpet = scene.limpet([first, other], pool={"affinity": ["cookie"], "drain_timeout": "100ms"}, status=status_table())
    status = Status(limpet)
    old = limpet.browser_at("a")
    for _ in range(10):
        assert old.get().text == "a"
    limpet.config["pool"][0]["backend"] = [other.as_table()]
    assert status.reload().status == 200
    eventually(lambda: [backend["name"] for backend in status.pool()["backends"]] == ["c"] or not old.get().text, what="a is gone")
    limpet.config["pool"][0]["backend"] = [other.as_table(), second.as_table()]
    assert status.reload().status == 200
    assert status.backend("b")["requests"]["answers"]["2xx"] == 0
    assert status.backend("b")["sessions"]["live"] == 0
    assert status.backend("b")["state"] == "up"
    assert status.pool()["books_imbalance"] == 0
    before = limpet.browser()
    before.jar = dict(old.jar)
    assert before.get().text == "c"


@each_transport
@pytest.mark.workers
def test_reloads_while_clients_ask_and_workers_log_serve_everybody(scene, transport):
    limpet = scene.limpet(scene.backends(2, **transport.backend), pool=transport.pool, listeners=[listener_table("old", transport), listener_table("new", transport)],
                          workers=2, status=status_table(), log={"level": "debug"})
    status = Status(limpet)
    config = copy.deepcopy(limpet.config)
    clients = [limpet.client("new") for _ in range(4)]
    for number in range(30):
        limpet.config["log"]["level"] = ("debug", "info")[number % 2]
        limpet.config["listener"] = config["listener"] if number % 3 else [config["listener"][1]]
        limpet.write()
        if number % 2:
            limpet.signal(signal.SIGHUP)
        else:
            assert status.post("/reload").status == 200
        for client in clients:
            assert client.get().status == 200
        try:
            limpet.get(listener="old")
        except (Closed, OSError):
            pass  # it is not there at the moment
