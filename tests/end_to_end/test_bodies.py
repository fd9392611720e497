"""Bodies by length, in chunks and until close, both ways, whatever their size (RFC 9112, sections 6 and 7)."""

import hashlib
import threading
import time

import pytest

from support.client import request_bytes
from support.limpet import is_sanitized
from support.transport import HTTP2, by_each_version
from support.wire import Closed, head

MEGABYTE = 1_000_000


def echo(connection, request):
    connection.reply(body=connection.read_body())


@pytest.fixture(scope="module")
def echoing(shared_scene):
    backend = shared_scene.backend("echo", echo)
    limpet = shared_scene.limpet([backend])
    limpet.backend = backend
    return limpet


SIZES = [0, 1, 15, 16, 17, 255, 4095, 4096, 16384, 65535, 65536, 65537, MEGABYTE]


def pattern(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_by_length_arrives_whole_both_ways(echoing, size):
    body = pattern(size)
    response = echoing.request("POST", "/", body=body)
    assert bytes(echoing.backend.last.body) == body and bytes(response.body) == body
    assert echoing.backend.last.get("Content-Length") == str(size)
    assert response.framing == "length"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1, 7, 4096, 70000])
def test_a_body_in_chunks_arrives_whole(echoing, size, piece):
    if size // piece > 5000:
        size = 5000 * piece
    body = pattern(size)
    pieces = [body[at:at + piece] for at in range(0, size, piece)]
    response = echoing.request("POST", "/", chunks=pieces)
    assert bytes(echoing.backend.last.body) == body and bytes(response.body) == body


@by_each_version
@pytest.mark.parametrize("sizes", [[], [1], [5, 3], [1] * 300, [70000, 1, 70000], [MEGABYTE]])
def test_an_answer_in_chunks_arrives_whole(scene, sizes, version):
    pieces = [pattern(size) for size in sizes]
    a = scene.backend("a", lambda connection, request: connection.reply(chunks=pieces))
    client = scene.limpet([a]).client_by(version)
    for _ in range(2):
        response = client.get()
        assert bytes(response.body) == b"".join(pieces)
        assert version == HTTP2 or response.framing == "chunked"
    assert len(a.connections) == 1


@by_each_version
def test_an_answer_until_close_arrives_whole_and_its_end_is_told(scene, version):
    # Towards a 1.1 client the end of the body must be told apart from a cut: by chunks, or by close.
    def handler(connection, request):
        connection.reply(body=pattern(100_000), length=False)
        connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    for _ in range(2):
        client = limpet.client_by(version)
        response = client.get()
        assert bytes(response.body) == pattern(100_000)
        assert version == HTTP2 or response.framing == "chunked" or client.is_closed()
    assert len(a.connections) == 2


def test_the_chunks_of_an_answer_are_forwarded_as_they_come(scene):
    go_on = threading.Event()

    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]) + b"5\r\nfirst\r\n")
        go_on.wait(5)
        connection.send(b"6\r\nsecond\r\n0\r\n\r\n")

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes())
    response = client.read_head()
    pieces = client.body_pieces(response, "chunked")
    assert next(pieces) == b"first"
    go_on.set()
    assert b"".join(pieces) == b"second"


def test_a_requests_body_is_forwarded_as_it_comes(scene):
    first_piece, rest = [], threading.Event()

    def handler(connection, request):
        pieces = connection.body_pieces(request, "length")
        first_piece.append(next(pieces))
        rest.set()
        body = first_piece[0] + b"".join(pieces)
        connection.reply(body=body)

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    data = request_bytes("POST", body=b"firstsecond")
    client.send(data[:-6])
    assert rest.wait(5), "the backend did not see the first piece before the second was sent"
    assert first_piece == [b"first"]
    client.send(data[-6:])
    assert client.read_response().text == "firstsecond"


EXTENSIONS = [b";a=b;c=d", b';a="d\\"e"', b" ;a=b", b"; a = b", b' ; a = "b c" ;d', b"  ", b"\t"]


def with_extensions(extension):
    return b"5" + extension + b"\r\nhello\r\n1" + extension + b"\r\n!\r\n0" + extension + b"\r\n\r\n"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_requests_chunk_extensions_are_taken_as_rfc_9112_7_1_1_writes_them_and_go_no_further(scene, extension):
    """nginx 1.22 and HAProxy 2.6 skip whatever stands behind a chunk's size, also what is no extension (`;;a`, a quote left open): that
    is refused here."""
    a = scene.backend("a", echo)
    a.records_bytes = True
    client = scene.limpet([a]).client()
    for _ in range(2):
        client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]) + with_extensions(extension))
        assert client.read_response().text == "hello!"
    assert extension + b"\r\n" not in a.connections[0].received
    assert len(a.connections) == 1


@by_each_version
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_answers_chunk_extensions_are_taken_as_rfc_9112_7_1_1_writes_them_and_go_no_further(scene, extension, version):
    """As nginx and HAProxy do, and they skip what is no extension as well."""
    a = scene.backend("a", lambda connection, request: connection.send(
        head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]) + with_extensions(extension)))
    client = scene.limpet([a]).client_by(version)
    for _ in range(2):
        if version == HTTP2:
            assert client.get().text == "hello!"
            continue
        client.send(request_bytes())
        raw = client.read_until(b"0\r\n\r\n")
        assert b"hello" in raw and extension + b"\r\n" not in raw
    assert len(a.connections) == 1


def test_the_extensions_of_a_whole_request_are_bounded_as_rfc_9112_7_1_1_asks(echoing):
    """1,024 chunks with 4,000 bytes each passed, since each was bounded for itself. In nginx 1.22 and HAProxy 2.6
    they pass without a bound."""
    client = echoing.client()
    client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
    for _ in range(5):
        client.send(b"1;" + b"x" * 4000 + b"\r\na\r\n")
    assert client.read_response().status == 400
    assert client.is_closed()


def test_chunk_sizes_may_be_upper_case_and_have_leading_zeros(echoing):
    client = echoing.client()
    client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]) + b"000A\r\n0123456789\r\n0a\r\n0123456789\r\n0\r\n\r\n")
    assert client.read_response().text == "0123456789" * 2


def test_a_transfer_coding_may_be_written_in_any_case(echoing):
    client = echoing.client()
    client.send(request_bytes("POST", fields=["transfer-encoding: CHUNKED"]) + b"5\r\nhello\r\n0\r\n\r\n")
    assert client.read_response().text == "hello"


def test_a_chunked_body_cut_at_any_byte_arrives_whole(echoing):
    data = request_bytes("POST", chunks=[b"hello", b"x" * 17, b"world"], fields=["Connection: close"])
    for cut in range(data.index(b"\r\n\r\n"), len(data)):
        client = echoing.client()
        client.send(data[:cut], data[cut:], pause=0.001)
        assert client.read_response().text == "hello" + "x" * 17 + "world"
        client.close()


@by_each_version
def test_an_answer_cut_at_any_byte_arrives_whole(scene, version):
    data = head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"

    def handler(connection, request):
        cut = int(request.target[1:])
        connection.send(data[:cut], data[cut:], pause=0.001)

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client_by(version)
    for cut in range(1, len(data)):
        assert client.get(f"/{cut}").text == "hello" + "x" * 17
    assert len(a.connections) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_any_method_may_have_a_body(echoing, method):
    assert echoing.request(method, "/", body=b"a body").text == "a body"
    assert echoing.backend.last.method == method


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_request_without_framing_has_no_body(echoing, method):
    # RFC 9112, section 6.3, point 6 (requests): length zero. The backend would wait forever if a body were announced.
    assert echoing.request(method, "/").text == ""
    assert echoing.backend.last.framing == "none" or echoing.backend.last.get("Content-Length") == "0"


def test_equal_content_lengths_are_one(echoing):
    # Refusing them is allowed as well (RFC 9112, section 6.3): what may not happen is that both lines are forwarded.
    client = echoing.client()
    client.send(head("POST / HTTP/1.1", ["Host: app.test", "Content-Length: 5", "Content-Length: 5"]) + b"hello")
    response = client.read_response()
    if response.status == 200:
        assert echoing.backend.last.get("Content-Length") == "5"
    else:
        assert response.status == 400 and client.is_closed()


# Trailers (RFC 9110, section 6.5).


def test_a_requests_trailers_reach_the_backend(echoing):
    assert echoing.request("POST", "/", ["Trailer: X-Sum"], chunks=[b"hello"], trailers=["X-Sum: 42", "X-More: yes"]).text == "hello"
    assert echoing.backend.last.trailers == [("X-Sum", "42"), ("X-More", "yes")]
    assert not echoing.backend.last.has("X-Sum")


def test_an_answers_trailers_reach_the_client(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(
        fields=["Trailer: X-Sum"], chunks=[b"hello"], trailers=["X-Sum: 42", "X-More: yes"]))
    client = scene.limpet([a]).client()
    for _ in range(2):
        response = client.get("/", "TE: trailers")
        assert response.text == "hello"
        assert response.trailers == [("X-Sum", "42"), ("X-More", "yes")]
        assert not response.has("X-Sum")


HEADS_ALONE = ["Content-Length: 9", "Host: x", "Cookie: a=b", "Authorization: b", "Content-Type: c", "Content-Encoding: d", "X-Forwarded-For: 6.6.6.6",
               "X-Real-IP: 6.6.6.6", "Set-Cookie: a=b", "Via: 1.1 x"]


@by_each_version
def test_trailers_carry_nothing_that_frames_routes_identifies_or_describes_rfc_9110_6_5_1(scene, version):
    """HAProxy 2.6 passes them all on, nginx 1.22 no trailers at all."""
    def handler(connection, request):
        connection.read_body()
        connection.reply(chunks=[b"hello"], trailers=[*HEADS_ALONE, "X-Sum: 42"])

    a = scene.backend("a", handler)
    client, trailers = scene.limpet([a]).client_by(version), [*HEADS_ALONE, "X-Sum: 42"]
    if version == HTTP2:
        response = client.open("POST", "/", ["TE: trailers"], b"hello", ends=False)
        response.send_trailers(trailers[1:])  # a length that is not the content's is malformed
        response.answer()
    else:
        response = client.request("POST", "/", ["TE: trailers"], chunks=[b"hello"], trailers=trailers)
    assert [(name.lower(), value) for name, value in a.last.trailers + response.trailers] == [("x-sum", "42")] * 2


def test_a_trailer_cannot_change_the_framing_or_the_next_request(echoing):
    client = echoing.client()
    client.send(request_bytes("POST", chunks=[b"hello"], trailers=["Content-Length: 40", "Transfer-Encoding: chunked"]) + request_bytes("POST", "/next", body=b"next"))
    first = client.read_response()
    if first.status == 200:
        assert first.text == "hello"
        assert client.read_response().text == "next"
    else:
        assert first.status == 400 and client.is_closed()


# Large bodies: streamed, whole, and in bounded memory.

LARGE = 50 * MEGABYTE
BLOCK = pattern(MEGABYTE)
MEMORY_BOUND_KIB = 24 * 1024 if not is_sanitized() else 160 * 1024


def digest_of_large():
    digest = hashlib.sha256()
    for _ in range(50):
        digest.update(BLOCK)
    return digest.hexdigest()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_fifty_megabytes_to_a_slow_backend_are_streamed_in_bounded_memory(scene, framing):
    digests = []

    def handler(connection, request):
        digest, seen = hashlib.sha256(), 0
        time.sleep(0.3)  # the client writes as fast as it can meanwhile
        for piece in connection.body_pieces(request, request.body_framing()):
            digest.update(piece)
            before, seen = seen, seen + len(piece)
            if before // (5 * MEGABYTE) != seen // (5 * MEGABYTE):
                time.sleep(0.02)
        digests.append((seen, digest.hexdigest()))
        connection.reply(body=b"done")

    a = scene.backend("a", handler)
    a.records_bytes = False
    limpet = scene.limpet([a])
    before = limpet.status("VmRSS")
    client = limpet.client()
    client.sock.settimeout(30)
    if framing == "length":
        client.send(request_bytes("POST", fields=[f"Content-Length: {LARGE}"]))
        for _ in range(50):
            client.send(BLOCK)
    else:
        client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
        for _ in range(50):
            client.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
        client.send(b"0\r\n\r\n")
    assert client.read_response().text == "done"
    assert digests == [(LARGE, digest_of_large())]
    assert limpet.status("VmHWM") - before < MEMORY_BOUND_KIB


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_fifty_megabytes_to_a_slow_client_are_streamed_in_bounded_memory(scene, framing):
    def handler(connection, request):
        connection.sock.settimeout(30)
        if framing == "chunked":
            connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]))
        else:
            connection.send(head("HTTP/1.1 200 OK", [f"Content-Length: {LARGE}"] if framing == "length" else []))
        for _ in range(50):
            connection.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n" if framing == "chunked" else BLOCK)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        elif framing == "close":
            connection.finish()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    before = limpet.status("VmRSS")
    client = limpet.client()
    client.send(request_bytes())
    response = client.read_head()
    time.sleep(0.3)  # the backend writes as fast as it can meanwhile
    digest, seen = hashlib.sha256(), 0
    for piece in client.body_pieces(response, response.body_framing()):
        digest.update(piece)
        before_piece, seen = seen, seen + len(piece)
        if before_piece // (5 * MEGABYTE) != seen // (5 * MEGABYTE):
            time.sleep(0.02)
    assert (seen, digest.hexdigest()) == (LARGE, digest_of_large())
    assert limpet.status("VmHWM") - before < MEMORY_BOUND_KIB


def test_a_backend_that_does_not_read_holds_the_client_back(scene):
    may_read = threading.Event()

    def handler(connection, request):
        may_read.wait(10)
        count = sum(len(piece) for piece in connection.body_pieces(request, "length"))
        connection.reply(body=str(count).encode())

    a = scene.backend("a", handler)
    a.records_bytes = False
    client = scene.limpet([a]).client()
    client.send(request_bytes("POST", fields=[f"Content-Length: {LARGE}"]))
    a.wait_for_requests(1)
    client.sock.settimeout(0.4)
    sent = 0
    try:
        while sent < LARGE:
            sent += client.sock.send(BLOCK[:min(len(BLOCK), LARGE - sent)])
    except TimeoutError:
        pass
    assert sent < LARGE, "Limpet took all of a body that its backend did not read"
    client.sock.settimeout(30)
    may_read.set()
    while sent < LARGE:
        sent += client.sock.send(BLOCK[:min(len(BLOCK), LARGE - sent)])
    assert client.read_response().text == str(LARGE)


def test_a_client_that_does_not_read_holds_the_backend_back(scene):
    sent = []

    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", [f"Content-Length: {LARGE}"]))
        connection.sock.settimeout(0.4)
        count = 0
        try:
            while count < LARGE:
                count += connection.sock.send(BLOCK[:min(len(BLOCK), LARGE - count)])
        except TimeoutError:
            pass
        sent.append(count)
        connection.close()

    a = scene.backend("a", handler)
    client = scene.limpet([a]).client()
    client.send(request_bytes())
    client.read_head()
    while not sent:
        time.sleep(0.01)
    assert sent[0] < LARGE, "Limpet took all of a body that its client did not read"


def test_an_echo_of_both_directions_at_once_does_not_deadlock(scene):
    # Backend and client both write before they read: whoever waits for one direction to end stops the other.
    def handler(connection, request):
        connection.send(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]))
        for piece in connection.body_pieces(request, "chunked"):
            connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        connection.send(b"0\r\n\r\n")

    a = scene.backend("a", handler)
    a.records_bytes = False
    client = scene.limpet([a]).client()

    def write():
        client.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
        for _ in range(10):
            client.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
        client.send(b"0\r\n\r\n")

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        assert len(client.read_response().body) == 10 * MEGABYTE
    except Closed as closed:
        pytest.fail(f"cut after {len(closed.message.body)} bytes")
    writer.join(5)
