"""What thousands of connections of each kind cost, held against what the README says of it."""

import pathlib
import re
import socket

import pytest

from support.limpet import settings
from support.patience import many_descriptors, patient_server  # noqa: F401
from support.status import Status, status_table
from support.tls import context, make, tls_table
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make(tmp_path_factory.mktemp("certificate"))


def from_client(limpet, listener, number):
    """From addresses of which each has ports enough."""
    sock = socket.socket()
    sock.bind((f"127.0.{1 + number // 2000}.1", 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(limpet.addresses[listener])
    return sock


def silent(limpet, number, listener="plain"):
    return from_client(limpet, listener, number)


def begun(limpet, number, target, fields=b""):
    sock = from_client(limpet, "plain", number)
    sock.sendall(b"GET %b HTTP/1.1\r\nHost: shop.test\r\n%b\r\n" % (target, fields))
    return sock


def read_on(sock, end=b"s"):
    while not sock.recv(65536).endswith(end):
        pass
    return sock


def asked(limpet, number):
    return read_on(begun(limpet, number, b"/"))


def sealed(limpet, number, how=context()):
    sock = how.wrap_socket(from_client(limpet, "tls", number), server_hostname="shop.test")
    sock.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    return read_on(sock)


def half_greeted(limpet, number):
    sock = from_client(limpet, "tls", number)
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    return sock


# What the README calls them.
KINDS = {
    "silent": silent,
    "idle": asked,
    "idle over TLS": sealed,
    "silent where TLS is spoken": lambda limpet, number: silent(limpet, number, "tls"),
    "in a handshake": half_greeted,
    "waiting for its answer": lambda limpet, number: begun(limpet, number, b"/hold"),
    "a stream of events": lambda limpet, number: read_on(begun(limpet, number, b"/events"), b"s\r\n"),
    "a WebSocket": lambda limpet, number: read_on(begun(limpet, number, b"/", b"Connection: upgrade\r\nUpgrade: websocket\r\n")),
    "waiting for a place": lambda limpet, number: begun(limpet, number, b"/hold"),
}
WITH_BACKENDS = ("waiting for its answer", "a stream of events", "a WebSocket")


def said(kind):
    """Bytes of one, as the README's table has it."""
    row = re.search(rf"^\| {re.escape(kind)} \| ([\d,]+) \|", README, re.M)
    assert row, f"the README says nothing of a connection that is {kind}"
    return int(row[1].replace(",", ""))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_connection_costs_what_the_readme_says(scene, patient_server, certificate, kind):
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
