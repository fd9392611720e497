"""Every limit there is, changed by reloads under load, one after the other: each new value holds from then on, no request of those who
are within it fails, and no session moves."""

import re
import select
import time

from support.client import connect, new_address, request_bytes
from support.http2 import HEADERS, MAX_CONCURRENT_STREAMS
from support.limit_world import DEFAULTS, World
from support.wire import eventually

SHORT = "400ms"
HELLO = b"\x16\x03\x01\x00\x50\x01"  # as a handshake begins


def in_bytes(size):
    return int(re.sub(r"[A-Z].*", "", str(size))) * (1024 if "KiB" in str(size) else 1024 ** 3 if "GiB" in str(size) else 1)

# What each tries; `limit` says what holds now.


def heads(world, limit):
    size = in_bytes(limit["limits.head"])
    assert world.statuses("X-Long: " + "x" * (size - 500)) == [200] * 3
    assert world.statuses("X-Long: " + "x" * size) == [431] * 3


def targets(world, limit):
    size = in_bytes(limit["limits.target"])
    assert world.statuses(target="/quick?" + "x" * (size - 7)) == [200] * 3
    assert world.statuses(target="/quick?" + "x" * (size - 6)) == [414] * 3


def numbers_of_fields(world, limit):
    most = limit["limits.headers"]
    assert world.statuses(*["X: y"] * (most - 1)) == [200] * 3
    assert world.statuses(*["X: y"] * most) == [431, 200, 200]  # and Host, which is no field over HTTP/2
    assert world.statuses(*["X: y"] * (most + 1)) == [431] * 3


def bodies(world, limit):
    size = in_bytes(limit["limits.body"])
    assert world.statuses(body=b"x" * min(size or 5000, 5000)) == [200] * 3
    if 0 < size < 5000:
        assert world.statuses(body=b"x" * (size + 1)) == [413] * 3


def streams(world, limit):
    assert world.statuses() == [200] * 3
    client = world.kept
    client.wait(lambda: client.settings[MAX_CONCURRENT_STREAMS] == limit["limits.streams"], "new settings")
    new = world.limpet.http2()
    assert new.get("/quick").status == 200
    assert new.settings[MAX_CONCURRENT_STREAMS] == limit["limits.streams"]
    new.close()


def handshakes(world, limit):
    """Of both workers; the load needs none."""
    most, there, begun = limit["limits.handshakes"], world.listener("tls")["connections"], []

    def begin(count):
        for _ in range(count):
            begun.append(connect(world.limpet.addresses["tls"]))
            begun[-1].sendall(HELLO)

    begin(min(most, 9))
    eventually(lambda: world.listener("tls")["connections"] == there + len(begun))
    if most < 9:
        begin(most + 1)
        eventually(lambda: select.select(begun, [], [], 0)[0])
    assert bool(select.select(begun, [], [], 0)[0]) == (most < 9)
    for one in begun:
        one.close()
    eventually(lambda: world.listener("tls")["connections"] == there)


def times(world, limit):
    """One of them is short: whom that is for is cut, and nobody else is by then."""
    address = world.limpet.addresses["plain"]
    one_of_each = {"timeouts.idle": connect(address), "timeouts.head": connect(address), "timeouts.body": connect(address), "timeouts.body_rate": connect(address),
                   "timeouts.handshake": connect(world.limpet.addresses["tls"])}
    one_of_each["timeouts.idle"].sendall(request_bytes("GET", "/quick"))
    assert one_of_each["timeouts.idle"].recv(4096)
    one_of_each["timeouts.head"].sendall(b"GET /quick HTTP/1.1\r\n")
    one_of_each["timeouts.handshake"].sendall(HELLO)
    for slow in ("timeouts.body", "timeouts.body_rate"):
        one_of_each[slow].sendall(b"POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    by_http2 = {key: world.limpet.http2("plain") for key in one_of_each if key != "timeouts.handshake"}
    assert by_http2["timeouts.idle"].get("/quick").status == 200
    by_http2["timeouts.head"].ping()  # nothing else may come within a head
    by_http2["timeouts.head"].send_frame(HEADERS, 0, 1, b"\x00")
    uploads = {key: by_http2[key].open("POST", "/quick", ["Content-Length: 1000000"], ends=False) for key in ("timeouts.body", "timeouts.body_rate")}
    expected = {key for key, value in limit.items() if key.startswith("timeouts.") and value not in (DEFAULTS[key], 0, 1)}
    cut, cut_by_http2 = set(), set()

    def goes_on():
        cut.update(key for key, sock in one_of_each.items() if select.select([sock], [], [], 0)[0])
        cut_by_http2.update(key for key, client in by_http2.items() if not client.takes_more() or key in uploads and uploads[key].is_over)
        if "timeouts.body_rate" not in cut:
            one_of_each["timeouts.body_rate"].sendall(b"x")
        if "timeouts.body_rate" not in cut_by_http2:
            uploads["timeouts.body_rate"].send(b"x")
        time.sleep(0.02)
        return cut >= expected and cut_by_http2 >= expected - {"timeouts.handshake"}

    eventually(goes_on, what=lambda: f"{cut} are cut, {cut_by_http2} by HTTP/2")
    assert cut == expected
    assert cut_by_http2 == expected - {"timeouts.handshake"}
    for one in [*one_of_each.values(), *by_http2.values()]:
        one.close()


def connections(world, limit):
    """The load's are there, and stay."""
    world.kept.close()
    most = limit["listener.limits.connections"]
    eventually(lambda: world.listener("plain")["connections"] == 8)
    inside = [world.limpet.come("/quick", source=new_address()) for _ in range(10)]
    assert sum(client is not None for client in inside) == min(most - 8 if most else 10, 10)
    close(inside)
    eventually(lambda: world.listener("plain")["connections"] == 8)


def connections_of_one(world, limit):
    most, source = limit["listener.limits.connections_per_client"], new_address()
    inside = [world.limpet.come("/quick", source=source) for _ in range(10)]
    assert sum(client is not None for client in inside) == min(most or 10, 10)
    close(inside)


def new_connections_of_one(world, limit):
    a_second, source, began = limit["listener.limits.new_connections_per_second"], new_address(), time.monotonic()
    inside = [world.limpet.come("/quick", source=source) for _ in range(150)]
    took = time.monotonic() - began
    let_in = sum(client is not None for client in inside)
    assert min(a_second or 150, 150) <= let_in <= (a_second + a_second * took + 1 if a_second else 150)
    close(inside)


def close(inside):
    for client in inside:
        if client:
            client.close()


def requests_of_one(world, limit):
    a_second, burst = limit["pool.rate.requests"], limit["pool.rate.burst"] or limit["pool.rate.requests"]
    source = new_address()
    if limit["pool.rate.by"] == "session":
        for browser in (world.limpet.browser(source=source) for _ in range(2)):
            browser.get("/quick")
            passed, _ = world.passed(200, source, "; ".join(f"{name}={value}" for name, value in browser.jar.items()))
            assert passed >= burst
        return
    passed, took = world.passed(400, source)
    if a_second:
        assert min(burst, 400) <= passed <= burst + a_second * took + 1
    else:
        assert passed == 400


def places(world, limit):
    """Eight ask for a place at c, beside the load at a and b: who waits is let in by a reload."""
    most = limit["pool.backend.max_connections"]
    served = min(most or 8, 8)
    world.hold(served, 8 - served)
    world.load.go_on()
    assert world.status.metric("limpet_backend_connections_max", backend="c") == most
    if served == 8:
        world.let_go()


def waits(world, limit):
    """Whoever waits does so for as long as was said when it came."""
    if limit["pool.queue_timeout"] == "30s":
        world.hold(1, 1)
    elif limit["pool.queue_timeout"] == SHORT:
        assert world.known[-1].get("/quick").status == 503
        world.hold(1, 2)  # the second of whom the next reload, to more time, helps nothing
    else:
        eventually(lambda: world.answers == [503])
        world.hold(1, 2)
        world.let_go(200, 200, 200, 503)


def newcomers_while_many_are_under_way(world, limit):
    if not world.under_way:
        assert world.newcomer() == 200 or limit["pool.shed_in_flight"] < 20
        world.hold(6)
    world.load.go_on()
    is_refused = limit["pool.shed"] != "off" and limit["pool.shed_in_flight"] < 20
    assert world.newcomer() == (503 if is_refused else 200)
    if not limit["pool.shed_in_flight"]:
        world.let_go()


def newcomers_while_somebody_waits(world, limit):
    if not world.under_way:
        world.hold(1, 1)
    if limit["pool.shed_queue_time"] == "100ms":
        eventually(lambda: world.status.pool()["sheds"])
        shed = world.status.pool()["decisions"]["shed"]
        assert world.newcomer() == 503
        assert world.status.pool()["decisions"]["shed"] == shed + 1
    else:
        assert world.newcomer() == 200
    if limit["pool.shed"] == "off":
        world.let_go()


def sessions_of_backends(world, limit):
    most = limit["pool.backend.max_sessions"]
    assert world.status.backend("c")["sessions"]["max"] == most
    if most == 1:
        eventually(lambda: world.newcomer() == 503)
    else:
        assert [world.newcomer() for _ in range(4)] == [200] * 4


def sessions_of_the_pool(world, limit):
    most = limit["pool.max_sessions"]
    assert world.status.pool()["sessions"]["max"] == most
    for _ in range(3):
        assert world.newcomer() == 200
    if most == 20:
        assert world.status.pool()["sessions"]["totals"]["evicted"] > 0


ONE = {"pool.backend.max_connections": {"c": 1}}
SHED = {"pool.shed": "new-sessions"}
# Who tries, whether the load keeps its connections meanwhile, and what is put in force for it, one after the other. {}: the defaults.
# The load always stays within it.
STEPS = [
    (heads, False, [{"limits.head": "4KiB"}, {"limits.head": "64KiB"}, {"limits.head": "16KiB"}, {}]),
    (targets, False, [{"limits.target": 100}, {"limits.target": "16KiB"}, {"limits.target": "1KiB"}, {}]),
    (numbers_of_fields, False, [{"limits.headers": 10}, {"limits.headers": 200}, {"limits.headers": 20}, {}]),
    (bodies, False, [{"limits.body": "1KiB"}, {"limits.body": "4KiB"}, {"limits.body": "2KiB"}, {"limits.body": 0}, {}]),
    (streams, False, [{"limits.streams": 10}, {"limits.streams": 200}, {"limits.streams": 20}, {}]),
    (handshakes, True, [{"limits.handshakes": 2}, {"limits.handshakes": 5}, {"limits.handshakes": 3}, {}]),
    (times, False, [{"timeouts.idle": "1s"}, {"timeouts.head": SHORT}, {"timeouts.body": SHORT, "timeouts.body_rate": 1000}, {}]),
    (times, True, [{"timeouts.body": SHORT, "timeouts.body_rate": 1}, {"timeouts.body": SHORT, "timeouts.body_rate": 0}, {"timeouts.handshake": SHORT}, {}]),
    (connections, True, [{"listener.limits.connections": n} for n in (12, 15, 10, 0)]),
    (connections_of_one, False, [{"listener.limits.connections_per_client": n} for n in (3, 5, 2, 0)]),
    (new_connections_of_one, False, [{"listener.limits.new_connections_per_second": n} for n in (100, 120, 60, 0)]),
    (requests_of_one, False, [{"pool.rate.requests": 100}, {"pool.rate.requests": 200}, {"pool.rate.requests": 100, "pool.rate.burst": 50},
                              {"pool.rate.requests": 100, "pool.rate.burst": 50, "pool.rate.by": "session"}, {"pool.rate.requests": 100, "pool.rate.burst": 150},
                              {"pool.rate.requests": 10_000, "pool.rate.burst": 400}, {}]),
    (places, False, [{"pool.backend.max_connections": n} for n in (4, 6, 0, 20, 12, 3, 0)]),
    (waits, False, [{**ONE, "pool.queue_timeout": "30s"}, {**ONE, "pool.queue_timeout": SHORT}, {**ONE, "pool.queue_timeout": "1h"}]),
    (newcomers_while_many_are_under_way, False, [{**SHED, "pool.shed_in_flight": n} for n in (1000, 4, 2000)] + [{"pool.shed_in_flight": 4}, {**SHED, "pool.shed_in_flight": 5}, {}]),
    (newcomers_while_somebody_waits, False, [{**ONE, **SHED, "pool.shed_queue_time": "1h"}, {**ONE, **SHED, "pool.shed_queue_time": "100ms", "pool.backend.max_sessions": {"a": 1, "b": 1}}, {**ONE, **SHED, "pool.shed_queue_time": "30m"}, ONE]),
    (sessions_of_backends, False, [{"pool.backend.max_sessions": n} for n in (1, 1000, 0)]),
    (sessions_of_the_pool, False, [{"pool.max_sessions": n} for n in (1000, 20, 1_000_000)]),
]


def test_every_limit_there_is_is_changed():
    assert DEFAULTS.keys() == {key for _, _, steps in STEPS for changes in steps for key in changes}


def test_reloads_change_every_limit_without_a_failed_request(scene, tmp_path):
    world = World(scene, tmp_path)
    load = world.load
    try:
        for probe, keeps, steps in STEPS:
            load.go_on(keeps)
            for changes in steps:
                world.put(changes)
                load.go_on()
                try:
                    probe(world, {**DEFAULTS, **changes})
                except AssertionError as error:
                    raise AssertionError(f"{probe.__name__} with {changes}: {error}") from error
                assert not load.faults, f"with {changes}: {load.faults}"
        load.go_on(True)
    finally:
        world.busy.let_go(100)
        load.end()
    print(f"{world.done} reloads; {sum(load.answered.values())} requests")
    assert not load.faults
    assert world.status.backend("c")["state"] == "up"
    assert world.status.pool()["books_imbalance"] == 0
