"""What is known to break servers of HTTP/2: each attack ends with its connection, is counted by its kind, and costs a bounded amount of
memory; meanwhile everybody else is served as ever."""

import contextlib
import select
import threading
import time

import pytest

from support.client import HOST
from support.crowds import assert_others_are_served_as_ever, certificate  # noqa: F401
from support.http2 import (
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE, LARGEST_FRAME, PING, PREFACE,
    PRIORITY, PRIORITY_UPDATE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, integer, literal, literals, number, setting, text)
from support.limpet import is_sanitized, settings
from support.patience import patient_server  # noqa: F401
from support.status import Status, status_table
from support.tls import tls_table
from support.wire import Closed, eventually, free_port

HEAD = literals((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST))
POST = literals((":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", HOST))
MANY = 20_000  # of whatever it is
GROWTH_KIB = 16 * 1024 if not is_sanitized() else 128 * 1024
LARGE = 1_000_000


def serve(connection, request):
    if request.target.startswith("/large"):
        return connection.reply(body=b"x" * LARGE)
    connection.read_body()
    return connection.reply(body=b"served")


@pytest.fixture(scope="module")
def beset(shared_scene):
    backend = shared_scene.backend("a", serve)
    backend.records_bytes = False
    limpet = shared_scene.limpet([backend], status=status_table(), limits={"head": "16KiB"}, timeouts={"head": "600ms", "body": "600ms"})
    limpet.backend = backend
    limpet.told = Status(limpet)
    limpet.other = limpet.client()
    return limpet


def count(limpet, kind):
    return limpet.told.metric("limpet_listener_http2_abuse_total", kind=kind)


def streams(client, make):
    """Bytes of each of many streams."""
    return (make(next(client.numbers)) for _ in range(MANY))


def again(data):
    return lambda client: (data for _ in range(MANY))


def on_one(data, kind=DATA, flags=0):
    """Many frames on one stream, whose request is not whole."""
    def pieces(client):
        on = next(client.numbers)
        yield frame(HEADERS, END_HEADERS, on, POST)
        for _ in range(MANY):
            yield frame(kind, flags, on, data)
    return pieces


def each(*make):
    """Many streams, on each of which these come."""
    return lambda client: streams(client, lambda on: b"".join(one(on) for one in make))


def begin(on):
    return frame(HEADERS, END_HEADERS, on, POST)


def ask(on):
    return frame(HEADERS, END_HEADERS | END_STREAM, on, HEAD)


def reset(on):
    return frame(RST_STREAM, 0, on, number(CANCEL))


def heads_of_a_closed_one(client):
    on = next(client.numbers)
    yield ask(on) + reset(on)
    for _ in range(MANY):
        yield ask(on)


def continued(size):
    """A head that has no end."""
    def pieces(client):
        yield frame(HEADERS, END_STREAM, next(client.numbers), HEAD)
        for index in range(MANY):
            yield frame(CONTINUATION, 0, 1, literal("x", "y" * size) if size else b"")
    return pieces


def tiny_heads(client):
    """Each whole, in as many pieces as it has bytes."""
    for _ in range(MANY // 100):
        on = next(client.numbers)
        yield frame(HEADERS, END_STREAM, on, b"") + b"".join(frame(CONTINUATION, 0, on, HEAD[at:at + 1]) for at in range(len(HEAD))) + frame(CONTINUATION, END_HEADERS, on)


def bomb(client):
    """A field that the table learns, repeated by its index: each byte unpacks to 4 KB."""
    learned = b"\x40" + text("x") + text("y" * 4000)
    for _ in range(MANY // 100):
        yield frame(HEADERS, END_HEADERS | END_STREAM, next(client.numbers), HEAD + learned + integer(62, 7, 0x80) * (LARGEST_FRAME - len(HEAD) - len(learned)))


ATTACKS = {
    "rapid reset": (each(ask, reset), "resets"),
    "rapid reset of what is not whole": (each(begin, reset), "resets"),
    "made you reset by content beyond its length": (
        each(lambda on: frame(HEADERS, END_HEADERS, on, POST + literal("content-length", "1")), lambda on: frame(DATA, 0, on, b"xx")), "stream_errors"),
    "made you reset by a window beyond its most": (each(begin, lambda on: frame(WINDOW_UPDATE, 0, on, number(2**31 - 1))), "stream_errors"),
    "made you reset by a head that is malformed": (each(lambda on: frame(HEADERS, END_HEADERS | END_STREAM, on, HEAD + literal("X", "y"))), "heads"),
    "made you reset by trailers that end nothing": (each(begin, lambda on: frame(HEADERS, END_HEADERS, on, literal("x", "y"))), "heads"),
    "CONTINUATION without an end": (continued(1000), "flood"),
    "CONTINUATION without an end, tiny": (continued(1), "flood"),
    "CONTINUATION without an end, empty": (continued(0), "flood"),
    "CONTINUATION with an end, tiny": (tiny_heads, "flood"),
    "SETTINGS": (again(frame(SETTINGS)), "settings"),
    "SETTINGS that change windows": (again(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0) + setting(INITIAL_WINDOW_SIZE, 65535))), "settings"),
    "PING": (again(frame(PING, 0, 0, b"limpets!")), "pings"),
    "empty DATA": (on_one(b""), "empty_frames"),
    "padding alone": (on_one(b"\x07" + bytes(7), flags=0x8), "empty_frames"),
    "unknown frames": (again(frame(99, 0, 0, b"x")), "empty_frames"),
    "PRIORITY": (again(frame(PRIORITY, 0, 999, b"\0\0\0\0\x10")), "priorities"),
    "PRIORITY of many streams": (each(lambda on: frame(PRIORITY, 0, on, b"\0\0\0\0\x10")), "priorities"),
    "PRIORITY_UPDATE": (again(frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1")), "priorities"),
    "WINDOW_UPDATE": (again(frame(WINDOW_UPDATE, 0, 0, number(1))), "window_updates"),
    "WINDOW_UPDATE of a stream": (on_one(number(1), WINDOW_UPDATE), "window_updates"),
    "WINDOW_UPDATE of a closed stream": (lambda client: (frame(WINDOW_UPDATE, 0, 1, number(1)) if index else ask(next(client.numbers)) for index in range(MANY)), "window_updates"),
    "answers to no PING": (again(frame(PING, ACK, 0, b"limpets!")), "pings"),
    "empty heads": (each(lambda on: frame(HEADERS, END_HEADERS | END_STREAM, on)), "heads"),
    "an HPACK bomb": (bomb, "heads"),
    "heads of a closed stream": (heads_of_a_closed_one, "heads"),
    "more streams than there may be": (each(begin), "violations"),
    "a frame that is too large": (again(frame(DATA, 0, 1, bytes(LARGEST_FRAME + 1))), "violations"),
    "PRIORITY of no stream": (again(frame(PRIORITY, 0, 0, b"\0\0\0\0\x10")), "violations"),
}


def send(client, pieces):
    """Until it is told to go. Between bursts, each of fewer streams than there may be, what Limpet says is read."""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) < 8192:
            continue
        client.send(data)
        data = b""
        while client.buffer or client.has_pending() or select.select([client.sock], [], [], 0.01)[0]:
            client.step()
            if client.goaways:
                return
    client.send(data)


def attack(limpet, pieces, listener=None):
    """The client, at its end."""
    client = limpet.http2(listener)
    client.ping()
    client.take_head = lambda *_: None  # of streams that it does not keep
    client.take_data = lambda *_: None
    try:
        send(client, pieces(client))
        client.wait(lambda: client.over)
    except (Closed, OSError):
        client.end()
    return client


@pytest.mark.parametrize("name", ATTACKS)
def test_it_ends_with_its_connection_and_is_counted(beset, name):
    pieces, kind = ATTACKS[name]
    before, memory = count(beset, kind), beset.status("VmRSS")
    client = attack(beset, pieces)
    assert client.over
    # What was on its way may have reset what Limpet said.
    assert client.goaways == [] or (client.goaways[-1][1] == ENHANCE_YOUR_CALM) == (kind != "violations")
    eventually(lambda: count(beset, kind) == before + 1, what=lambda: f"{kind}: {beset.told.report()['listeners'][0]}, {client.goaways}")
    assert beset.status("VmRSS") - memory < GROWTH_KIB
    assert beset.other.get().status == 200
    client.close()


def test_a_line_in_the_log_says_so(scene):
    limpet = scene.limpet([scene.backend()])
    client = attack(limpet, ATTACKS["PING"][0])
    assert client.goodbye() in (ENHANCE_YOUR_CALM, None)
    limpet.says("1 connection cut, the last from 127.0.0.1, that asked too much of HTTP/2 (pings)")


def test_what_is_cancelled_in_the_read_that_brought_it_is_never_begun(scene):
    """And what came before and behind it is."""
    a = scene.backend()
    limpet = scene.limpet([a])
    client = limpet.http2()
    client.ping()
    first, *cancelled, last = [next(client.numbers) for _ in range(52)]
    client.send(ask(first) + b"".join(ask(on) + reset(on) for on in cancelled) + ask(last))
    assert len(limpet.log(2)) == 2
    assert limpet.get("/behind").status == 200
    assert [request.target for request in a.requests] == ["/", "/", "/behind"]
    assert len(limpet.log(3)) == 3


# What is no attack.


def test_what_browsers_do_is_borne(beset):
    """They cancel all that a page has asked for, and ask again; ping now and then; and open windows as they read."""
    client = beset.http2()
    for _ in range(10):
        cancelled = [client.open() for _ in range(15)]
        for stream in cancelled:
            stream.reset()
        assert [client.get().status for _ in range(20)] == [200] * 20
        client.ping()
    for _ in range(5):
        assert len(client.get("/large").body) == LARGE
    assert not client.goaways


# What makes no frames at all, but waits.


def test_answers_whose_windows_stay_shut_are_cut(beset):
    """A hundred large answers of which not a byte may leave."""
    memory = beset.status("VmRSS")
    client = beset.http2(settings={INITIAL_WINDOW_SIZE: 0})
    asked = [client.open(target="/large") for _ in range(100)]
    client.wait(lambda: all(stream.is_over for stream in asked) or client.over)
    assert beset.status("VmRSS") - memory < 2 * GROWTH_KIB
    assert not any(stream.complete or stream.body for stream in asked)
    assert beset.other.get().status == 200
    eventually(lambda: beset.told.metric("limpet_backend_requests_in_flight", backend="a") == 0)


def test_a_connections_window_that_stays_shut_is_cut(beset):
    client = beset.http2()
    client.opens = False
    asked = [client.open(target="/large") for _ in range(100)]
    client.wait(lambda: all(stream.is_over for stream in asked) or client.over)
    assert sum(len(stream.body) for stream in asked) == 65535
    assert not any(stream.complete for stream in asked)
    eventually(lambda: beset.told.metric("limpet_backend_requests_in_flight", backend="a") == 0)


def test_windows_that_open_byte_by_byte_do_not_hold_an_answer_for_long(beset):
    client = beset.http2(settings={INITIAL_WINDOW_SIZE: 1})
    client.opens = False
    stream = client.open(target="/large")
    begun = time.monotonic()
    while not stream.is_over and time.monotonic() < begun + 5:
        client.open_window(stream, 1)
        client.ping()
        time.sleep(0.05)
    assert stream.is_over and not stream.complete


def test_content_that_never_comes_is_waited_for_as_long_as_over_http1(beset):
    client = beset.http2()
    asked = [client.open("POST", ends=False) for _ in range(100)]
    client.wait(lambda: all(stream.is_over for stream in asked))
    assert {stream.status for stream in asked} == {408}
    eventually(lambda: beset.told.metric("limpet_backend_requests_in_flight", backend="a") == 0)


def trickle(client, data, pause=0.03):
    """Sends byte by byte until the other side closes; whether it does."""
    end = time.monotonic() + 5
    for byte in data:
        try:
            client.send(bytes([byte]))
            if not client.is_silent(pause):
                return True
        except (Closed, OSError):
            return True
        if time.monotonic() > end:
            return False
    return client.is_closed()


def test_a_preface_that_trickles_in_is_not_waited_for(beset):
    client = beset.http2(begins=False)
    assert trickle(client, PREFACE + frame(SETTINGS) * 10, pause=0.06)
    assert beset.other.get().status == 200


def test_a_head_that_trickles_in_is_not_waited_for(beset):
    client = beset.http2()
    client.ping()
    client.buffer.clear()
    assert trickle(client, frame(HEADERS, END_HEADERS | END_STREAM, 1, HEAD + literal("x", "y" * 100)))
    assert client.goodbye() == ENHANCE_YOUR_CALM


def test_a_head_that_stops_is_not_waited_for(beset):
    may_answer = threading.Event()
    beset.backend.handler = lambda connection, request: may_answer.wait(30)
    try:
        client = beset.http2()
        client.opens = False  # nothing may come in between
        other = client.open()
        client.ping()
        client.send_frame(HEADERS, END_STREAM, next(client.numbers), HEAD)
        assert client.goodbye() == ENHANCE_YOUR_CALM
        assert not other.complete
    finally:
        may_answer.set()
        beset.backend.handler = serve


# What others notice.


@pytest.fixture
def limpets(scene, patient_server, certificate):  # noqa: F811
    """The one that is going to be beset, and the other."""
    def start():
        listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}"},
                     {"name": "tls", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(certificate)}]
        return scene.start(settings([patient_server], listeners=listeners, status=status_table(), log={"access": "off"}))
    return start(), start()


@contextlib.contextmanager
def attackers(limpet, names, listener):
    """One for each of these attacks, who comes back after he is cut: a second later, or several, for they are in one process with who measures."""
    ended = threading.Event()

    def live(pieces):
        while not ended.wait(len(names)):
            attack(limpet, pieces, listener).close()
    threads = [threading.Thread(target=live, args=(ATTACKS[name][0],)) for name in names]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.soak
@pytest.mark.parametrize("name", ATTACKS)
def test_others_are_served_as_ever(limpets, name):
    with attackers(limpets[0], [name], "plain"):
        assert_others_are_served_as_ever(*limpets)


@pytest.mark.soak
@pytest.mark.parametrize("names", [
    ("rapid reset", "PING", "an HPACK bomb"),
    ("SETTINGS that change windows", "CONTINUATION without an end", "empty DATA"),
], ids=lambda names: names[0])
def test_others_are_served_as_ever_while_several_attack_over_tls(limpets, names):
    with attackers(limpets[0], names, "tls"):
        assert_others_are_served_as_ever(*limpets)
