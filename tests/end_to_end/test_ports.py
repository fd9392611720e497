"""Out of ports towards backends: that is no backend's fault, moves no session, and what idle connections hold is given up for it."""

import pathlib
import threading
import time

import pytest

from support.limpet import pool_table, settings
from support.network import FEW, few_ports, network_or_skip, taken_ports
from support.status import Status, status_table
from support.wire import eventually, free_port

CHECKED = {"health": {"check": "tcp", "interval": "100ms", "fast_interval": "100ms", "fall": 1}, "passive": {"failures": 1}}


@pytest.fixture(autouse=True)
def apart():
    with network_or_skip():
        yield


def closing(connection, request):
    connection.reply(fields=["Connection: close"], body=connection.backend.name.encode())
    connection.finish()


def test_a_lack_of_ports_is_503_moves_nobody_and_takes_no_backend_down(scene):
    backends = scene.backends(2, handler=closing)
    limpet = scene.start(settings(backends, pool={"affinity": ["cookie"], **CHECKED}, status=status_table()))
    status = Status(limpet)
    browsers = [limpet.browser(keep_alive=True) for _ in range(6)]
    homes = [browser.get().text for browser in browsers]

    eventually(lambda: all(backend["last_check"] for backend in status.pool()["backends"]))

    def unasked_for_long():
        time.sleep(0.2)  # this side has few ports as well
        report = status.report()
        return all(report["now"] - backend["last_check"]["at"] > 1 for backend in report["pools"][0]["backends"])

    with few_ports(), taken_ports(backends[0].port), taken_ports(backends[1].port):
        assert [browser.get("/lacking").status for browser in browsers] == [503] * 6
        eventually(unasked_for_long, what="no check is told of")
        states = [backend["state"] for backend in status.pool()["backends"]]
    assert {line["end"] for line in limpet.log_of("/lacking", 6)} == {"no_ports"}
    limpet.says("No port is left", "ip_local_port_range")
    assert states == ["up", "up"] and status.incidents() == []
    assert [browser.get().text for browser in browsers] == homes


def test_an_address_that_this_machine_cannot_reach_at_all_is_no_lack_of_ports(scene):
    switch = pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    if not switch.exists():
        pytest.skip("a kernel without IPv6")
    switch.write_text("1")
    unreachable = {"name": "a", "address": f"[::1]:{free_port()}"}
    limpet = scene.start(settings([unreachable, scene.backend("b")], pool={"affinity": ["cookie"], **CHECKED}, status=status_table()))
    status = Status(limpet)
    assert "unreachable" in status.wait_for_state("a", "down")["why"]
    assert [limpet.get().text for _ in range(4)] == ["b"] * 4


def test_idle_connections_of_one_pool_leave_their_ports_to_another_pools_requests(scene):
    """Ports are short towards one address, and two pools may have the same."""
    go = threading.Event()

    def held(connection, request):
        if request.target == "/held":
            go.wait(20)
        connection.reply(body=b"a")

    a = scene.backend("a", handler=held)
    pools = [pool_table(name, [a]) for name in ("one", "other")]
    limpet = scene.start(settings(pools=pools, routes=[{"pool": "one"}, {"path": "/other", "pool": "other"}]))
    clients = [limpet.client() for _ in range(FEW[1] - FEW[0] + 1)]
    with few_ports():
        threads = [threading.Thread(target=client.get, args=("/held",), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        eventually(lambda: len(a.requests) + len(limpet.log(0)) == len(clients))
        assert len(limpet.log(0)) <= 1, "Linux looks at an even number of ports, so that one of an odd number may stay unused"
        go.set()
        for thread in threads:
            thread.join(10)
        assert clients[0].get("/other").status == 200
