"""Whatever clients and backends do to each other, everybody else is served, and nothing is left behind."""

import os
import random
import threading
import time

import pytest

from support.client import request_bytes
from support.limpet import is_sanitized
from support.misbehaviour import misbehaving_backend, misbehaving_client, misbehaving_http2_backend, misbehaving_http2_client
from support.transport import HTTP1, HTTP2
from support.wire import Closed, Malformed, eventually

GROWTH_KIB = 1024 if not is_sanitized() else 65536
SEED = int(os.environ.get("LIMPET_SEED", "20240607"))

@pytest.mark.parametrize(("affinity", "version"), [("cookie", HTTP1), ("ip", HTTP2), ("session-id", HTTP1)])
def test_a_storm_of_misbehaviour_leaves_the_well_behaved_unharmed_and_nothing_behind(scene, affinity, version):
    print(f"LIMPET_SEED={SEED}")
    misbehaving = misbehaving_http2_backend if version == HTTP2 else misbehaving_backend
    backends = [scene.backend(name, misbehaving(random.Random(SEED + index)), version=version) for index, name in enumerate("abc")]
    for backend in backends:
        backend.records_bytes = False
    pool = {"affinity": [affinity], "protocol": version, "timeouts": {"head": "10s", "body": "2s", "keep_alive": "100ms", "tunnel": "150ms"}}
    if affinity == "session-id":
        pool["session_id"] = {"sources": ["cookie:sid"]}
    limpet = scene.limpet(backends, pool=pool, timeouts={"idle": "1s", "head": "1s", "body": "1s"}, workers=2, log={"access": "off"})
    limpet.says("serving with 2 workers")  # before, the first may serve while the second is not there yet
    resting = limpet.descriptors()
    stop, faults = time.monotonic() + 1.5, []

    def wild(number):
        misbehave = misbehaving_http2_client if number % 2 else misbehaving_client
        visit = misbehave(random.Random(SEED * 100 + number))
        while time.monotonic() < stop:
            visit(limpet)

    def tame(come):
        while time.monotonic() < stop:
            try:
                # A connection for each: an idle one may be closed while a request is on its way.
                client = come()
                response = client.get("/good")
                if (response.status, response.text) != (200, "good"):
                    faults.append((response.status, response.text))
                client.close()
            except (Closed, Malformed, OSError, AssertionError) as error:
                faults.append(error)

    threads = [threading.Thread(target=wild, args=(number,), daemon=True) for number in range(6)]
    threads += [threading.Thread(target=tame, args=(come,), daemon=True) for come in (limpet.client, limpet.http2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert limpet.is_running, limpet.stderr
    assert faults == []
    assert limpet.get("/good").text == limpet.http2().get("/good").text == "good"
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
