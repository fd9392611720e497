"""The test of truth: what Limpet says was lost is what clients lost. Servers are killed, restarted, stopped, drained and reloaded at
random while hundreds of clients, each of which knows whether it was logged out, go on asking.

TRUTH_SECONDS and TRUTH_SEED choose how long, and what happens; the soak tests take a minute each. The figures are printed.
"""

import tempfile

import pytest

from support.limpet import settings
from support.status import Status, status_table
from support.storm import LONG, SHORT, Storm, hold_to_the_truth
from support.transport import HTTP2
from support.truth import Client, Server

CLIENTS = 200
SERVERS = 4


def pool_of(affinity, storage):
    pool = {"affinity": affinity.split(", "), "storage": storage, "drain_timeout": "1s", "timeouts": {"head": "300ms", "connect": "300ms"},
            "health": {"check": "http", "path": "/healthz", "interval": "200ms", "fast_interval": "100ms", "timeout": "150ms", "rise": 1, "fall": 2}}
    if "session-id" in affinity:
        pool["session_id"] = {"sources": ["cookie:SID"]}
    return pool


def live_through_a_storm(scene, affinity, storage, transport, seconds):
    folder = tempfile.TemporaryDirectory(prefix="limpet-truth-") if storage == "shared" else None
    servers = [Server(f"s{number}", folder=folder.name if folder else None, delay=0.01 * number, **transport.server) for number in range(SERVERS)]
    try:
        for server in servers:
            server.wait()
        limpet = scene.start(settings([server.as_table() for server in servers], pool={**pool_of(affinity, storage), **transport.pool},
                                      listener={"proxy_protocol": affinity == "ip", **transport.listener}, workers=2, status=status_table()))
        clients = [Client(number, limpet.address[1], affinity == "ip", **transport.clients) for number in range(CLIENTS)]
        storm = Storm(limpet, servers, Status(limpet), go_away=transport.back == HTTP2)
        seen = hold_to_the_truth(storm, clients, seconds, f"{affinity}, {storage}", pause=0.05, carries=storage == "shared")
        assert seen["answered 200"] > 2 * CLIENTS, "hardly anybody was answered: this shows nothing"
    finally:
        for server in servers:
            server.close()
        if folder:
            folder.cleanup()


@pytest.mark.parametrize(("affinity", "storage", "transport"), [("cookie", "local", "plain http/1.1 to h2"), ("session-id", "local", "tls h2")],
                         indirect=["transport"])
def test_what_is_reported_lost_is_what_clients_lost(scene, affinity, storage, transport):
    live_through_a_storm(scene, affinity, storage, transport, SHORT)


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["plain", "tls h2"], indirect=True)
@pytest.mark.parametrize("storage", ["local", "shared"])
@pytest.mark.parametrize("affinity", ["ip", "cookie", "session-id", "session-id, cookie"])
def test_what_is_reported_lost_is_what_clients_lost_for_a_minute(scene, affinity, storage, transport):
    live_through_a_storm(scene, affinity, storage, transport, LONG)
