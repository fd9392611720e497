"""The PROXY protocol, versions 1 and 2, on a listener (haproxy.org/download/2.6/doc/proxy-protocol.txt)."""

import pytest

from support.client import PROXY_V2_SIGNATURE, proxy_v1, proxy_v2, request_bytes
from support.status import Status, status_table
from support.wire import Closed, eventually


@pytest.fixture(scope="module")
def one(shared_scene):
    backend = shared_scene.backend("a")
    limpet = shared_scene.limpet([backend], listener={"proxy_protocol": True})
    limpet.backend = backend
    return limpet


@pytest.mark.parametrize("preface, client", [
    (proxy_v1("192.0.2.1"), "192.0.2.1"),
    (proxy_v1("255.255.255.255", "255.255.255.255", 65535, 65535), "255.255.255.255"),
    (proxy_v1("2001:db8::1", "::1"), "2001:db8::1"),
    (proxy_v1("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    # As listeners of both families send it, HAProxy's and nginx's.
    (proxy_v1("::ffff:192.0.2.11", "::ffff:127.0.0.1").replace(b"TCP4", b"TCP6"), "192.0.2.11"),
    (b"PROXY TCP6 2001:db8::12 192.0.2.1 1 2\r\n", "2001:db8::12"),
    (b"PROXY TCP6 192.0.2.13 2001:db8::1 1 2\r\n", "192.0.2.13"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "127.0.0.1"),
    (proxy_v2("192.0.2.2"), "192.0.2.2"),
    (proxy_v2("2001:db8::2"), "2001:db8::2"),
    (proxy_v2("192.0.2.3", extensions=b"\x04\x00\x03abc" + b"\xe0\x00\x10" + b"x" * 16), "192.0.2.3"),
    (proxy_v2("192.0.2.4", extensions=b"\x04\x03\xe8" + b"\x00" * 1000), "192.0.2.4"),
    (proxy_v2("192.0.2.6", extensions=b"\x04\xfd\xe8" + b"\x00" * 65000), "192.0.2.6"),
    (proxy_v2(), "127.0.0.1"),
    (PROXY_V2_SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12), "127.0.0.1"),   # LOCAL: addresses are ignored
    (PROXY_V2_SIGNATURE + b"\x21\x00\x00\x00", "127.0.0.1"),               # PROXY of an unspecified family
    (PROXY_V2_SIGNATURE + b"\x21\x31\x00\xd8" + b"/sock".ljust(108, b"\0") * 2, "127.0.0.1"),  # unix
], ids=lambda value: value if isinstance(value, str) else value[:24].decode("latin-1").strip())
def test_a_header_tells_the_client(one, preface, client):
    target = f"/{abs(hash(preface))}"
    response = one.get(target, preface=preface)
    assert response.status == 200
    line = one.log_of(target)[0]
    if client != "127.0.0.1":
        assert line["client"] == client
        assert one.backend.last.get("X-Forwarded-For") == client
    else:
        assert line["client"] in ("127.0.0.1", "")


def test_a_header_counts_for_every_request_of_its_connection(one):
    client = one.client(preface=proxy_v1("192.0.2.9"))
    for _ in range(3):
        assert client.get().status == 200
        assert one.backend.last.get("X-Forwarded-For") == "192.0.2.9"


@pytest.mark.parametrize("preface", [proxy_v1("192.0.2.5"), proxy_v2("192.0.2.5", extensions=b"\x04\x00\x03abc"), proxy_v2("2001:db8::5")], ids=["v1", "v2", "v2-6"])
def test_a_header_may_come_in_pieces_or_with_the_request(one, preface):
    data = preface + request_bytes()
    for cut in range(1, len(preface) + 5):
        client = one.client()
        client.send(data[:cut], data[cut:], pause=0.0005)
        assert client.read_response().status == 200
        assert one.backend.last.get("X-Forwarded-For") in ("192.0.2.5", "2001:db8::5")
        client.close()


BAD = {
    "none": b"",
    "v1 in lower case": b"proxy TCP4 192.0.2.1 127.0.0.1 1 2\r\n",
    "v1 without a family": b"PROXY\r\n",
    "v1 of an unknown family": b"PROXY TCP5 192.0.2.1 127.0.0.1 1 2\r\n",
    "v1 without ports": b"PROXY TCP4 192.0.2.1 127.0.0.1\r\n",
    "v1 with a bad address": b"PROXY TCP4 192.0.2.999 127.0.0.1 1 2\r\n",
    "v1 with a name": b"PROXY TCP4 evil.test 127.0.0.1 1 2\r\n",
    "v1 with the other family's address": b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
    "v1 with a bad port": b"PROXY TCP4 192.0.2.1 127.0.0.1 99999 2\r\n",
    "v1 with a port of letters": b"PROXY TCP4 192.0.2.1 127.0.0.1 x 2\r\n",
    "v1 with too many words": b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2 3\r\n",
    "v1 with two spaces": b"PROXY  TCP4 192.0.2.1 127.0.0.1 1 2\r\n",
    "v1 without CR": b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\n",
    "v1 longer than 107 bytes": b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    "v1 without an end": b"PROXY TCP4 " + b"1" * 500,
    "v2 of another version": PROXY_V2_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    "v2 of an unknown command": PROXY_V2_SIGNATURE + b"\x2f\x11\x00\x0c" + bytes(12),
    "v2 too short for its family": PROXY_V2_SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
    # HAProxy 2.6 resets the connection; nginx 1.22 serves it.
    "v2 whose last TLV is cut": proxy_v2("192.0.2.1", extensions=b"\x04\x00\x05abc"),
    "v2 whose last TLV has no length": proxy_v2("192.0.2.1", extensions=b"\x04\x00\x03abc\x04"),
    "v2 signature broken at its end": PROXY_V2_SIGNATURE[:-1] + b"X" + b"\x21\x11\x00\x0c" + bytes(12),
}


@pytest.mark.parametrize("name", BAD)
def test_a_connection_without_a_sound_header_is_closed_unserved(one, name):
    before = one.backend.bytes_received
    client = one.client()
    try:
        client.send(BAD[name] + request_bytes(target="/unserved"))
        answer = client.read_to_end()
    except Closed as closed:
        answer = closed.received
    except OSError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert one.backend.bytes_received == before
    # At most one line in ten seconds.
    eventually(lambda: "refused, the last from 127.0.0.1, without a valid PROXY protocol header" in one.stderr)


def test_a_second_header_is_no_request(one):
    before = one.backend.bytes_received
    client = one.client(preface=proxy_v1("192.0.2.1"))
    client.send(proxy_v1("192.0.2.2") + request_bytes())
    assert client.read_response().status in (400, 501)  # "PROXY" could be a method
    assert one.backend.bytes_received == before


@pytest.mark.parametrize("preface", [proxy_v1("192.0.2.1"), proxy_v2("192.0.2.1")], ids=["v1", "v2"])
def test_a_listener_that_does_not_speak_it_refuses_it(scene, preface):
    a = scene.backend("a")
    client = scene.limpet([a]).client(preface=preface)
    client.send(request_bytes())
    assert client.read_response().status in (400, 501)  # "PROXY" could be a method
    assert a.bytes_received == 0


def test_a_connection_that_never_says_its_header_is_given_up(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], listener={"proxy_protocol": True}, timeouts={"head": "250ms", "idle": "250ms"})
    silent, stuck = limpet.client(), limpet.client()
    stuck.send(b"PROXY TCP4 192.")
    for client in (silent, stuck):
        answer = client.read_to_end()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    eventually(lambda: a.bytes_received == 0)


def test_trust_counts_for_the_address_that_the_header_of_a_named_peer_tells(scene):
    # The sender of the header is not the peer any more: its source is, and that is held against trusted_proxies.
    a = scene.backend("a")
    limpet = scene.limpet([a], listener={"proxy_protocol": True, "proxy_protocol_from": ["127.0.0.0/8"], "trusted_proxies": ["10.0.0.0/8"]})
    limpet.get("/trusted", "X-Forwarded-For: 192.0.2.7", preface=proxy_v1("10.0.0.1"))
    limpet.get("/untrusted", "X-Forwarded-For: 192.0.2.7", preface=proxy_v1("192.0.2.1"))
    assert limpet.log_of("/trusted")[0]["client"] == "192.0.2.7"
    assert limpet.log_of("/untrusted")[0]["client"] == "192.0.2.1"


def test_where_anybody_may_send_a_header_none_makes_a_trusted_proxy(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], listener={"proxy_protocol": True, "trusted_proxies": ["10.0.0.0/8"]})
    limpet.get("/claimed", "X-Forwarded-For: 192.0.2.7", preface=proxy_v1("10.0.0.1"))
    assert limpet.log_of("/claimed")[0]["client"] == "10.0.0.1"
    assert a.last.get("X-Forwarded-For") == "10.0.0.1"


def test_who_is_not_named_is_a_client_itself(scene):
    """HAProxy does so with `tcp-request connection expect-proxy layer4 if { src ... }`."""
    a = scene.backend("a")
    limpet = scene.limpet([a], listener={"proxy_protocol": True, "proxy_protocol_from": ["192.0.2.0/24"]})
    assert limpet.get("/plain").status == 200
    assert limpet.log_of("/plain")[0]["client"] == "127.0.0.1"
    client = limpet.client(preface=proxy_v1("192.0.2.1"))
    client.send(request_bytes("GET", "/claimed"))
    answer = client.read_response()
    assert answer.status == 400 and "a PROXY protocol header from a peer that may send none" in answer.text
    limpet.says("with a PROXY protocol header that proxy_protocol_from does not allow")
    assert [request.target for request in a.requests] == ["/plain"]


# Towards backends.

class Told:
    """A backend that takes a header from each connection."""

    def __init__(self, scene, tls=None):
        self.headers = []
        self.backend = scene.backend("told", on_connect=self.take)

    def take(self, connection):
        header = connection.read_exactly(12)
        if header == b"\r\n\r\n\0\r\nQUIT\n":
            fixed = connection.read_exactly(4)
            self.headers.append((fixed[0], fixed[1], connection.read_exactly(int.from_bytes(fixed[2:], "big"))))
        else:
            self.headers.append(header + connection.read_until(b"\r\n"))

    def of_requests(self):
        return [header for header in self.headers if header not in (b"PROXY UNKNOWN\r\n", (0x20, 0, b""))]


@pytest.mark.parametrize("version", [1, 2])
def test_backends_are_told_whose_a_connection_is_and_each_serves_one_client(scene, version):
    told = Told(scene)
    limpet = scene.limpet([told.backend], pool={"send_proxy": version})
    clients = [limpet.client() for _ in range(2)]
    for _ in range(3):
        for client in clients:
            assert client.get().status == 200
    host, port = limpet.address
    ends = [client.sock.getsockname() for client in clients]
    if version == 1:
        assert told.headers == [f"PROXY TCP4 127.0.0.1 {host} {own} {port}\r\n".encode() for _, own in ends]
    else:
        loopback = bytes([127, 0, 0, 1])
        assert told.headers == [(0x21, 0x11, loopback + loopback + own.to_bytes(2, "big") + port.to_bytes(2, "big")) for _, own in ends]


@pytest.mark.parametrize("version, nobody", [(1, b"PROXY UNKNOWN\r\n"), (2, (0x20, 0, b""))])
def test_checks_say_that_they_are_nobodys(scene, version, nobody):
    told = Told(scene)
    limpet = scene.limpet([told.backend], pool={"send_proxy": version, "health": {"check": "http", "interval": "100ms", "timeout": "100ms", "fast_interval": "50ms"}},
                          status=status_table())
    eventually(lambda: len(told.backend.checks) >= 2)
    assert set(told.headers) == {nobody}
    assert Status(limpet).backend("told")["last_check"]["passed"]


def test_a_client_that_another_balancer_tells_of_is_told_further(scene):
    told = Told(scene)
    limpet = scene.limpet([told.backend], pool={"send_proxy": 1}, listener={"proxy_protocol": True})
    client = limpet.client(preface=b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\n")
    assert client.get().status == 200
    host, port = limpet.address
    assert told.headers == [f"PROXY TCP6 2001:db8::7 ::ffff:{host} 0 {port}\r\n".encode()]
