"""What thousands of connections of each kind cost, held against what the README says of it."""

import pathlib
import re

import pytest

from support.crowds import asked, begun, certificate, half_greeted, read_on, sealed, silent, web_socket  # noqa: F401
from support.limpet import settings
from support.patience import many_descriptors, patient_server  # noqa: F401
from support.status import Status, status_table
from support.tls import tls_table
from support.wire import eventually, free_port

pytestmark = pytest.mark.soak

MANY = 10_000
MANY_WITH_BACKENDS = 4_000  # which take two descriptors each, of 20,000 that a process may often have
FIRST = 500                 # what these bring with them is not theirs
README = (pathlib.Path(__file__).resolve().parent.parent.parent / "README.md").read_text()


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors():
        yield


# What the README calls them.
KINDS = {
    "silent": silent,
    "idle": asked,
    "idle over TLS": sealed,
    "silent where TLS is spoken": lambda limpet, number: silent(limpet, number, "tls"),
    "in a handshake": half_greeted,
    "waiting for its answer": lambda limpet, number: begun(limpet, number, b"/hold"),
    "a stream of events": lambda limpet, number: read_on(begun(limpet, number, b"/events"), b"s\r\n"),
    "a WebSocket": web_socket,
    "waiting for a place": lambda limpet, number: begun(limpet, number, b"/hold"),
}
WITH_BACKENDS = ("waiting for its answer", "a stream of events", "a WebSocket")


def said(kind):
    """Bytes of one, as the README's table has it."""
    row = re.search(rf"^\| {re.escape(kind)} \| ([\d,]+) \|", README, re.M)
    assert row, f"the README says nothing of a connection that is {kind}"
    return int(row[1].replace(",", ""))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_connection_costs_what_the_readme_says(scene, patient_server, certificate, kind):  # noqa: F811
    backend = {**patient_server, "max_connections": 1 if kind == "waiting for a place" else 0}
    limpet = scene.start(settings([backend], pool={"queue_timeout": "10m", "timeouts": {"head": "10m"}}, status=status_table(), log={"access": "off"},
                                  limits={"handshakes": 2 * MANY}, timeouts={"handshake": "10m", "idle": "10m"},
                                  listeners=[{"name": "plain", "address": f"127.0.0.1:{free_port()}"},
                                             {"name": "tls", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(certificate)}]))
    held = []
    try:
        sizes = []
        many = MANY_WITH_BACKENDS if kind in WITH_BACKENDS else MANY
        for count in (FIRST, many):
            held += [KINDS[kind](limpet, number) for number in range(len(held), count)]
            eventually(lambda: Status(limpet).report()["connections"] == count, 20)
            sizes.append(limpet.status("VmRSS") * 1024)
        each = (sizes[1] - sizes[0]) / (many - FIRST)
        print(f"{kind}: {each:.0f} bytes")
        assert each < said(kind) * 1.1
    finally:
        for sock in held:
            sock.close()
