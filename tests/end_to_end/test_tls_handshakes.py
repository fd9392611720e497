"""TLS handshakes are counted by how they ended, timed and bounded."""

import ssl

import pytest

from support.client import connect
from support.status import Status, status_table
from support.tls import SafeClient, context, make, tls_table
from support.wire import eventually


@pytest.fixture
def serve(scene, tmp_path):
    def start(**top):
        return scene.limpet([scene.backend()], listener={"tls": tls_table(make(tmp_path))}, status=status_table(), **top)
    return start


def counts(status):
    return status.report()["listeners"][0]["tls"]["handshakes"]


def test_handshakes_are_counted_and_a_failed_one_says_why(serve):
    limpet = serve(log={"level": "debug"})
    status = Status(limpet)
    how = context(version=ssl.TLSVersion.TLSv1_2)
    first = SafeClient(limpet.address, how)
    SafeClient(limpet.address, how, session=first.tls.session)
    plain = connect(limpet.address)
    plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        SafeClient(limpet.address, context(alpn=["h3"]))
    eventually(lambda: counts(status) == {"full": 1, "resumed": 1, "failed": 2}, what=lambda: counts(status))
    for result, count in counts(status).items():
        assert f'limpet_tls_handshakes_total{{listener="main",result="{result}"}} {count}\n' in status.get("/metrics").text
    limpet.says("listener main: the TLS handshake with 127.0.0.1 failed: http request")
    limpet.says("failed: no application protocol")


def test_a_handshake_that_stands_still_is_closed(serve):
    limpet = serve(timeouts={"handshake": "300ms"})
    silent, begun = connect(limpet.address), connect(limpet.address)
    begun.sendall(b"\x16\x03\x01\x00\x50\x01")
    for sock in (silent, begun):
        assert sock.recv(1) == b""
    assert counts(Status(limpet))["failed"] == 1


def test_many_that_stand_still_shut_nobody_out(serve):
    limpet = serve(limits={"handshakes": 20}, timeouts={"handshake": "1m"})
    idle = []
    for _ in range(200):
        idle.append(connect(limpet.address))
        idle[-1].sendall(b"\x16\x03\x01\x00\x50\x01")
    assert SafeClient(limpet.address).get().status == 200
    status = Status(limpet)
    eventually(lambda: status.report()["connections"] <= 21)
    assert counts(status)["failed"] >= 180
    limpet.says("given up for newer ones, for 20 are under way (limits.handshakes)")
