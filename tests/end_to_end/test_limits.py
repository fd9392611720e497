"""Limits, each answered by its own status: head 431, target 414, body 413, number of fields 431."""

import pytest

from support.client import request_bytes
from support.wire import eventually, head

LIMITS = {"head": "4KiB", "target": "1KiB", "headers": 20, "body": "10KiB"}


def tell_length(connection, request):
    connection.reply(body=str(len(connection.read_body())).encode())


@pytest.fixture(scope="module")
def limited(shared_scene):
    backend = shared_scene.backend("a", tell_length)
    limpet = shared_scene.limpet([backend], limits=LIMITS)
    limpet.backend = backend
    return limpet


def refused(limpet, data, status):
    before = limpet.backend.bytes_received
    client = limpet.client()
    try:
        client.send(data)
    except OSError:
        pass  # closed before everything was sent
    response = client.read_response()
    assert response.status == status, response.raw_head
    assert client.is_closed()
    assert limpet.backend.bytes_received == before


def test_a_target_up_to_the_limit_passes(limited):
    assert limited.get("/" + "x" * 1023).status == 200
    assert len(limited.backend.last.target) == 1024


def test_a_longer_target_is_414(limited):
    refused(limited, request_bytes(target="/" + "x" * 1024), 414)


def test_a_target_without_an_end_is_414(limited):
    refused(limited, b"GET /" + b"x" * 100_000, 414)


def test_a_head_up_to_the_limit_passes(limited):
    data = request_bytes(fields=["X-Large: "])
    data = request_bytes(fields=["X-Large: " + "x" * (4096 - len(data))])
    assert len(data) == 4096
    client = limited.client()
    client.send(data)
    assert client.read_response().status == 200


def test_a_larger_head_is_431(limited):
    refused(limited, request_bytes(fields=["X-Large: " + "x" * 4096]), 431)


def test_a_field_without_an_end_is_431(limited):
    refused(limited, b"GET / HTTP/1.1\r\nHost: app.test\r\nX: " + b"x" * 100_000, 431)
    refused(limited, b"GET / HTTP/1.1\r\nHost: app.test\r\n" + b"x" * 100_000, 431)


def test_a_head_without_an_end_that_trickles_in_is_431(limited):
    client = limited.client()
    try:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n", *[b"X: " + b"x" * 200 + b"\r\n"] * 40, pause=0.001)
    except OSError:
        pass
    assert client.read_response().status == 431
    assert client.is_closed()


def test_as_many_fields_as_allowed_pass(limited):
    assert limited.get("/", *[f"X-{index}: y" for index in range(19)]).status == 200  # and Host


def test_more_fields_are_431(limited):
    refused(limited, request_bytes(fields=[f"X-{index}: y" for index in range(20)]), 431)


def test_a_body_up_to_the_limit_passes(limited):
    assert limited.request("POST", "/", body=b"x" * 10240).text == "10240"
    assert limited.request("POST", "/", chunks=[b"x" * 5120] * 2).text == "10240"


def test_a_longer_body_is_413_and_is_not_begun(limited):
    refused(limited, request_bytes("POST", body=b"x" * 10241), 413)
    refused(limited, request_bytes("POST", fields=["Content-Length: 9999999999999"]), 413)


def test_a_body_in_chunks_that_grows_too_long_is_413_and_never_becomes_whole(limited):
    for chunks in ([b"x" * 10241], [b"x" * 1000] * 11, [b"x"] * 10241):
        count = len(limited.backend.requests)
        client = limited.client()
        try:
            client.send(request_bytes("POST", "/long", chunks=chunks))
        except OSError:
            pass
        assert client.read_response().status == 413
        assert client.is_closed()
        eventually(lambda: all(not request.connection.open for request in limited.backend.requests[count:]))
        assert not any(request.complete for request in limited.backend.requests[count:])


def test_a_refusal_reaches_a_client_that_goes_on_sending(limited):
    # A reset would destroy the answer before the client has read it (RFC 9112, section 9.6).
    for _ in range(5):
        client = limited.client()
        try:
            client.send(request_bytes("POST", fields=["Content-Length: 3000000"]))
            for _ in range(30):
                client.send(b"x" * 100_000)
        except OSError:
            pass
        assert client.read_response().status == 413
        client.close()


def test_a_body_of_any_size_passes_where_there_is_no_limit(scene):
    a = scene.backend("a", lambda connection, request: (connection.read_body(sink=lambda piece: None), connection.reply(body=b"done")))
    limpet = scene.limpet([a], limits={"body": 0})
    assert limpet.request("POST", "/", body=b"x" * 5_000_000).text == "done"


def test_limits_count_for_each_request_by_itself(limited):
    client = limited.client()
    for _ in range(5):
        assert client.request("POST", "/" + "x" * 1000, ["X: " + "x" * 2000], b"x" * 10_000).text == "10000"


def test_an_answers_head_may_be_larger_than_what_clients_may_send(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(fields=["X-Large: " + "x" * 8000], body=b"ok"))
    assert scene.limpet([a], limits=LIMITS).get().status in (200, 502)


def test_a_head_may_be_as_large_as_the_file_allows(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], limits={"head": "512KiB"})
    assert limpet.get("/", *[f"X-{index}: " + "x" * 50_000 for index in range(8)]).status == 200
    assert len(a.last.raw_head) > 400_000


def test_refusals_by_limits_are_in_the_access_log(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], limits=LIMITS)
    limpet.request("POST", "/long", body=b"x" * 20_000)
    line = limpet.log_of("/long")[0]
    assert line["status"] == 413 and line["method"] == "POST" and not line["backend"]
