"""What a reload reaches beside the next request: tunnels at backends out of service, listeners, the keys of sessions, the log."""

import pytest

from support.client import Client, request_bytes
from support.http2 import NO_ERROR
from support.limpet import pool_table, settings
from support.session_app import session_servers
from support.status import Status, status_table
from support.wire import Closed, eventually, free_port


def echo(connection, request):
    if request.target != "/tunnel":
        return connection.reply(body=request.target.encode())
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := connection.read_some():
        connection.send(data)
    connection.close()


def tunnel_of(limpet):
    client = limpet.client()
    client.send(request_bytes(target="/tunnel", fields=["Connection: Upgrade", "Upgrade: echo"]))
    assert client.read_head().status == 101
    return client


def echoes(tunnel):
    try:
        tunnel.send(b"ping")
        return tunnel.read_exactly(4) == b"ping"
    except (Closed, OSError):
        return False


@pytest.mark.parametrize("order, state, cause", [("maintenance", "maintenance", "order"), ("drain?known_only=true", "maintenance", "drained")], ids=["maintenance", "drain"])
def test_a_shorter_drain_timeout_cuts_what_outlived_it_at_once(scene, order, state, cause):
    a, b = scene.backend("a", echo), scene.backend("b", echo)
    limpet = scene.limpet([a, b.as_table(weight=0)], pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:SID"]}, "drain_timeout": "1h"}, status=status_table())
    status = Status(limpet)
    tunnel = tunnel_of(limpet)
    status.post(f"/pools/app/backends/a/{order}")
    assert status.wait_for_state("a", state)["cause"] == cause
    assert echoes(tunnel)
    limpet.config["pool"][0]["drain_timeout"] = "1ms"
    assert status.reload().status == 200
    eventually(lambda: not echoes(tunnel), what="the tunnel ends")
    assert limpet.log_of("/tunnel")[0]["end"] == "backend_withdrawn"


def test_a_second_listener_comes_by_a_reload_though_the_first_gets_a_name_by_it(scene):
    a, = scene.backends(1)
    first, second = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    limpet = scene.start(settings([a], listeners=[{"name": "main", "address": first}], status=status_table()))
    status = Status(limpet)
    assert status.reload(listener=[{"address": first}]).status == 200
    known = limpet.client()
    assert known.request().status == 200
    two = [{"name": "front", "address": first}, {"name": "side", "address": second}]
    answer = status.reload(listener=two)
    assert answer.status == 200, answer.text
    assert known.request().status == 200, "a connection to the first listener ended"

    def accepts(address):
        host, _, port = address.rpartition(":")
        try:
            client = Client((host, int(port)))
        except OSError:
            return False
        try:
            return client.request().status == 200
        except (Closed, OSError):
            return False
        finally:
            client.close()

    assert accepts(first) and eventually(lambda: accepts(second))
    third = f"127.0.0.1:{free_port()}"
    assert status.reload(listener=[{"name": "front", "address": third}, {"name": "side", "address": second}]).status == 200
    eventually(lambda: accepts(third) and not accepts(first), what="the listener moves to another address")
    assert accepts(second)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("one, other", [("127.0.0.1", "*"), ("127.0.0.1", "0.0.0.0"), ("[::1]", "[::]"), ("[::1]", "*")])
def test_a_listener_moves_between_one_address_and_all_of_them_on_its_port(scene, workers, one, other):
    port = free_port()
    limpet = scene.start(settings(scene.backends(1), workers=workers, status=status_table(), listeners=[{"name": "main", "address": f"{one}:{port}"}]))
    status = Status(limpet)
    for address in [other, one] * 3:
        answer = status.reload(listener=[{"name": "main", "address": f"{address}:{port}"}])
        assert answer.status == 200, answer.text
        assert answers_at(limpet.address)


def answers_at(address):
    """Fails where a connection is refused or reset."""
    client = Client(address)
    try:
        return client.request().status == 200
    finally:
        client.close()


def test_an_address_joins_another_that_overlaps_it_and_leaves_again(scene):
    port = free_port()
    one, all_of_them = {"name": "one", "address": f"127.0.0.1:{port}"}, {"name": "all", "address": f"*:{port}"}
    limpet = scene.start(settings(scene.backends(1), status=status_table(), listeners=[one]))
    status = Status(limpet)
    for listeners in ([one, all_of_them], [all_of_them], [all_of_them, one], [one]):
        answer = status.reload(listener=listeners)
        assert answer.status == 200, answer.text
        assert eventually(lambda: answers_at(("127.0.0.1", port)))
        if all_of_them in listeners:
            assert eventually(lambda: answers_at(("::1", port)))


def test_an_address_where_another_process_listens_is_refused_also_beside_ones_own(scene):
    port = free_port()
    limpet = scene.start(settings(scene.backends(1), status=status_table(), listeners=[{"name": "main", "address": f"127.0.0.1:{port}"}]))
    other = scene.start(settings(scene.backends(1), listeners=[{"name": "main", "address": f"127.0.0.2:{port}"}]))
    answer = Status(limpet).reload(listener=[{"name": "main", "address": f"*:{port}"}])
    assert answer.status == 409 and "Address already in use" in answer.text
    assert limpet.get().status == other.get().status == 200


@pytest.mark.parametrize("http2", [False, True], ids=["http/1.1", "h2"])
def test_what_a_listener_says_from_now_on_reaches_connections_that_are_there(scene, http2):
    a = scene.backend("a")
    limpet = scene.limpet([a], status=status_table())
    status = Status(limpet)
    client = limpet.http2() if http2 else limpet.client()

    def reached():
        assert client.get("/", "X_Real_IP: 1.2.3.4").status == 200
        return a.last.get("X_Real_IP"), a.last.has("traceparent")

    assert reached() == (None, False)
    assert status.reload(listener=[{**limpet.config["listener"][0], "underscores": "pass", "traceparent": "make"}]).status == 200
    assert reached() == ("1.2.3.4", True)
    assert client.get("/a%2fb").status == 200
    assert status.reload(listener=[{**limpet.config["listener"][0], "strict_paths": True}]).status == 200
    assert client.get("/a%2fb").status == 400


def test_a_listener_that_serves_http2_no_more_answers_what_comes_once_more_and_says_goodbye(scene):
    limpet = scene.limpet(scene.backends(1), status=status_table())
    client = limpet.http2()
    assert client.get().status == 200
    assert Status(limpet).reload(listener=[{**limpet.config["listener"][0], "http2": False}]).status == 200
    assert client.get().status == 200
    assert client.goodbye() == NO_ERROR
    assert limpet.http2().read_to_end().startswith(b"HTTP/1.1 ")
    assert limpet.get().status == 200


def test_a_reload_that_cannot_be_done_is_refused_as_a_conflict(scene):
    limpet = scene.limpet(scene.backends(1), status=status_table())
    status = Status(limpet)
    answer = status.reload(workers=3)
    assert answer.status == 409 and "workers" in answer.json["error"]


def test_keys_of_sessions_do_not_change_by_a_reload(scene):
    limpet = scene.limpet(scene.backends(2), pool={"ip": {"mask_v4": 32}}, status=status_table())
    status = Status(limpet)
    limpet.get()
    limpet.config["pool"][0]["ip"] = {"mask_v4": 24}
    answer = status.reload()
    assert answer.status == 409 and "pool app: ip.mask_v4" in answer.json["error"]
    assert status.pool()["sessions"]["live"] == 1


@pytest.mark.released
def test_a_pool_that_comes_back_with_another_affinity_begins_anew_and_what_it_lost_stays_told(scene):
    by_id = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}, "idle_timeout": "2s"}
    servers = session_servers(scene, 2)
    other = pool_table("other", [scene.backend("o")])
    routes = [{"pool": "app"}, {"pool": "other", "path": "/other"}]
    limpet = scene.start(settings(pools=[pool_table("app", servers, **by_id), other], routes=routes, status=status_table()))
    status = Status(limpet)
    users = [limpet.browser() for _ in range(6)]
    for user in users:
        user.request("POST", "/login", body=b"u")
        user.get("/who")
    status.post("/pools/app/backends/a/maintenance")
    at_risk = status.pool()["sessions"]["at_risk"]
    assert at_risk == 3
    assert status.reload(pool=[other], route=routes[1:]).status == 200
    again = pool_table("app", servers, affinity=["cookie"])
    assert status.reload(pool=[again, other], route=routes).status == 200
    pool = status.pool()
    assert pool["sessions"]["live"] == 0 and pool["books_imbalance"] == 0
    assert {backend["state"] for backend in pool["backends"]} == {"up"}
    homes = {limpet.get("/who").status for _ in range(6)}
    assert homes == {401} and status.pool()["sessions"]["totals"]["opened"] == 6
    incident, = eventually(lambda: [one for one in status.incidents("maintenance") if one["closed"]], 20, "the old sessions are settled")
    assert (incident["at_risk"], incident["abandoned"], incident["lost"], incident["left"]) == (3, 3, 0, 0)


def test_the_log_has_a_line_for_each_change_of_a_backends_state_with_its_cause(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a, b], pool={"health": {"check": "tcp", "interval": "100ms", "rise": 1, "fall": 1}}, status=status_table())
    status = Status(limpet)
    status.post("/pools/app/backends/a/drain?known_only=true", who="ann")
    status.wait_for_state("a", "maintenance")
    status.post("/pools/app/backends/a/up", who="ann")
    status.wait_for_state("a", "up")
    b.die()
    status.wait_for_state("b", "down")

    def lines(level, backend, text):
        return [line for line in limpet.stderr.splitlines() if f" {level} pool app: backend {backend} is {text}" in line]

    eventually(lambda: lines("warning", "b", "down (checks: a connection: connection refused); "))
    assert len(lines("info", "a", "draining (order: ann from 127.0.0.1); ")) == 1
    assert len(lines("info", "a", "in maintenance (drained: ann from 127.0.0.1); ")) == 1
    assert len(lines("info", "a", "down (order: ann from 127.0.0.1); ")) == 1
    assert len(lines("info", "a", "up (checks); ")) == 1
    assert len(lines("warning", "b", "down (checks: a connection: connection refused); ")) == 1


def test_what_check_warns_of_is_logged_at_the_start_and_by_each_reload(scene):
    status = status_table(token="0123456789abcdef")
    config = settings([scene.backend("a")], pool={"shed": "new-sessions"}, status={**status, "address": status["address"].replace("127.0.0.1", "*")})
    limpet = scene.start(config)
    lines = ["can read the token; [status.tls] encrypts it", "pool app: `shed` refuses nobody without"]
    assert eventually(lambda: [limpet.stderr.count(line) for line in lines] == [1, 1])
    assert "is in force" in limpet.reload()
    assert eventually(lambda: [limpet.stderr.count(line) for line in lines] == [2, 2])
    config["pool"][0]["shed"] = "off"
    assert "is in force" in limpet.reload()
    assert eventually(lambda: [limpet.stderr.count(line) for line in lines] == [3, 2])
