"""The status endpoint: what it says of a running Limpet, and to whom."""

import json
import re
import socket

import pytest

from support.client import Client, request_bytes
from support.session_app import session_servers
from support.status import Status, status_table
from support.wire import eventually

SESSION_POOL = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}


def session_scene(scene, count=2, **pool):
    servers = session_servers(scene, count)
    limpet = scene.limpet(servers, pool={**SESSION_POOL, **pool}, status=status_table())
    return limpet, Status(limpet)


def log_in(limpet, count):
    users = [limpet.browser() for _ in range(count)]
    for index, user in enumerate(users):
        user.request("POST", "/login", body=f"user{index}".encode())
    return users


def test_sessions_are_counted_as_they_begin_return_and_end(scene):
    limpet, status = session_scene(scene)
    users = log_in(limpet, 10)
    sessions = status.pool()["sessions"]
    assert (sessions["live"], sessions["active"], sessions["at_risk"]) == (10, 10, 0)
    assert sessions["totals"]["opened"] == 10 and sessions["returned"]["live"] == 0
    for user in users[:4]:
        user.get("/who")
    users[0].request("POST", "/logout")
    sessions = status.pool()["sessions"]
    assert (sessions["live"], sessions["returned"]["live"], sessions["totals"]["logged_out"]) == (9, 3, 1)
    assert status.pool()["books_imbalance"] == 0
    backends = status.pool()["backends"]
    assert sum(backend["sessions"]["live"] for backend in backends) == 9
    assert {backend["sessions"]["live"] for backend in backends} <= {4, 5}, "least-sessions spreads them"


def test_requests_are_counted_by_how_they_were_answered(scene):
    limpet, status = session_scene(scene)
    user = log_in(limpet, 1)[0]
    for _ in range(5):
        assert user.get("/who").status == 200
    assert limpet.get("/who").status == 401
    requests = eventually(lambda: (found := status.pool()["requests"])["answered"] == 7 and found)
    assert requests["answers"] == {"1xx": 0, "2xx": 6, "3xx": 0, "4xx": 1, "5xx": 0}
    assert requests["latency"]["count"] == 7 and requests["latency"]["p99_ms"] > 0
    assert (requests["failed"], requests["retried"], requests["in_flight"]) == (0, 0, 0)


def test_a_pool_and_a_backend_are_had_by_themselves(scene):
    limpet, status = session_scene(scene)
    assert status.get("/pools/app").json["name"] == "app"
    assert status.get("/pools/app/backends/a").json["state"] == "up"
    assert status.get("/pools/%61pp/backends/%62").json["name"] == "b"
    assert [pool["name"] for pool in status.get("/pools").json["pools"]] == ["app"]
    answer = status.get("/pools/apq")
    assert answer.status == 404 and "app" in answer.json["error"]


def test_a_session_is_found_by_its_id(scene):
    limpet, status = session_scene(scene)
    user = log_in(limpet, 1)[0]
    home = user.get("/who").text.partition(":")[0]
    found = status.get(f"/sessions/{user.jar['JSESSIONID']}").json["sessions"]
    assert [(session["pool"], session["backend"], session["backend_state"]) for session in found] == [("app", home, "up")]
    assert found[0]["returned"] and found[0]["first_seen"] <= found[0]["last_seen"]
    assert status.get("/sessions/nobody").status == 404


def test_a_session_is_found_by_its_cookie(scene):
    limpet = scene.limpet(scene.backends(2), pool={"affinity": ["cookie"]}, status=status_table())
    status = Status(limpet)
    user = limpet.browser()
    home = user.get().text
    assert user.get().text == home
    found = status.get(f"/sessions/{user.jar['limpet_app']}").json["sessions"]
    assert [session["backend"] for session in found] == [home]


def test_the_metrics_tell_what_the_report_tells(scene):
    limpet, status = session_scene(scene)
    users = log_in(limpet, 6)
    for user in users:
        user.get("/who")
    eventually(lambda: status.metric("limpet_backend_requests_total", pool="app", code="2xx") == 12)
    assert status.metric("limpet_pool_sessions", pool="app", state="active", returned="yes") == 6
    assert status.metric("limpet_pool_session_events_total", pool="app", event="opened") == 6
    assert status.metric("limpet_backend_sessions", pool="app", state="active") == 6
    assert status.metric("limpet_pool_books_imbalance") == 0
    assert status.metric("limpet_backend_state", state="up") == 2
    assert status.metric("limpet_pool_session_table_bytes") > 0
    assert status.metric("limpet_backend_request_duration_seconds_count", pool="app") == 12
    assert status.metric("limpet_backend_request_duration_seconds_bucket", le="+Inf") == 12
    assert status.metric("limpet_pool_routing_decision_duration_seconds_count", pool="app") <= 12


def test_it_is_alive_and_ready_until_a_pool_has_nobody(scene):
    limpet, status = session_scene(scene)
    assert status.get("/healthz").json == {"alive": True}
    assert status.get("/readyz").json == {"ready": True}
    status.post("/pools/app/backends/a/maintenance")
    assert status.get("/readyz").status == 200
    status.post("/pools/app/backends/b/drain")
    answer = status.get("/readyz")
    assert answer.status == 503 and "app" in answer.json["error"]
    assert status.get("/healthz").status == 200


def test_events_bring_the_report_every_second(scene):
    limpet, status = session_scene(scene)
    host, _, port = status.address.rpartition(":")
    client = Client((host, int(port)))
    client.send(request_bytes("GET", "/events", host="localhost"))
    head = client.read_head()
    assert head.get("Content-Type") == "text/event-stream" and head.get("Cache-Control") == "no-store"
    assert client.read_until(b"\n\n").startswith(b"retry: ")

    def event():
        data = client.read_until(b"\n\n")
        assert data.startswith(b"data: ")
        return json.loads(data[6:])

    assert event()["pools"][0]["sessions"]["live"] == 0
    log_in(limpet, 3)
    eventually(lambda: event()["pools"][0]["sessions"]["live"] == 3)
    client.close()


def test_the_page_is_one_and_runs_nothing_from_elsewhere(scene):
    limpet, status = session_scene(scene)
    answer = status.get("/")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//", answer.text)


@pytest.mark.parametrize("method, path, expected", [
    ("GET", "/nothing", 404), ("PUT", "/status", 405), ("OPTIONS", "/reload", 405), ("OPTIONS", "*", 405), ("GET", "/reload", 405), ("GET", "/%zz", 400),
])
def test_what_it_does_not_take_is_said(scene, method, path, expected):
    limpet, status = session_scene(scene)
    answer = status.request(method, path)
    assert answer.status == expected and answer.json["error"]
    if expected == 405:
        assert answer.headers["Allow"]


def test_a_page_that_made_its_name_ours_reads_nothing(scene):
    limpet, status = session_scene(scene)
    assert status.get("/status", Host="rebound.example:9180").status == 403
    assert status.get("/status", Host="localhost:9180").status == 200


def test_a_foreign_page_cannot_order(scene):
    limpet, status = session_scene(scene)
    plain = {"Origin": "http://evil.example", "Content-Type": "text/plain"}  # what a form may send unasked
    assert status.request("POST", "/pools/app/backends/a/maintenance", plain).status == 403
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-limpet"}
    answer = status.request("OPTIONS", "/pools/app/backends/a/maintenance", preflight)
    assert answer.status == 405 and not any(name.lower().startswith("access-control") for name in answer.headers)
    assert status.backend("a")["state"] == "up"


def test_a_port_that_is_taken_is_said_at_the_start(scene):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        from support.limpet import Limpet, settings
        limpet = Limpet(settings(scene.backends(1), status={"address": address}), wait=False)
        assert limpet.wait() == 1
        limpet.says(address)
        limpet.directory.cleanup()


def test_it_ends_with_the_program_streams_or_not(scene):
    limpet, status = session_scene(scene)
    host, _, port = status.address.rpartition(":")
    streams = []
    for _ in range(3):
        client = Client((host, int(port)))
        client.send(request_bytes("GET", "/events", host="localhost"))
        client.read_head()
        streams.append(client)
    idle = Client((host, int(port)))
    limpet.stop()
    scene.forget(limpet)
    for client in [*streams, idle]:
        client.close()
