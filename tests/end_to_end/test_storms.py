"""Whatever clients and backends do to each other, everybody else is served, and nothing is left behind."""

import os
import random
import threading
import time

import pytest

from support.client import request_bytes
from support.limpet import is_sanitized
from support.wire import Closed, Malformed, eventually, head

GROWTH_KIB = 1024 if not is_sanitized() else 65536
SEED = int(os.environ.get("LIMPET_SEED", "20240607"))

OK = head("HTTP/1.1 200 OK", ["Content-Length: 5"]) + b"hello"
CHUNKED = head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"])


def misbehaving(chance):
    """A handler that behaves well for /good and else does anything at all."""
    deeds = [
        lambda c: c.close(),
        lambda c: c.reset(),
        lambda c: (c.send(OK[:chance.randrange(len(OK))]), c.close()),
        lambda c: (c.send(OK[:chance.randrange(len(OK))]), c.reset()),
        lambda c: (c.send(OK + OK), c.finish()),
        lambda c: (c.send(OK), c.close()),
        lambda c: c.send(OK),
        lambda c: (c.send(CHUNKED + b"5\r\nhello\r\n"), c.reset()),
        lambda c: (c.send(CHUNKED + b"5\r\nhelloX"), c.close()),
        lambda c: (c.send(b"\x00nonsense\r\n\r\n"), c.close()),
        lambda c: (c.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc"), c.close()),
        lambda c: (c.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3), c.close()),
        lambda c: (c.send(head("HTTP/1.1 200 OK", []) + b"x" * 100_000), c.close()),
        lambda c: (c.send(head("HTTP/1.1 200 OK", ["Content-Length: 300000"]) + b"x" * 299_999), c.reset()),
        lambda c: (c.read_body(), c.send(OK)),
        lambda c: (time.sleep(0.02), c.read_body(), c.send(OK)),
        lambda c: (c.read_body(), c.reply(chunks=[b"x" * 50_000] * 5, trailers=["X: y"])),
        lambda c: (time.sleep(0.3), c.close()),
    ]

    def handler(connection, request):
        if request.target == "/good":
            connection.read_body()
            connection.reply(body=b"good")
        else:
            chance.choice(deeds)(connection)

    return handler


def client_deeds(chance):
    upgrade = request_bytes(fields=["Connection: Upgrade", "Upgrade: x"])
    requests = [
        request_bytes(), request_bytes() * 5, request_bytes("HEAD") * 2, request_bytes(version="HTTP/1.0"), upgrade, upgrade + b"early",
        request_bytes("POST", body=b"x" * 10), request_bytes("POST", body=b"x" * 200_000), request_bytes("POST", chunks=[b"x" * 1000] * 20, trailers=["X: y"]),
        request_bytes("PUT", body=b"x" * 1000) + request_bytes(), request_bytes("POST", fields=["Expect: 100-continue", "Content-Length: 5"]),
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HT",
        request_bytes("POST", fields=["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\nZZ\r\n",
        request_bytes("POST", fields=["Content-Length: 100000"]) + b"x" * 10,
    ]

    def visit(limpet):
        client = limpet.client(receive_buffer=chance.choice([None, 4096]))
        try:
            data = b"".join(chance.choice(requests) for _ in range(chance.randrange(1, 4)))
            cut = chance.randrange(len(data) + 1)
            client.send(data[:cut], data[cut:], pause=chance.choice([0, 0, 0.005]))
            leave = chance.randrange(6)
            if leave == 0:
                return client.reset()
            if leave == 1:
                return client.close()
            if leave == 2:
                client.half_close()
            client.sock.settimeout(0.1)
            for _ in range(chance.randrange(1, 20)):
                if not client.sock.recv(chance.choice([100, 65536])):
                    break
        except OSError:
            pass
        finally:
            client.reset() if client.sock.fileno() >= 0 and chance.randrange(2) else client.close()

    return visit


@pytest.mark.parametrize("affinity", [["cookie"], ["ip"], ["session-id"]], ids=lambda kinds: kinds[0])
def test_a_storm_of_misbehaviour_leaves_the_well_behaved_unharmed_and_nothing_behind(scene, affinity):
    print(f"LIMPET_SEED={SEED}")
    backends = [scene.backend(name, misbehaving(random.Random(SEED + index))) for index, name in enumerate("abc")]
    for backend in backends:
        backend.records_bytes = False
    pool = {"affinity": affinity, "timeouts": {"head": "2s", "body": "2s", "keep_alive": "100ms", "tunnel": "150ms"}}
    if affinity == ["session-id"]:
        pool["session_id"] = {"sources": ["cookie:sid"]}
    limpet = scene.limpet(backends, pool=pool, timeouts={"idle": "1s", "head": "1s", "body": "1s"}, workers=2, log={"access": "off"})
    limpet.says("serving with 2 workers")  # before, the first may serve while the second is not there yet
    resting = limpet.descriptors()
    stop, faults = time.monotonic() + 1.5, []

    def wild(number):
        visit = client_deeds(random.Random(SEED * 100 + number))
        while time.monotonic() < stop:
            visit(limpet)

    def tame():
        while time.monotonic() < stop:
            try:
                # A connection for each: an idle one may be closed while a request is on its way.
                response = limpet.get("/good")
                if (response.status, response.text) != (200, "good"):
                    faults.append(response.raw_head)
            except (Closed, Malformed, OSError, AssertionError) as error:
                faults.append(error)

    threads = [threading.Thread(target=wild, args=(number,), daemon=True) for number in range(6)] + [threading.Thread(target=tame, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert limpet.is_running, limpet.stderr
    assert faults == []
    assert limpet.get("/good").text == "good"
    for client in limpet.clients:
        client.close()
    eventually(lambda: len(limpet.descriptors()) <= len(resting), patience=8, what=lambda: f"only these are left: {resting}, not {limpet.descriptors()}")
    for backend in backends:
        backend.errors.clear()  # what handlers ran into is the storm's own


def test_memory_does_not_grow_with_the_number_of_requests(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], log={"access": "off"})

    def serve(count):
        client = limpet.client()
        for _ in range(count // 50):
            client.send(request_bytes("POST", "/x", ["Cookie: a=b"], b"hello") * 50)
            for _ in range(50):
                assert client.read_response().status == 200
        client.close()

    serve(1000)
    a.requests.clear()
    before = limpet.status("VmRSS")
    serve(3000)
    assert limpet.status("VmRSS") - before < GROWTH_KIB


def test_memory_of_clients_that_left_is_used_again(scene):
    limpet = scene.limpet(scene.backends(1), log={"access": "off"})

    def crowd():
        clients = [limpet.client() for _ in range(150)]
        for client in clients:
            client.send(request_bytes())
        for client in clients:
            assert client.read_response().status == 200
            client.close()

    crowd()
    crowd()
    before = limpet.status("VmRSS")
    for _ in range(4):
        crowd()
    assert limpet.status("VmRSS") - before < GROWTH_KIB
