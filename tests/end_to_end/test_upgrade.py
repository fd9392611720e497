"""Upgrade: a tunnel after 101, and only where it was asked for (RFC 9110, section 7.8)."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from support.client import request_bytes
from support.limpet import settings
from support.status import Status, status_table
from support.wire import Closed, eventually, head

ASKING = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
SWITCHING = head("HTTP/1.1 101 Switching Protocols", ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: x"])


def switching(then):
    """A handler that switches and hands the tunnel to `then`."""
    def handler(connection, request):
        if not request.has("Upgrade"):
            return connection.reply(body=b"plain")
        connection.send(SWITCHING)
        try:
            then(connection)
        finally:
            connection.close()
    return handler


def echo(connection):
    while data := connection.read_some():
        connection.send(data.upper())


def upgraded(limpet, *more):
    client = limpet.client()
    client.send(request_bytes(target="/socket", fields=[*ASKING, *more]))
    response = client.read_head()
    assert response.status == 101
    return client


def test_a_tunnel_carries_bytes_both_ways(scene):
    a = scene.backend("a", switching(echo))
    client = upgraded(scene.limpet([a]))
    for word in (b"hello", b"\x00\xff\x01", b"GET / HTTP/1.1\r\n\r\n", b"bye"):
        client.send(word)
        assert client.read_exactly(len(word)) == word.upper()


def test_the_backend_sees_the_upgrade_and_the_client_the_101(scene):
    a = scene.backend("a", switching(echo))
    limpet = scene.limpet([a])
    client = limpet.client()
    client.send(request_bytes(fields=ASKING))
    response = client.read_head()
    assert response.status == 101
    assert response.tokens("Connection") == ["upgrade"] and response.tokens("Upgrade") == ["websocket"]
    assert response.get("Sec-WebSocket-Accept") == "x"
    assert not response.has("Content-Length") and not response.has("Transfer-Encoding")
    assert "upgrade" in a.last.tokens("Connection") and a.last.get("Upgrade") == "websocket"
    assert a.last.get("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="


def test_bytes_glued_to_the_101_reach_the_client(scene):
    def handler(connection, request):
        connection.send(SWITCHING + b"glued")
        echo(connection)
        connection.close()

    a = scene.backend("a", handler)
    client = upgraded(scene.limpet([a]))
    assert client.read_exactly(5) == b"glued"
    client.send(b"more")
    assert client.read_exactly(4) == b"MORE"


def test_bytes_glued_to_the_request_reach_the_backend_after_the_switch(scene):
    a = scene.backend("a", switching(echo))
    client = scene.limpet([a]).client()
    client.send(request_bytes(fields=ASKING) + b"eager")
    assert client.read_head().status == 101
    assert client.read_exactly(5) == b"EAGER"


def test_a_backend_that_ends_its_side_can_still_be_written_to(scene):
    received = []

    def then(connection):
        connection.send(b"done")
        connection.half_close()
        received.append(connection.read_to_end())

    a = scene.backend("a", switching(then))
    client = upgraded(scene.limpet([a]))
    assert client.read_to_end() == b"done"
    client.send(b"still here")
    time.sleep(0.02)
    client.send(b", and bye")
    client.half_close()
    eventually(lambda: received)
    assert received == [b"still here, and bye"]


def test_nothing_is_lost_at_the_end_of_a_tunnel(scene, tmp_path):
    # The backend has ended its side, the client ends its own, and the last piece fits into the kernel's buffer in part only. Where
    # that buffer ends is not ours to say, so many sizes are tried; a unix socket's does not grow.
    all_sent, received = threading.Event(), {}

    def handler(connection, request):
        connection.send(SWITCHING)
        connection.half_close()
        all_sent.wait(5)
        received[int(request.target[1:])] = len(connection.read_to_end())
        connection.close()

    a = scene.backend("a", handler, path=str(tmp_path / "app.sock"))
    a.records_bytes = False
    limpet = scene.limpet([a])
    totals = range(100_000, 500_000, 8_000)
    for total in totals:
        client = limpet.client()
        client.send(request_bytes(target=f"/{total}", fields=ASKING))
        assert client.read_head().status == 101
        assert client.read_to_end() == b""
        client.send(b"x" * total)
        client.half_close()
    time.sleep(0.1)
    all_sent.set()
    eventually(lambda: len(received) == len(totals))
    assert received == {total: total for total in totals}


def test_a_client_that_ended_its_side_gets_everything_although_it_reads_slowly(scene):
    total = 5_000_000

    def then(connection):
        connection.read_to_end()
        connection.send(b"x" * total)

    a = scene.backend("a", switching(then))
    limpet = scene.limpet([a])
    client = limpet.client(receive_buffer=32768)
    client.send(request_bytes(fields=ASKING))
    assert client.read_head().status == 101
    client.half_close()
    time.sleep(0.2)
    assert len(client.read_to_end()) == total


def test_a_client_that_ends_its_side_still_gets_the_rest(scene):
    def then(connection):
        data = connection.read_to_end()
        connection.send(b"x" * 300_000 + data)

    a = scene.backend("a", switching(then))
    client = upgraded(scene.limpet([a]))
    client.send(b"the end")
    client.half_close()
    assert client.read_to_end() == b"x" * 300_000 + b"the end"


def test_a_tunnel_ends_at_both_ends_when_the_backend_dies(scene):
    a = scene.backend("a", switching(lambda connection: connection.reset()))
    client = upgraded(scene.limpet([a]))
    try:
        assert client.read_to_end() == b""
    except Closed:
        pass


def test_a_tunnel_ends_at_both_ends_when_the_client_dies(scene):
    gone = threading.Event()

    def then(connection):
        try:
            connection.read_to_end()
        except Closed:
            pass
        gone.set()

    a = scene.backend("a", switching(then))
    client = upgraded(scene.limpet([a]))
    client.reset()
    assert gone.wait(5)


def test_a_tunnel_holds_back_a_side_that_is_too_fast(scene):
    total = 20_000_000

    def then(connection):
        time.sleep(0.2)
        seen = 0
        while seen < total:
            seen += len(connection.read_some())
        connection.send(str(seen).encode())

    a = scene.backend("a", switching(then))
    a.records_bytes = False
    limpet = scene.limpet([a])
    client = upgraded(limpet)
    before = limpet.status("VmRSS")
    client.sock.settimeout(20)
    for _ in range(20):
        client.send(b"x" * 1_000_000)
    assert client.read_exactly(len(str(total))) == str(total).encode()
    from support.limpet import is_sanitized
    assert limpet.status("VmHWM") - before < (8 if not is_sanitized() else 80) * 1024


def test_a_tunnel_in_which_nothing_moves_is_closed(scene):
    a = scene.backend("a", switching(echo))
    limpet = scene.limpet([a], pool={"timeouts": {"tunnel": "600ms"}})
    client = upgraded(limpet)
    for _ in range(4):
        time.sleep(0.2)
        client.send(b"x")
        assert client.read_exactly(1) == b"X"
    try:
        assert client.read_to_end() == b""
    except Closed:
        pass
    eventually(lambda: not a.open_connections)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("ends", ["backend", "client"])
def test_a_tunnel_that_one_side_has_ended_waits_for_the_other_as_for_a_body(scene, tmp_path, kind, ends):
    # A whole one may be silent for an hour.
    released = threading.Event()
    a = scene.backend("a", switching(lambda connection: ends == "backend" or released.wait(20)),
                      path=str(tmp_path / "app.sock") if kind == "unix" else None)
    limpet = scene.limpet([a], timeouts={"body": "300ms"}, pool={"timeouts": {"body": "300ms"}, "passive": {"failures": 1, "max_down_percent": 100}})
    assert limpet.get("/").text == "plain"
    before = limpet.descriptors()
    client = upgraded(limpet)
    if ends == "client":
        client.half_close()
    line = limpet.log_of("/socket")[0]
    assert (line["status"], line["backend"], line["end"]) == (101, "a", "tunnel_timeout")
    eventually(lambda: len(limpet.descriptors()) <= len(before), what="both descriptors are given back")
    released.set()
    assert limpet.get("/").text == "plain", "the backend is blamed"


def test_a_tunnel_outlives_the_other_timeouts(scene):
    a = scene.backend("a", switching(echo))
    limpet = scene.limpet([a], timeouts={"idle": "150ms", "head": "150ms", "body": "150ms"}, pool={"timeouts": {"head": "150ms", "body": "150ms", "keep_alive": "150ms"}})
    client = upgraded(limpet)
    time.sleep(0.6)
    client.send(b"alive")
    assert client.read_exactly(5) == b"ALIVE"


def test_a_backend_may_decline_to_switch(scene):
    def handler(connection, request):
        connection.reply(426, reason="Upgrade Required", fields=["Upgrade: websocket", "Connection: Upgrade"], body=b"no")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    for _ in range(2):
        response = client.get("/", *ASKING)
        assert response.status == 426 and response.text == "no"
    assert len(a.connections) == 1


def test_a_request_that_was_not_switched_is_followed_by_the_next(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=request.target.encode()))
    client = scene.limpet([a]).client()
    client.send(request_bytes(target="/1", fields=ASKING) + request_bytes(target="/2"))
    assert client.read_response().text == "/1"
    assert client.read_response().text == "/2"


@pytest.mark.parametrize("body", [{"body": b"hello"}, {"chunks": [b"hel", b"lo"]}], ids=["length", "chunked"])
def test_a_request_with_a_body_that_was_not_switched_is_followed_by_the_next(scene, body):
    a = scene.backend("a", lambda connection, request: connection.reply(body=request.target.encode() + connection.read_body()))
    client = scene.limpet([a]).client()
    for upgrade in ("websocket", "h2c"):
        client.send(request_bytes("POST", "/1", ["Connection: Upgrade", f"Upgrade: {upgrade}"], **body) + request_bytes(target="/2"))
        assert client.read_response().text == "/1hello"
        assert client.read_response().text == "/2"


@pytest.mark.parametrize("fields", [[], ["Upgrade: websocket"], ["Connection: Upgrade"]])
def test_a_101_that_nobody_asked_for_is_502(scene, fields):
    def handler(connection, request):
        connection.send(SWITCHING + b"smuggled")
        connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    client = limpet.client()
    response = client.get("/", *fields)
    assert response.status == 502
    assert "smuggled" not in response.text


def test_an_upgrade_without_its_connection_option_is_not_forwarded(scene):
    a = scene.backend("a")
    assert scene.limpet([a]).get("/", "Upgrade: websocket").status == 200
    assert not a.last.has("Upgrade")


def test_an_http_1_0_client_cannot_upgrade(scene):
    # RFC 9110, section 7.8: an Upgrade in an HTTP/1.0 request must be ignored.
    a = scene.backend("a", switching(echo))
    response = scene.limpet([a]).request(fields=ASKING, version="HTTP/1.0")
    assert response.status == 200 and response.text == "plain"
    assert not a.last.has("Upgrade")


@pytest.mark.parametrize("upgrade", ["websocket, h2c", "h2c,websocket", "h2c/1, WebSocket"])
def test_of_several_protocols_that_are_offered_all_but_h2c_are_offered_further_rfc_9110_7_8(scene, upgrade):
    """nginx 1.22 offers nothing by itself, and all of them where it is told to pass the field on, as HAProxy 2.6 does: h2c too."""
    a = scene.backend("a", switching(echo))
    client = scene.limpet([a]).client()
    client.send(request_bytes(fields=["Connection: Upgrade", f"Upgrade: {upgrade}", *ASKING[2:]]))
    assert client.read_head().status == 101
    assert a.last.tokens("Upgrade") == ["websocket"] and a.last.tokens("Connection") == ["upgrade"]
    client.send(b"hello")
    assert client.read_exactly(5) == b"HELLO"


@pytest.mark.parametrize("upgrade", ["h2c", "H2C", "h2c/1", "H2c/2.0", "h2c, websocket", "websocket, h2c", '"x, h2c"'])
def test_h2c_is_never_forwarded(scene, upgrade):
    # A backend that switched to HTTP/2 inside the tunnel would serve requests that nobody checks.
    a = scene.backend("a", lambda connection, request: connection.reply(body=b"plain"))
    client = scene.limpet([a]).client()
    response = client.get("/", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    assert response.status == 200 and response.text == "plain"
    assert not a.last.has("HTTP2-Settings")
    assert "h2c" not in "".join(a.last.all("Upgrade")).lower()
    assert client.get().status == 200


def test_a_tunnel_is_in_the_access_log_once_it_has_ended(scene):
    a = scene.backend("a", switching(echo))
    limpet = scene.limpet([a])
    client = upgraded(limpet)
    client.send(b"12345")
    assert client.read_exactly(5) == b"12345"
    client.half_close()
    assert client.read_to_end() == b""
    line = limpet.log_of("/socket")[0]
    assert line["status"] == 101 and line["backend"] == "a" and line["end"] == "ok"
    assert line["bytes_in"] >= 5 and line["bytes_out"] >= 5


def closing(connection):
    connection.send(b"\x81\x05hello\x88\x02\x03\xe8")


def dying(connection):
    connection.send(b"\x81\x05hello")


@pytest.mark.parametrize("then, end", [(closing, "ok"), (dying, "backend_cut")])
def test_a_websocket_that_its_backend_ends_without_closing_it_is_a_failed_request_rfc_6455_7_1(scene, then, end):
    """nginx 1.22 and HAProxy 2.6 log such an end as any other."""
    a = scene.backend("a", switching(then))
    limpet = scene.limpet([a], status=status_table())
    client = upgraded(limpet)
    assert client.read_to_end().startswith(b"\x81\x05hello")
    client.half_close()
    line = limpet.log_of("/socket")[0]
    assert (line["status"], line["backend"], line["end"]) == (101, "a", end)
    assert Status(limpet).pool()["requests"]["failed"] == (end != "ok")


def test_the_websockets_of_a_process_that_is_killed_are_failed_requests(scene, tmp_path):
    code = textwrap.dedent(f"""
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        kept = []
        while True:
            connection, _ = listener.accept()
            while not connection.recv(65536).endswith(b"\\r\\n\\r\\n"):
                pass
            connection.sendall({SWITCHING!r} + b"\\x81\\x05hello")
            kept.append(connection)
        """)
    app = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        port = int(app.stdout.readline())
        limpet = scene.start(settings([{"name": "a", "address": f"127.0.0.1:{port}"}], status=status_table()))
        clients = [upgraded(limpet) for _ in range(5)]
        for client in clients:
            assert client.read_exactly(7) == b"\x81\x05hello"
        app.kill()
        for client in clients:
            assert client.read_to_end() == b""
            client.close()
        eventually(lambda: len(limpet.log_of("/socket")) == 5)
        assert {line["end"] for line in limpet.log_of("/socket")} == {"backend_cut"}
        assert Status(limpet).pool()["requests"]["failed"] == 5
    finally:
        app.kill()
        app.wait()
