"""HTTP/2 as users see it: what holds over HTTP/1.1 holds over it as well, with clients and with backends, in any pair of versions."""

import base64
import hashlib
import os
import signal
import threading
import time

import pytest

from support.busy import Busy
from support.client import new_address, request_bytes
from support.http2 import (
    CANCEL, DATA, ENABLE_CONNECT_PROTOCOL, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, NO_ERROR, PING, REFUSED_STREAM, http2_context,
    number)
from support.limpet import pool_table, settings
from support.session_app import SessionApp
from support.status import Status, status_table
from support.tls import context, make, server_context, tls_table
from support.truth import Server
from support.wire import Closed, eventually, free_port, head

VERSIONS = ["http/1.1", "h2"]
BODY = os.urandom(10_000_000)
LAST = 2**31 - 1


def backend_of(scene, version, name="a", *args, **how):
    return (scene.http2_backend if version == "h2" else scene.backend)(name, *args, **how)


def pool(version="http/1.1", **keys):
    return {"protocol": version, "health": {"check": "none"}, **keys}


def client_of(limpet, version):
    return limpet.http2() if version == "h2" else limpet.client()


class Gate:
    """A handler that answers with the backend's name: of a request for /held once that is told to go on, of others at once."""

    def __init__(self):
        self.held, self.opened = threading.Semaphore(0), threading.Event()

    def __call__(self, connection, request):
        connection.read_body()
        if request.target.startswith("/held"):
            self.held.release()
            assert self.opened.wait(20)
        connection.reply(body=connection.backend.name.encode())

    def wait_for(self, count=1):
        for _ in range(count):
            assert self.held.acquire(timeout=10)


# How it is chosen.


@pytest.fixture
def sealed(scene, tmp_path):
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(make(tmp_path))})
    return limpet


@pytest.mark.parametrize("offered,chosen", [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"), (["http/1.1"], "http/1.1"), (None, None)])
def test_over_tls_it_is_chosen_by_alpn(sealed, offered, chosen):
    if chosen == "h2":
        client = sealed.http2(tls=context(alpn=offered))
        assert client.sock.selected_alpn_protocol() == "h2"
        assert client.get().status == 200
        assert sealed.log()[-1]["protocol"] == "HTTP/2.0"
    else:
        client = sealed.client(how=context(alpn=offered))
        assert client.tls.selected_alpn_protocol() == chosen
        assert client.get().status == 200


def test_a_listener_without_it_speaks_http1_alone(scene, tmp_path):
    listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}", "http2": False},
                 {"name": "tls", "address": f"127.0.0.1:{free_port()}", "http2": False, "tls": tls_table(make(tmp_path))}]
    backend = scene.backend()
    limpet = scene.limpet([backend], listeners=listeners)
    client = limpet.client("tls", how=http2_context())
    assert client.tls.selected_alpn_protocol() == "http/1.1"
    assert client.get().status == 200
    plain = limpet.http2("plain")
    assert plain.read_to_end().startswith(b"HTTP/1.1 ")
    assert len(backend.requests) == 1


# Whose request it is, and what is told of it.


def test_a_cookie_leads_home_whatever_its_client_speaks(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["cookie"]})
    browsers = [limpet.browser(http2=number % 2 == 0) for number in range(16)]
    homes = [browser.get().text for browser in browsers]
    assert len(set(homes)) == 4
    for _ in range(3):
        for browser in browsers:
            browser.http2 = not browser.http2
        assert [browser.get().text for browser in browsers] == homes


def test_a_session_id_leads_home_whatever_its_client_speaks(scene):
    backends = [backend_of(scene, VERSIONS[index % 2], name, SessionApp()) for index, name in enumerate("abcd")]
    pools = [pool_table("one", backends[::2], affinity=["session-id"], session_id={"sources": ["cookie:JSESSIONID"]}),
             pool_table("other", backends[1::2], affinity=["session-id"], session_id={"sources": ["cookie:JSESSIONID"]}, **pool("h2"))]
    limpet = scene.start(settings(pools=pools, routes=[{"host": "one.test", "pool": "one"}, {"pool": "other"}]))
    for how in {"host": "one.test"}, {"host": "app.test"}:
        browsers = [limpet.browser(http2=number % 2 == 0) for number in range(12)]

        def go(browser, method, target, body=None):
            named = {"authority": how["host"]} if browser.http2 else how
            return browser.request(method, target, body=body, **named).text
        told = [go(browser, "POST", "/login", f"user{index}".encode()) for index, browser in enumerate(browsers)]
        assert len({text.partition(":")[0] for text in told}) == 2
        for browser in browsers:
            browser.http2 = not browser.http2
        assert [go(browser, "GET", "/who") for browser in browsers] == told


def test_an_address_leads_home_whatever_its_client_speaks(scene):
    limpet = scene.limpet(scene.backends(4))
    for _ in range(12):
        source = new_address()
        assert limpet.http2(source=source).get().text == limpet.get(source=source).text


def test_streams_of_one_connection_are_each_a_request_of_its_own(scene):
    """Of several users, as a proxy in front of Limpet has them."""
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["cookie"]})
    browsers = [limpet.browser() for _ in range(12)]
    homes = [browser.get().text for browser in browsers]
    client = limpet.http2()
    streams = [client.open("GET", "/", [f"Cookie: {name}={value}" for name, value in browser.jar.items()]) for browser in browsers]
    assert [stream.answer().text for stream in streams] == homes


@pytest.mark.parametrize("to", VERSIONS)
def test_what_is_told_of_a_request(scene, to):
    backend = backend_of(scene, to)
    limpet = scene.limpet([backend], pool=pool(to, affinity=["cookie"]), status=status_table())
    status = Status(limpet)
    client = limpet.http2()
    assert client.request("POST", "/a?b", ["User-Agent: test"], b"hello").status == 200
    assert client.get("/second").status == 200
    line = limpet.log_of("/a?b")[0]
    assert (line["protocol"], line["method"], line["host"], line["status"], line["end"]) == ("HTTP/2.0", "POST", "app.test", 200, "ok")
    assert (line["backend"], line["bytes_in"], line["bytes_out"]) == ("a", 5, 1)
    assert limpet.log_of("/second")[0]["request_id"] != line["request_id"]
    assert status.metric("limpet_backend_requests_total", backend="a") == 2
    assert status.metric("limpet_backend_requests_in_flight", backend="a") == 0
    assert status.metric("limpet_client_connections") == 1
    assert status.pool()["sessions"]["totals"]["opened"] == 2
    assert status.metric("limpet_pool_books_imbalance") == 0


@pytest.mark.parametrize("to", VERSIONS)
def test_the_backend_is_told_for_whom_it_is(scene, to):
    backend = backend_of(scene, to)
    scene.limpet([backend], pool=pool(to)).http2().get("/", "X-Forwarded-For: 1.2.3.4", "Cookie: a=b", "Cookie: c=d")
    request = backend.last
    assert (request.get("X-Forwarded-For"), request.get("X-Forwarded-Proto"), request.get("X-Forwarded-Host")) == ("127.0.0.1", "http", "app.test")
    assert request.get("Via").startswith("2.0 limpet")
    assert request.get("Cookie") == "a=b; c=d"
    assert (request.pseudo[":authority"] if to == "h2" else request.get("Host")) == "app.test"


# Limits.


@pytest.fixture(scope="module")
def limited(shared_scene):
    backend = shared_scene.backend("a", lambda connection, request: connection.reply(body=str(len(connection.read_body())).encode()))
    limpet = shared_scene.limpet([backend], limits={"head": "4KiB", "target": "1KiB", "headers": 20, "body": "10KiB"})
    limpet.backend = backend
    return limpet


@pytest.mark.parametrize("name,status", [("target", 414), ("head", 431), ("fields", 431), ("length", 413)])
def test_what_is_too_large_is_refused_and_the_connection_goes_on(limited, name, status):
    before = limited.backend.bytes_received
    client = limited.http2()
    asked = {"target": lambda: client.get("/" + "x" * 1024), "head": lambda: client.get("/", "X-Large: " + "x" * 4096),
             "fields": lambda: client.get("/", *(f"X-{index}: y" for index in range(21))),
             "length": lambda: client.open("POST", "/", ["Content-Length: 10241"], ends=False).answer()}[name]
    assert asked().status == status
    assert limited.backend.bytes_received == before
    assert client.get().status == 200
    eventually(lambda: status in [line["status"] for line in limited.log(0)])


def test_what_is_as_large_as_allowed_passes(limited):
    client = limited.http2()
    assert client.get("/" + "x" * 1023).status == 200
    assert client.get("/", *(f"X-{index}: y" for index in range(20))).status == 200
    assert client.request("POST", "/", body=b"x" * 10240).text == "10240"


def test_content_that_grows_too_long_is_413_and_never_becomes_whole(limited):
    client = limited.http2()
    stream = client.open("POST", "/grows", ends=False)
    for _ in range(3):
        stream.send(b"x" * 4096)
    assert stream.answer().status == 413
    assert client.get().status == 200
    eventually(lambda: not any(request.target == "/grows" and request.complete for request in limited.backend.requests))


def test_who_asks_too_often_is_429(scene):
    limpet = scene.limpet([scene.backend()], pool={"rate": {"requests": 1, "burst": 5}})
    client = limpet.http2()
    answers = [stream.answer() for stream in [client.open() for _ in range(20)]]
    assert 5 <= [answer.status for answer in answers].count(200) <= 7
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {429} and refused[0].get("Retry-After")


@pytest.mark.parametrize("to", VERSIONS)
def test_requests_are_limited_and_queued_not_connections(scene, to):
    backend = backend_of(scene, to)
    busy = Busy(backend)
    tables = [{**backend.as_table(), "max_connections": 4}]
    limpet = scene.start(settings(tables, pool=pool(to, queue_timeout="500ms"), status=status_table()))
    status, client = Status(limpet), limpet.http2()
    streams = [client.open() for _ in range(10)]
    eventually(lambda: busy.here["a"] == 4)
    assert status.backend("a")["waiting"] == 6
    busy.let_go(2)
    eventually(lambda: status.backend("a")["waiting"] == 4)
    client.wait(lambda: sum(stream.is_over for stream in streams) == 6)
    busy.let_go(4)
    client.wait(lambda: all(stream.is_over for stream in streams))
    statuses = [stream.status for stream in streams]
    assert (statuses.count(200), statuses.count(503), busy.most["a"]) == (6, 4, 4)
    assert sum(line["end"] == "queue_timeout" for line in limpet.log(10)) == 4


# Messages, through each pair of versions.


@pytest.fixture(scope="module", params=VERSIONS)
def through(request, shared_scene):
    """A Limpet with a backend of either version, whose handler a test sets."""
    backend = backend_of(shared_scene, request.param, "a")
    backend.records_bytes = False
    limpet = shared_scene.limpet([backend], pool=pool(request.param, passive={"failures": 0}))
    limpet.backend, limpet.version = backend, request.param
    return limpet


from_each = pytest.mark.parametrize("version", VERSIONS)


def trailers_of(message):
    return [(name.lower(), value) for name, value in message.trailers]


@from_each
def test_large_content_passes_both_ways(through, version):
    through.backend.handler = lambda connection, request: connection.reply(body=connection.read_body())
    answer = client_of(through, version).request("POST", "/", body=BODY)
    assert answer.status == 200 and answer.body == BODY


@from_each
def test_content_without_a_length_passes_both_ways_with_trailers(through, version):
    def handler(connection, request):
        body = connection.read_body()
        connection.reply(chunks=[body, b" and more"], trailers=[("x-sum", "7")] if through.version == "h2" else ["X-Sum: 7"])
    through.backend.handler = handler
    client = client_of(through, version)
    if version == "h2":
        stream = client.open("POST", "/", ["TE: trailers"], ends=False)
        stream.send(b"hel")
        stream.send(b"lo")
        stream.send_trailers(["X-Check: 5"])
        answer = stream.answer()
    else:
        answer = client.request("POST", "/", ["TE: trailers"], chunks=[b"hel", b"lo"], trailers=["X-Check: 5"])
    assert answer.text == "hello and more"
    assert trailers_of(answer) == [("x-sum", "7")]
    assert trailers_of(through.backend.last) == [("x-check", "5")]
    assert not answer.has("Content-Length")


@from_each
def test_interim_answers_pass_with_and_without_fields(through, version):
    def handler(connection, request):
        if through.version == "h2":
            connection.send_head(103, ["Link: </a.css>"])
            connection.send_head(102)
        else:
            connection.send(head("HTTP/1.1 103 Early Hints", ["Link: </a.css>"]) + head("HTTP/1.1 102 Processing"))
        connection.reply(body=b"done")
    through.backend.handler = handler
    answer = client_of(through, version).get()
    assert answer.text == "done"
    if version == "h2":
        assert [(one[":status"], one.get("link")) for one in answer.interim] == [("103", "</a.css>"), ("102", None)]
    else:
        assert [(one.status, one.get("Link")) for one in answer.interim] == [(103, "</a.css>"), (102, None)]


@from_each
@pytest.mark.parametrize("method,status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_content_end_with_their_head(through, version, method, status):
    def handler(connection, request):
        fields = ["Content-Length: 1000"] if status != 204 and through.version == "http/1.1" else []
        if through.version == "h2":
            return connection.send_head(status, ["Content-Length: 1000"] if status != 204 else [], ends=True)
        connection.reply(status, fields, length=False)
    through.backend.handler = handler
    client = client_of(through, version)
    answer = client.request(method)
    assert (answer.status, bytes(answer.body), answer.complete) == (status, b"", True)
    assert answer.get("Content-Length") == ("1000" if status != 204 else None)
    through.backend.handler = lambda connection, request: connection.reply(body=b"next")
    assert client.get().text == "next"


@from_each
def test_who_asks_first_is_told_to_continue(through, version):
    def handler(connection, request):
        assert request.get("Expect") == "100-continue"
        if through.version == "h2":
            connection.send_head(100)
        else:
            connection.send(head("HTTP/1.1 100 Continue"))
        connection.reply(body=connection.read_body())
    through.backend.handler = handler
    client = client_of(through, version)
    if version == "h2":
        stream = client.open("POST", "/", ["Expect: 100-continue", "Content-Length: 5"], ends=False)
        stream.wait(lambda: stream.interim)
        assert stream.interim[0][":status"] == "100"
        stream.send(b"hello", ends=True)
        answer = stream.answer()
    else:
        client.send(request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]))
        assert client.read_interim().status == 100
        client.send(b"hello")
        answer = client.read_response()
    assert (answer.status, answer.text) == (200, "hello")


@from_each
def test_heads_larger_than_a_frame_pass(through, version):
    large = "x" * 20_000
    through.backend.handler = lambda connection, request: connection.reply(fields=[("x-large", request.get("X-Large"))] * 3 if through.version == "h2" else [f"X-Large: {large}"] * 3)
    answer = client_of(through, version).get("/", "X-Large: " + large)
    assert answer.all("X-Large") == [large] * 3


@from_each
def test_heads_and_trailers_of_answers_may_be_large(through, version):
    large = [f"X-Large: {'x' * 10_000}"] * 8
    through.backend.handler = lambda connection, request: (
        connection.reply(fields=large) if request.target == "/head" else connection.reply(chunks=[b"x"], trailers=large))
    client = client_of(through, version)
    assert len(client.get("/head").all("X-Large")) == 8
    if through.version == "h2":  # trailers in chunks may not be as large
        assert len(client.get("/trailers").trailers) == 8


@from_each
def test_an_early_answer_reaches_its_client_and_the_rest_is_not_asked_for(through, version):
    def handler(connection, request):
        if request.target == "/next":
            return connection.reply(body=b"next")
        if through.version == "h2":
            connection.reply(403, body=b"no")
            return connection.reset(NO_ERROR)
        connection.reply(403, ["Connection: close"], b"no")
        connection.finish()
    through.backend.handler = handler
    client = client_of(through, version)
    if version == "http/1.1":
        client.send(request_bytes("POST", "/", ["Content-Length: 1000000"]) + b"x" * 1000)
        assert (client.read_response().status, client.is_closed()) == (403, True)
        return
    stream = client.open("POST", "/", ["Content-Length: 1000000"], ends=False)
    stream.send(b"x" * 1000)
    assert (stream.answer().status, stream.text) == (403, "no")
    stream.wait(lambda: stream.error is not None)
    assert stream.error == NO_ERROR
    assert client.get("/next").text == "next"


@from_each
def test_a_client_that_leaves_is_seen_by_its_backend(through, version):
    seen = []

    def handler(connection, request):
        if request.target == "/left":
            if through.version == "h2":
                connection.wait(lambda: connection.error is not None)
                seen.append(connection.error)
            else:
                assert connection.is_closed()
                seen.append(CANCEL)
                connection.close()
            return
        connection.reply(body=b"other")
    through.backend.handler = handler
    before = len(through.backend.requests)
    client = client_of(through, version)
    if version == "h2":
        stream = client.open("GET", "/left")
        through.backend.wait_for_requests(before + 1)
        stream.reset()
        assert client.get("/other").text == "other"
    else:
        client.send(request_bytes("GET", "/left"))
        through.backend.wait_for_requests(before + 1)
        client.close()
    eventually(lambda: seen == [CANCEL])
    line = through.log_of("/left")[-1]
    assert (line["end"], line["status"]) == ("client_gone", 499)


def test_a_connection_that_breaks_cuts_all_its_requests(through):
    ended = threading.Semaphore(0)

    def handler(connection, request):
        if through.version == "h2":
            connection.wait(lambda: connection.error is not None)
        else:
            assert connection.is_closed()
            connection.close()
        ended.release()
    through.backend.handler = handler
    before = len(through.backend.requests)
    client = through.http2()
    for _ in range(5):
        client.open()
    through.backend.wait_for_requests(before + 5)
    client.close()
    for _ in range(5):
        assert ended.acquire(timeout=5)


def test_an_answer_waits_for_its_own_client_and_for_no_other(through):
    """One stream's window is shut: what it does not take is kept at its backend, and others go on."""
    size = 20_000_000
    sent = []

    def handler(connection, request):
        if request.target != "/large":
            return connection.reply(body=b"small")
        if through.version == "h2":
            connection.send_head()
            for _ in range(size // 100_000):
                connection.send(b"x" * 100_000)
                sent.append(100_000)
            connection.send(ends=True)
        else:
            connection.send(head("HTTP/1.1 200 OK", [f"Content-Length: {size}"]))
            for _ in range(size // 100_000):
                connection.send(b"x" * 100_000)
                sent.append(100_000)
    through.backend.handler = handler
    client = through.http2()
    client.opens = False
    stream = client.open("GET", "/large")
    stream.wait(lambda: len(stream.body) == 65535)
    client.open_window(0, 1_000_000)
    assert [client.get("/").text for _ in range(20)] == ["small"] * 20
    before = len(sent)
    assert client.get("/").text == "small"
    assert sum(sent[:before]) < size / 2
    client.opens = True
    client.open_window(stream, 65535)
    assert len(stream.answer().body) == size


def test_what_is_urgent_goes_first_and_what_is_incremental_in_turn(through):
    """RFC 9218, of answers that have come from the backend."""
    size = 16_000  # which Limpet reads at once, and holds until the client takes it
    answered = []

    def handler(connection, request):
        connection.reply(body=b"x" * size)
        answered.append(request)
    through.backend.handler = lambda connection, request: connection.reply(body=b"x" * 65_535)
    client = through.http2(settings={INITIAL_WINDOW_SIZE: 2**30})
    client.opens = False
    assert len(client.get().body) == 65_535  # and with it the connection's window is used up
    through.backend.handler = handler
    late, *turns, urgent = [client.open("GET", "/", [("priority", how)]) for how in ("u=7", "u=3, i", "u=3, i", "u=0")]
    everyone = [late, *turns, urgent]
    client.wait(lambda: all(stream.pseudo for stream in everyone))
    eventually(lambda: len(answered) == len(everyone), what="all to have come from the backend")

    def sizes():
        return [len(stream.body) for stream in everyone]

    def grant_until(condition):
        while not condition():
            client.ping()
            enough = min(sum(sizes()) + 2_000, len(everyone) * size)
            client.open_window(0, enough - sum(sizes()))
            client.wait(lambda: sum(sizes()) == enough)

    grant_until(lambda: urgent.complete)
    assert sum(sizes()[:3]) < 2_000
    grant_until(lambda: any(stream.complete for stream in turns))
    assert min(len(stream.body) for stream in turns) > size - 5_000 and not late.body
    grant_until(lambda: all(stream.complete for stream in everyone))


# Limpet's own answers.


def test_without_tls_it_leads_to_tls_and_answers_challenges(scene, tmp_path):
    challenges = tmp_path / "challenges"
    challenges.mkdir()
    (challenges / "token").write_text("token.thumbprint")
    listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}", "redirect_to_https": True, "acme_challenges": str(challenges)},
                 {"name": "sealed", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(make(tmp_path), hsts="max-age=300")}]
    limpet = scene.limpet([scene.backend()], listeners=listeners)
    client = limpet.http2("plain")
    answer = client.get("/cart?item=1")
    assert (answer.status, answer.get("Location")) == (308, "https://app.test/cart?item=1")
    assert client.get("/.well-known/acme-challenge/token").text == "token.thumbprint"
    sealed = limpet.http2("sealed").get()
    assert (sealed.status, sealed.get("Strict-Transport-Security")) == (200, "max-age=300")


def test_no_route_is_404_and_no_backend_503(scene):
    backend = scene.backend(listening=False)
    limpet = scene.limpet([backend], routes=[{"path": "/app", "pool": "app"}], pool={"passive": {"failures": 0}})
    client = limpet.http2()
    assert client.get("/other").status == 404
    assert client.get("/app").status in (502, 503)
    assert [line["protocol"] for line in limpet.log(2)] == ["HTTP/2.0"] * 2


# gRPC.


GRPC = ["Content-Type: application/grpc", "TE: trailers"]


def message(text):
    return b"\0" + len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize("by_tls", [False, True], ids=["clear", "tls"])
def test_a_call_streams_both_ways_and_ends_with_trailers(scene, tmp_path, by_tls):
    def handler(stream, request):
        stream.send_head(200, ["Content-Type: application/grpc"])
        while data := stream.read_some():
            stream.send(data.upper())
        stream.send_trailers(["grpc-status: 0", "grpc-message: well done"])
    shown = make(tmp_path, names=("shop.test", "127.0.0.1")) if by_tls else None
    backend = scene.http2_backend("a", handler, tls=server_context(shown) if by_tls else None)
    limpet = scene.limpet([backend], pool=pool("h2", **({"tls": {"ca": shown.authority}} if by_tls else {})), listener={"tls": tls_table(shown)} if by_tls else {})
    stream = limpet.http2().open("POST", "/shop.Cart/Talk", GRPC, ends=False)
    for word in (b"one", b"two", b"three"):
        stream.send(message(word))
        assert stream.read_some(5 + len(word)) == message(word.upper())
    stream.send(ends=True)
    assert stream.answer().trailers == [("grpc-status", "0"), ("grpc-message", "well done")]
    assert backend.last.get("TE") == "trailers"
    assert limpet.log()[-1]["status"] == 200


def test_a_backends_answer_of_trailers_alone_stays_one(scene):
    backend = scene.http2_backend("a", lambda stream, request: stream.send_head(200, ["Content-Type: application/grpc", "grpc-status: 5"], ends=True))
    client = scene.limpet([backend], pool=pool("h2")).http2()
    stream = client.request("POST", "/shop.Cart/Add", GRPC, message(b"x"))
    assert (stream.get("grpc-status"), stream.trailers, stream.frames) == ("5", [], [])
    assert [kind for kind, _, on in client.came if on == stream.number and kind in (HEADERS, DATA)] == [HEADERS]


def test_a_deadline_is_passed_on_and_waited_for(scene):
    def late(stream, request):
        time.sleep(1.2)
        stream.reply(body=b"late")
    backend = scene.http2_backend("a", late)
    limpet = scene.limpet([backend], pool=pool("h2", timeouts={"head": "400ms"}))
    client = limpet.http2()
    patient, hasty = client.open("POST", "/patient", [*GRPC, "grpc-timeout: 5S"], b""), client.open("POST", "/hasty", GRPC, b"")
    assert (hasty.answer().status, hasty.get("grpc-status")) == (200, "4")
    assert patient.answer().text == "late"
    assert next(request for request in backend.requests if request.target == "/patient").get("grpc-timeout") == "5S"


def test_limpets_own_refusals_have_a_status_of_grpcs(scene):
    backend, dead = scene.http2_backend("a"), scene.http2_backend("dead", listening=False)
    pools = [pool_table("app", [backend], rate={"requests": 1, "burst": 3}, **pool("h2")), pool_table("dead", [dead], **pool("h2"))]
    limpet = scene.start(settings(pools=pools, routes=[{"path": "/app", "pool": "app"}, {"path": "/dead", "pool": "dead"}], limits={"head": "4KiB", "body": "1KiB"}))
    client = limpet.http2()

    def call(target="/app", fields=(), body=b""):
        answer = client.request("POST", target, [*GRPC, *fields], body)
        assert (answer.status, answer.get("Content-Type"), answer.frames) == (200, "application/grpc", [])
        return answer.get("grpc-status"), limpet.log_of(target)[-1]["status"]
    assert call("/app/large", body=b"x" * 2000) == ("8", 413)
    assert call("/app/head", ["X-Large: " + "x" * 5000]) == ("8", 431)
    assert call("/nowhere") == ("12", 404)
    assert call("/dead/x")[0] == "14"
    assert [call(f"/app/{index}") if index > 5 else client.request("POST", "/app", GRPC, b"") for index in range(7)][6] == ("14", 429)


# WebSockets.


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


ASKS = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: chat", "Origin: https://app.test"]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def echo_websocket(connection, request):
    if request.target != "/socket":  # nor is a check
        return connection.reply(body=b"plain")
    if not isinstance(request, type(connection)):  # HTTP/1.1
        connection.send(head("HTTP/1.1 101 Switching Protocols", [
            "Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}", "Sec-WebSocket-Protocol: chat"]))
        while data := connection.read_some():
            connection.send(data.upper())
        return connection.close()
    connection.send_head(200, ["Sec-WebSocket-Protocol: chat"])
    while data := connection.read_some():
        connection.send(data.upper())
    connection.send(ends=True)


@pytest.fixture(scope="module", params=VERSIONS)
def talkative(request, shared_scene):
    """A Limpet with a backend of either version that echoes over WebSockets."""
    how = {"settings": {ENABLE_CONNECT_PROTOCOL: 1}} if request.param == "h2" else {}
    backend = backend_of(shared_scene, request.param, "a", echo_websocket, **how)
    limpet = shared_scene.limpet([backend], pool=pool(request.param))
    limpet.backend, limpet.version = backend, request.param
    return limpet


WORDS = (b"\x81\x85abcd\x09\x07\x0f\x08\x0e", b"\x82\x7e\x01\x00" + b"x" * 256)


@from_each
def test_a_websocket_passes_through_each_pair_of_versions(talkative, version):
    if version == "h2":
        client = talkative.http2()
        stream = client.open("CONNECT", "/socket", ASKS, ends=False, protocol="websocket")
        stream.read_head()
        assert (stream.status, stream.get("Sec-WebSocket-Protocol")) == (200, "chat")
        assert not stream.has("Sec-WebSocket-Accept") and not stream.has("Upgrade")
        for word in WORDS:
            stream.send(word)
            assert stream.read_some(len(word)) == word.upper()
        assert client.get("/other").text == "plain"  # meanwhile
        stream.send(ends=True)
        assert stream.answer().complete
    else:
        client = talkative.client()
        client.send(request_bytes(target="/socket", fields=["Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", *ASKS]))
        answer = client.read_head()
        assert (answer.status, answer.get("Sec-WebSocket-Accept"), answer.get("Sec-WebSocket-Protocol")) == (101, accept_of(KEY), "chat")
        for word in WORDS:
            client.send(word)
            assert client.read_exactly(len(word)) == word.upper()
        client.half_close()
        assert client.is_closed()
    request = next(request for request in talkative.backend.requests if request.target == "/socket")
    if talkative.version == "h2":
        assert request.pseudo == {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/socket", ":authority": "app.test"}
        assert not request.has("Sec-WebSocket-Key") and not request.has("Upgrade")
    else:
        assert (request.method, request.get("Upgrade")) == ("GET", "websocket") and "upgrade" in request.tokens("Connection")
        assert len(base64.b64decode(request.get("Sec-WebSocket-Key"))) == 16
    assert request.get("Sec-WebSocket-Version") == "13" and request.get("Origin") == "https://app.test"


@from_each
def test_a_websocket_that_its_backend_does_not_want_is_answered_as_that_says(scene, version):
    def refuse(connection, request):
        connection.reply(403, body=b"no")
    for to in VERSIONS:
        backend = backend_of(scene, to, "a", refuse)
        limpet = scene.limpet([backend], pool=pool(to))
        if version == "h2":
            stream = limpet.http2().open("CONNECT", "/socket", ASKS, ends=False, protocol="websocket").answer()
            assert (stream.status, stream.text) == (403, "no")
        else:
            answer = limpet.get("/socket", "Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", *ASKS)
            assert (answer.status, answer.text) == (403, "no")


def test_a_websocket_whose_client_resets_it_ends_at_its_backend(talkative):
    before = len(talkative.backend.requests)
    stream = talkative.http2().open("CONNECT", "/socket", ASKS, ends=False, protocol="websocket").read_head()
    stream.reset()
    request = talkative.backend.wait_for_requests(before + 1)
    if talkative.version == "h2":
        request.wait(lambda: request.is_over)
        assert request.error == CANCEL
    else:
        eventually(lambda: not request.connection.open)


# What a backend over HTTP/2 may do.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_goes_out_again(scene, method):
    def refuse_once(stream, request):
        if len(stream.backend.requests) == 2:
            return stream.reset(REFUSED_STREAM)
        return stream.reply(body=stream.read_body() or b"got")
    backend = scene.http2_backend("a", refuse_once)
    client = scene.limpet([backend], pool=pool("h2")).http2()
    client.get()
    assert client.request(method, "/", body=b"sent" if method == "POST" else None).text == ("sent" if method == "POST" else "got")
    assert len(backend.requests) == 3


def test_a_backend_that_goes_away_loses_nothing(scene):
    """What it says that it has not looked at goes out again on another connection, POSTs too; what it has it finishes."""
    goes = threading.Event()

    def handler(stream, request):
        body = stream.read_body()
        connection = stream.connection
        if connection.index == 0:
            goes.wait(10)
            if stream.number > 5:
                return
            if stream.number == 5:
                connection.send_frame(GOAWAY, 0, 0, number(5) + number(NO_ERROR))
        stream.reply(body=body)
    backend = scene.http2_backend("a", handler)
    client = scene.limpet([backend], pool=pool("h2")).http2()
    streams = [client.open("POST", "/", [], b"%d" % index) for index in range(8)]
    backend.wait_for_requests(8)
    goes.set()
    assert [stream.answer().text for stream in streams] == [str(index) for index in range(8)]
    assert len(backend.requests) == 8 + 5
    eventually(lambda: not backend.connections[0].open)


def test_a_backends_limit_of_streams_is_kept_by_more_connections(scene):
    """More may have come before the limit was known: those are refused, and go elsewhere."""
    gate = Gate()

    def handler(stream, request):
        if sum(not one.is_answered for one in stream.connection.requests) > 4:
            request.is_answered = True
            return stream.reset(REFUSED_STREAM)
        gate(stream, request)
        request.is_answered = True
    backend = scene.http2_backend("a", handler, settings={MAX_CONCURRENT_STREAMS: 4})
    client = scene.limpet([backend], pool=pool("h2")).http2()
    client.get()
    streams = [client.open(target="/held") for _ in range(10)]
    gate.wait_for(10)
    gate.opened.set()
    assert {stream.answer().text for stream in streams} == {"a"}
    assert len(backend.connections) >= 3


# How backends and Limpet come and go.


@pytest.mark.parametrize("to", VERSIONS)
def test_a_drain_cuts_no_stream(scene, to):
    gate = Gate()
    backends = [backend_of(scene, to, name, gate) for name in "ab"]
    limpet = scene.limpet(backends, pool=pool(to, affinity=["cookie"]), status=status_table())
    status = Status(limpet)
    browser = limpet.browser_at("a")
    client = limpet.http2()
    streams = [client.open("GET", "/held", [f"Cookie: {name}={value}" for name, value in browser.jar.items()]) for _ in range(8)]
    gate.wait_for(8)
    status.post("/pools/app/backends/a/drain?known_only=true")
    assert {limpet.browser(http2=True).get().text for _ in range(6)} == {"b"}
    status.post("/pools/app/backends/a/maintenance")
    gate.opened.set()
    assert [stream.answer().text for stream in streams] == ["a"] * 8
    assert browser.get().text == "b"
    eventually(lambda: not backends[0].open_connections, what="its connections are closed")


def test_a_shutdown_tells_clients_twice_and_loses_nothing(scene):
    gate = Gate()
    backend = scene.backend("a", gate)
    limpet = scene.limpet([backend], shutdown_timeout="10s")
    client = limpet.http2()
    client.acks = False  # PINGs are answered below
    under_way = [client.open(target="/held") for _ in range(5)]
    gate.wait_for(5)
    limpet.signal(signal.SIGTERM)
    client.wait(lambda: client.goaways)
    assert client.goaways == [(LAST, NO_ERROR)]
    crossing = client.open(target="/crossing")  # sent before the notice was seen
    assert crossing.answer().text == "a"
    client.wait(lambda: (PING, 0, 0) in client.came)
    client.send_frame(PING, 1, 0, bytes(8))
    client.wait(lambda: len(client.goaways) == 2)
    assert client.goaways[1] == (crossing.number, NO_ERROR)
    assert limpet.is_running
    gate.opened.set()
    assert [stream.answer().text for stream in under_way] == ["a"] * 5
    assert client.goodbye() == NO_ERROR
    client.close()
    assert limpet.wait() == 0


def test_a_client_that_has_nothing_under_way_is_let_go_at_a_shutdown(scene):
    limpet = scene.limpet([scene.backend()], shutdown_timeout="10s")
    client = limpet.http2()
    client.get()
    limpet.signal(signal.SIGTERM)
    assert client.goodbye() == NO_ERROR
    assert [last for last, _ in client.goaways] == [LAST, 1]
    client.close()
    assert limpet.wait() == 0


def test_a_connection_without_requests_ends_after_a_while_and_so_it_says(scene):
    limpet = scene.limpet([scene.backend()], timeouts={"idle": "300ms"})
    client = limpet.http2()
    client.get()
    assert client.goodbye() == NO_ERROR and client.goaways == [(1, NO_ERROR)]


class Crowd:
    """Clients by a thread each, with so many streams under way at once, until they are told to stop."""

    def __init__(self, limpet, clients=4, streams=10, method="GET"):
        self.limpet, self.streams, self.method = limpet, streams, method
        self.is_over = False
        self.served, self.statuses, self.resets, self.broken, self.faults = 0, [], 0, 0, []
        self.threads = [threading.Thread(target=self.live) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def live(self):
        try:
            client, under_way = self.limpet.http2(source=new_address()), []
            while not self.is_over or under_way:
                while len(under_way) < self.streams and not self.is_over:
                    under_way.append(client.open(self.method, "/", body=b"x" * 100 if self.method == "POST" else None))
                client.wait(lambda: any(stream.is_over for stream in under_way))
                for stream in [stream for stream in under_way if stream.is_over]:
                    under_way.remove(stream)
                    del client.streams[stream.number]
                    self.count(stream)
                self.broken += len(client.goaways)
        except (AssertionError, Closed, OSError) as error:
            self.faults.append(error)

    def count(self, stream):
        if not stream.complete:
            self.resets += 1
        elif stream.status == 200:
            self.served += 1
        else:
            self.statuses.append(stream.status)

    def serve(self, count):
        goal = self.served + count
        eventually(lambda: self.served >= goal or self.faults, what=f"{count} more requests: {self.faults}")

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(20)
        assert self.faults == []


@pytest.mark.parametrize("to", VERSIONS)
def test_reloads_under_load_reset_no_stream(scene, to):
    backends = [backend_of(scene, to, name) for name in "ab"]
    limpet = scene.limpet(backends, pool=pool(to, affinity=["cookie"]), workers=2)
    crowd = Crowd(limpet)
    try:
        for turn in range(8):
            crowd.serve(50)
            limpet.config["pool"][0]["backend"][1]["weight"] = 10 + turn
            limpet.config["limits"] = {"head": f"{20 + turn}KiB"}
            assert "is in force" in limpet.reload()
        crowd.serve(50)
    finally:
        crowd.end()
    assert (crowd.resets, crowd.broken, crowd.statuses) == (0, 0, []) and crowd.served > 400


def test_a_server_that_is_killed_under_load_costs_requests_that_it_had_and_no_others(scene):
    servers = [Server(name) for name in "ab"]
    try:
        for server in servers:
            server.wait()
        limpet = scene.start(settings([server.as_table() for server in servers], pool=pool(affinity=["cookie"]), status=status_table()))
        crowd = Crowd(limpet)
        try:
            crowd.serve(200)
            servers[0].kill()
            Status(limpet).wait_for_state("a", "down")
            crowd.serve(200)
        finally:
            crowd.end()
        assert (crowd.resets, crowd.broken) == (0, 0)
        assert len(crowd.statuses) <= 40 and set(crowd.statuses) <= {502, 503}
    finally:
        for server in servers:
            server.close()


def test_an_http2_backend_that_dies_under_load_costs_no_request_that_can_be_sent_again(scene):
    a, b = (scene.http2_backend(name, lambda stream, request: stream.reply()) for name in "ab")  # in one frame: none is cut in its midst
    limpet = scene.start(settings([a, b], pool=pool("h2", affinity=["cookie"], retries={"percent": 100}), status=status_table()))
    crowd = Crowd(limpet)
    try:
        crowd.serve(200)
        a.refuse()
        a.drop_connections(reset=True)
        Status(limpet).wait_for_state("a", "down")
        crowd.serve(200)
    finally:
        crowd.end()
    assert (crowd.resets, crowd.broken, crowd.statuses) == (0, 0, [])
