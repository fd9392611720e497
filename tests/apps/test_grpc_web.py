"""gRPC-Web, as pages speak it, passes untouched: over both versions on either side, in octets and in base64."""

import base64
import json

import pytest

from support.wire import free_port
from users import Http2Guest


def frame(kind, content):
    return bytes([kind]) + len(content).to_bytes(4, "big") + content


FRAMES = [frame(0, bytes(range(256))), frame(0x80, b"grpc-status:0\r\ngrpc-message:all well\r\n")]
BODIES = {
    "application/grpc-web+proto": b"".join(FRAMES),
    "application/grpc-web-text": b"".join(base64.b64encode(one) for one in FRAMES),  # with padding in its midst
}


def fields(kind):
    return {"content-type": kind, "accept": kind, "x-grpc-web": "1", "x-user-agent": "grpc-web-javascript/0.1", "grpc-timeout": "5S", "x-session": "abc"}


@pytest.fixture
def guest(scene, http2_servers, http2_users, tls_on_both_sides):
    def come(protocol="h2", tables=None):
        sides = tls_on_both_sides
        tables = tables or [server.as_table(by_tls=True) for server in http2_servers[:1]]
        limpet = scene.limpet(tables, pool={**sides.pool, "protocol": protocol, "health": {"check": "none"}}, listener=sides.listener)
        page = Http2Guest(http2_users, limpet)
        page.limpet = limpet
        return page
    return come


from_each = pytest.mark.parametrize("by", ["fetch", "http2"])
to_each = pytest.mark.parametrize("protocol", ["http/1.1", "h2"])


@from_each
@to_each
def test_calls_pass_untouched(guest, by, protocol):
    page = guest(protocol)
    for kind, body in BODIES.items():
        body = body.decode("latin-1")
        answer = page.ask("/echo", by=by, method="POST", fields=fields(kind), body=body)
        assert (answer["status"], answer["head"]["content-type"], answer["body"]) == (200, kind, body)
        assert fields(kind).items() <= json.loads(answer["head"]["x-fields"]).items()
    assert {line["protocol"] for line in page.limpet.log(len(BODIES))} == {"HTTP/1.1" if by == "fetch" else "HTTP/2.0"}


@from_each
@to_each
def test_a_message_arrives_before_the_next_is_sent(guest, by, protocol):
    page, other = guest(protocol), guest()
    kind, body = next(iter(BODIES.items()))
    body = body.decode("latin-1")
    page.do("begin", count=1, by=by, path="/stream", method="POST", fields=fields(kind), body=body)
    assert page.do("first")["body"] == body[:len(body) // 2]
    other.get("/release")
    assert page.do("end")["answers"][0]["body"] == body


@from_each
def test_what_limpet_refuses_is_told_as_http(guest, by):
    page = guest(tables=[{"name": "gone", "address": f"127.0.0.1:{free_port()}"}])
    answer = page.ask("/calls.Calls/Once", by=by, method="POST", fields=fields("application/grpc-web+proto"), body="x")
    assert answer["status"] == 503
    assert "grpc-status" not in answer["head"]
