"""Ten thousand connections of which nothing more comes, of each kind: others are served as ever, and what the process takes is what the
README says. Of those that have one to a backend each there are as many as there are descriptors for, where these are fewer."""

import pathlib
import re
import resource
import time

import pytest

from support.crowds import (assert_others_are_served_as_ever, asked, begun, certificate, half_a_body, half_a_head, half_greeted,  # noqa: F401
                            reads_nothing, sealed, silent, web_socket)
from support.limpet import pool_table, settings
from support.patience import many_descriptors, patient_server  # noqa: F401
from support.status import Status, status_table
from support.tls import tls_table
from support.wire import eventually, free_port

pytestmark = pytest.mark.soak

MANY = 10_000
README = (pathlib.Path(__file__).resolve().parent.parent.parent / "README.md").read_text()
OWN = 100  # descriptors of the process itself, and of connections to backends that are kept


# How one comes, what the README's formula says that it takes, and how many connections to backends it holds.
KINDS = {
    "silent": (silent, ["client"], 0),
    "half a head": (half_a_head, ["client"], 0),
    "idle": (asked, ["client"], 0),
    "silent where TLS is spoken": (lambda limpet, number: silent(limpet, number, "tls"), ["TLS"], 0),
    "half a handshake": (half_greeted, ["handshake"], 0),
    "idle over TLS": (sealed, ["TLS"], 0),
    "half a body": (half_a_body, ["client", "under way"], 1),
    "reads nothing": (reads_nothing, ["client", "under way", "kept"], 1),
    "waiting for a place": (lambda limpet, number: begun(limpet, number, b"/hold"), ["client", "under way"], 0),
    "a WebSocket": (web_socket, ["client", "under way"], 1),
}


def is_at_rest(limpet):
    """What it was asked for it has done; so has the backend."""
    def ticks():
        return sum(map(int, pathlib.Path(f"/proc/{limpet.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = ticks()
    time.sleep(0.5)
    return ticks() == before


def formula(many, parts, pools):
    """Bytes of a process with so many of these, as the README says."""
    def said(words, unit):
        found = re.search(words.replace("N", r"([\d.]+)").replace(" ", r"\s+"), README)
        assert found, f"the README does not say: {words}"
        return float(found[1]) * unit

    each = {"client": said("for each client N KB,", 1e3), "TLS": said("or N KB by TLS", 1e3), "under way": said("and N KB more while", 1e3),
            "handshake": said("N KB for each handshake under way", 1e3), "kept": said("up to N KiB are kept", 1024)}
    return said("some N MB; for each pool", 1e6) + pools * said("for each pool N MB", 1e6) + many * sum(each[part] for part in parts)


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors():
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < MANY * 3 // 2:
            pytest.skip(f"{MANY} connections take {MANY * 3 // 2} descriptors, with what is kept for others; raise the hard limit of open files (ulimit -Hn)")
        yield


@pytest.mark.parametrize("kind", list(KINDS))
def test_thousands_that_say_no_more_cost_others_nothing(scene, patient_server, certificate, kind):  # noqa: F811
    come, parts, to_backend = KINDS[kind]

    def start():
        listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}"}, {"name": "tls", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(certificate)}]
        long = {"head": "10m", "body": "10m"}
        pools = [pool_table("app", [patient_server], timeouts=long), pool_table("full", [{**patient_server, "max_connections": 1}], queue_timeout="10m", timeouts=long)]
        return scene.start(settings(pools=pools, routes=[{"pool": "app"}, {"pool": "full", "path": "/hold"}], listeners=listeners, status=status_table(), log={"access": "off"},
                                    limits={"handshakes": 2 * MANY}, timeouts={**long, "handshake": "10m", "idle": "10m"}))

    beset, other = start(), start()
    status, held = Status(beset), []
    for_clients = status.report()["descriptors"]["for_clients"]
    many = min(MANY, (for_clients - OWN) // (1 + to_backend))
    try:
        held += [come(beset, number) for number in range(many)]
        eventually(lambda: status.report()["connections"] == many, 30, lambda: status.report()["connections"])
        eventually(lambda: is_at_rest(beset), 60)
        assert_others_are_served_as_ever(beset, other)
        report = status.report()
        taken, resident, most = len(beset.descriptors()), beset.status("VmRSS") * 1024, formula(many, parts, 2)
        print(f"{many} {kind}: {resident / 1e6:.1f} MB, {most / 1e6:.1f} by the README; {taken} descriptors of {report['descriptors']}")
        assert resident < most * 1.1
        assert many <= taken <= many * (1 + to_backend) + OWN <= for_clients
        assert report["connections"] >= many and report["refused_connections"] == 0
    finally:
        for sock in held:
            sock.close()
