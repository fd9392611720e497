"""What goes through TLS: requests one after another, large bodies, streams and tunnels, and ends of every kind."""

import hashlib
import random
import ssl
import threading

import pytest

from support.client import Client, request_bytes
from support.tls import SafeClient, context, make, tls_table
from support.wire import Closed, eventually, head

LARGE = random.Random(7).randbytes(8 * 1024 * 1024)
SWITCHING = head("HTTP/1.1 101 Switching Protocols", ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: x"])
BOTH = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=BOTH, ids=["1.2", "1.3"])
def client_of(request):
    return lambda limpet: SafeClient(limpet.address, context(version=request.param))


@pytest.fixture
def shop(tmp_path):
    return make(tmp_path)


@pytest.fixture
def serve(scene, shop):
    """Starts a Limpet that speaks TLS in front of a backend that answers so."""
    def start(*handler, **listener):
        backend = scene.backend("a", *handler)
        limpet = scene.limpet([backend], listener={"tls": tls_table(shop), **listener})
        limpet.backend = backend
        return limpet
    return start


def test_requests_follow_one_another(serve, client_of):
    limpet = serve()
    client = client_of(limpet)
    for number in range(50):
        assert client.get(f"/{number}").text == "a"
    assert [request.target for request in limpet.backend.requests] == [f"/{number}" for number in range(50)]


def test_pipelined_requests_are_answered_in_order(serve, client_of):
    limpet = serve(lambda connection, request: connection.reply(body=request.target.encode()))
    client = client_of(limpet)
    client.send(b"".join(request_bytes(target=f"/{number}") for number in range(100)))
    assert [client.read_response().text for _ in range(100)] == [f"/{number}" for number in range(100)]


def test_large_bodies_arrive_whole_both_ways(serve, client_of):
    def digest(connection, request):
        body = connection.read_body()
        connection.reply(fields=[f"X-Digest: {hashlib.sha256(body).hexdigest()}"], body=LARGE)

    client = client_of(serve(digest))
    answer = client.request("POST", "/", body=LARGE)
    assert answer.get("X-Digest") == hashlib.sha256(LARGE).hexdigest()
    assert answer.body == LARGE


def test_chunked_bodies_arrive_whole_both_ways(serve, client_of):
    pieces = [LARGE[at:at + size] for at, size in ((0, 1), (1, 16_384), (20_000, 100_000), (5, 7))]

    def echo(connection, request):
        connection.reply(chunks=[connection.read_body()])

    answer = client_of(serve(echo)).request("POST", "/", chunks=pieces)
    assert answer.body == b"".join(pieces)


def test_a_client_that_reads_slowly_gets_it_all_and_memory_stays_bounded(serve, client_of):
    body = LARGE * 8
    limpet = serve(lambda connection, request: connection.reply(body=body))
    client = client_of(limpet)
    client.get("/warm")
    before = limpet.status("VmRSS")
    client.send(request_bytes())
    assert client.read_head().get("Content-Length") == str(len(body))
    threading.Event().wait(0.5)
    assert limpet.status("VmRSS") - before < 16 * 1024
    assert client.read_exactly(len(body)) == body


def test_a_web_socket_goes_through(serve, client_of):
    def switch(connection, request):
        connection.send(SWITCHING + b"glued")
        while data := connection.read_some():
            connection.send(data.upper())
        connection.close()

    client = client_of(serve(switch))
    client.send(request_bytes(fields=["Connection: Upgrade", "Upgrade: websocket"]))
    assert client.read_head().status == 101
    assert client.read_exactly(5) == b"glued"
    for word in (b"hello", b"\x00\xff\x01", b"bye"):
        client.send(word)
        assert client.read_exactly(len(word)) == word.upper()


def test_events_arrive_as_they_are_sent(serve, client_of):
    goes_on = threading.Semaphore(0)

    def stream(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Content-Type: text/event-stream"]))
        for number in range(5):
            assert goes_on.acquire(timeout=5)
            connection.send(f"data: {number}\n\n".encode())
        connection.finish()

    client = client_of(serve(stream))
    client.send(request_bytes())
    client.read_head()
    for number in range(5):
        goes_on.release()
        event = b""
        while f"data: {number}\n\n".encode() not in event:
            event += client.read_some()


def test_an_answer_that_its_backend_ends_is_ended_by_tls_as_well(serve, client_of):
    def until_closed(connection, request):
        connection.send(head("HTTP/1.0 200 OK", []) + b"all of it")
        connection.finish()

    client = client_of(serve(until_closed))
    client.send(request_bytes(version="HTTP/1.0"))
    assert client.read_response().text == "all of it"  # and no end without a close_notify, which python's ssl would raise


def test_an_answer_that_is_cut_is_not_ended_by_tls(serve, client_of):
    def cut(connection, request):
        connection.send(head("HTTP/1.0 200 OK", ["Content-Length: 100"]) + b"some of it")
        connection.finish()

    client = client_of(serve(cut))
    client.send(request_bytes())
    with pytest.raises(Closed) as closed:
        client.read_response()
    assert closed.value.message.body == b"some of it"


def test_a_client_that_leaves_within_an_answer_ends_its_request(serve, client_of):
    limpet = serve(lambda connection, request: connection.read_to_end())
    for leave in ("cut", "reset"):
        client = client_of(limpet)
        client.send(request_bytes(target=f"/{leave}"))
        limpet.backend.wait_for_requests(1)
        client.cut() if leave == "cut" else client.reset()
        [line] = limpet.log_of(f"/{leave}")
        assert (line["status"], line["end"]) == (499, "client_gone")


def test_a_client_that_closes_tls_has_left_unless_the_listener_waits_for_it(serve, shop):
    def late(connection, request):
        threading.Event().wait(0.3)
        connection.reply(body=b"late")

    limpet = serve(late, half_close=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(version=BOTH[1]).wrap_bio(incoming, outgoing, server_hostname="shop.test")
    client = Client(limpet.address)

    def until_done(act):
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(client.read_some())

    until_done(tls.do_handshake)
    tls.write(request_bytes())
    try:
        tls.unwrap()  # says its close_notify, and waits for the other side's
    except ssl.SSLWantReadError:
        pass
    client.send(outgoing.read())
    answer = b""
    while b"late" not in answer:
        incoming.write(client.read_some())
        try:
            answer += tls.read()
        except ssl.SSLWantReadError:
            continue
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_connection_without_requests_is_closed_by_tls(serve, client_of, scene, shop):
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(shop)}, timeouts={"idle": "200ms"})
    client = client_of(limpet)
    assert client.read_some() == b""


def test_a_shutdown_lets_the_answer_under_way_end(serve, client_of):
    goes_on = threading.Event()

    def wait(connection, request):
        assert goes_on.wait(5)
        connection.reply(body=b"whole")

    limpet = serve(wait)
    client, idle = client_of(limpet), client_of(limpet)
    client.send(request_bytes())
    limpet.backend.wait_for_requests(1)
    limpet.signal(15)
    eventually(limpet.refuses)
    assert idle.read_some() == b""
    goes_on.set()
    answer = client.read_response()
    assert answer.text == "whole" and answer.get("Connection") == "close"
    client.close()
    idle.close()
    assert limpet.wait() == 0
