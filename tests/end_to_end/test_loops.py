"""A request that comes back to the pool it came from goes round no further (RFC 5842, section 7.2)."""

import pytest

from support.client import Client, request_bytes
from support.limpet import pool_table, settings
from support.wire import free_port


def append(via):
    return [", ".join([*via, "1.1 relay"])]


def begin_anew(via):
    return ["1.0 relay", *via]


def fold(via):
    return [f"1.1 relay (before: {'; '.join(via)})"]


def relay_to(port, rewrite):
    """A handler that is a proxy in front of this port, and writes Via in its own way."""
    def handler(connection, request):
        body = connection.read_body()
        onward = Client(("127.0.0.1", port))
        try:
            onward.send(request_bytes(request.method, request.target, [f"Via: {line}" for line in rewrite(request.all("Via"))], body or None))
            response = onward.read_response(request.method)
            connection.reply(response.status, body=bytes(response.body), reason=response.reason)
        finally:
            onward.close()
    return handler


@pytest.mark.parametrize("rewrite", [list, append, begin_anew, fold])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_comes_back_through_a_proxy_is_508(scene, rewrite, workers):
    port = free_port()
    relay = scene.backend("relay", relay_to(port, rewrite))
    limpet = scene.limpet([relay], workers=workers, listener={"address": f"127.0.0.1:{port}"},
                          pool={"passive": {"failures": 1, "max_down_percent": 100, "status": ["500-504"]}})
    rounds = 4
    for turn in range(1, rounds + 1):
        response = limpet.get("/round")
        assert response.status == 508 and "Loop Detected" in response.text
        assert len(relay.requests) == turn, "the relay is asked once for each request, and is never taken out of service"
    lines = limpet.log_of("/round", 2 * rounds)
    refused = [line for line in lines if line["end"] == "loop"]
    passed = [line for line in lines if line["end"] == "ok"]
    assert len(refused) == len(passed) == rounds
    assert {(line["status"], line["pool"], line["backend"], line["reason"], line["retries"]) for line in refused} == {(508, "app", "", "", 0)}
    assert all((line["status"], line["backend"]) == (508, "relay") for line in passed)


def test_a_body_does_not_go_round_either(scene):
    port = free_port()
    relay = scene.backend("relay", relay_to(port, list))
    limpet = scene.limpet([relay], listener={"address": f"127.0.0.1:{port}"})
    assert limpet.request("POST", "/round", body=b"x" * 100_000).status == 508
    assert len(relay.requests) == 1


def test_a_pool_of_caches_in_front_of_another_pool_is_no_loop(scene):
    front, inner = free_port(), free_port()
    app, cache = scene.backend("app"), scene.backend("cache", relay_to(inner, append))
    config = settings(listeners=[{"name": "front", "address": f"127.0.0.1:{front}"}, {"name": "inner", "address": f"127.0.0.1:{inner}"}],
                      routes=[{"listener": "front", "pool": "caches"}, {"listener": "inner", "pool": "app"}],
                      pools=[pool_table("caches", [cache]), pool_table("app", [app])])
    limpet = scene.start(config)
    assert limpet.get().text == "app"
    assert len(app.last.all("Via")) == 2


def test_the_mark_is_of_this_process_alone(scene):
    a = scene.backend("a")
    first, second = scene.limpet([a]), scene.limpet([a])
    first.get()
    via = a.last.all("Via")
    assert second.get("/", *[f"Via: {line}" for line in via]).status == 200
    assert first.get("/", *[f"Via: {line}" for line in via]).status == 508


def test_answers_bear_no_mark(scene):
    a = scene.backend("a")
    assert scene.limpet([a]).get().all("Via") == ["1.1 limpet"]
