"""A backend that talks nonsense is 502, and never spoils another exchange (RFC 9112, sections 5, 6.3 and 8), whatever its client speaks."""

import json

import pytest

from support.transport import HTTP2, by_each_version
from support.wire import head

OK = b"HTTP/1.1 200 OK\r\n"

NONSENSE = {
    "garbage": b"garbage\r\n\r\n",
    "binary": bytes(range(128, 256)) * 4,
    "NULs": b"\x00" * 100,
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "HTTP/0.9": b"<html>hello</html>",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version in lower case": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "field without a colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "field without a name": OK + b": x\r\nContent-Length: 0\r\n\r\n",
    "space in a name": OK + b"X y: z\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": OK + b"X\x00: z\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "CR in a value": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "CR in a name": OK + b"X\rY: a\r\nContent-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "list of lengths": OK + b"Content-Length: 1, 2\r\n\r\nxx",
    "length with a plus sign": OK + b"Content-Length: +1\r\n\r\nx",
    "length with a minus sign": OK + b"Content-Length: -1\r\n\r\nx",
    "length of letters": OK + b"Content-Length: abc\r\n\r\nx",
    "empty length": OK + b"Content-Length:\r\n\r\nx",
    "length beyond 64 bits": OK + b"Content-Length: 18446744073709551617\r\n\r\nx",
    "endless head": OK + b"X-Large: " + b"x" * 2_000_000,
    "endless status line": b"HTTP/1.1 200 " + b"x" * 2_000_000,
    "endless fields": OK + b"X: y\r\n" * 300_000,
    "unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "chunked in quotes": OK + b'Transfer-Encoding: "chunked"\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
}


def sending(data):
    def handler(connection, request):
        connection.read_body()
        if request.target == "/good":
            return connection.reply(body=b"good")
        try:
            connection.send(data)
        except OSError:
            pass
        connection.finish()
    return handler


@pytest.fixture(scope="module")
def table(shared_scene):
    """One backend that answers /NAME with NONSENSE[NAME]."""
    names = list(NONSENSE)

    def handler(connection, request):
        if request.target in ("/good", "/"):  # the latter is asked by Limpet, after an answer that was none
            return connection.reply(body=b"good")
        return sending(NONSENSE[names[int(request.target[1:])]])(connection, request)

    backend = shared_scene.backend("a", handler)
    limpet = shared_scene.limpet([backend])
    limpet.backend = backend
    return limpet


@by_each_version
@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_502_and_the_client_goes_on(table, name, version):
    target = f"/{list(NONSENSE).index(name)}"
    client = table.client_by(version)
    assert client.get("/good").text == "good"
    count = len(table.backend.requests)
    response = client.get(target)
    assert response.status == 502, response.fields
    assert [request.target for request in table.backend.requests[count:] if request.target != "/"] == [target], "a request that was answered was sent again"
    if "close" in response.tokens("Connection") and version != HTTP2:
        assert client.is_closed()
    else:
        assert client.get("/good").text == "good"
    assert table.get("/good").text == "good"


# What a proxy may repair or refuse, but not forward as it is.

REPAIRABLE = {
    "space before a colon": OK + b"Content-Length: 1\r\nX-Odd : yes\r\n\r\nx",       # RFC 9112, 5.1: remove it
    "folded field": OK + b"Content-Length: 1\r\nX-Odd: yes\r\n more\r\n\r\nx",     # 5.2: replace or 502
    "length and chunked": OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",  # 6.3: chunked wins, length goes
    "equal lengths": OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "list of equal lengths": OK + b"Content-Length: 1, 1\r\n\r\nx",
    "LF line ends": b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
}


@by_each_version
@pytest.mark.parametrize("name", REPAIRABLE)
def test_an_answer_that_can_be_repaired_is_repaired_or_502(scene, name, version):
    a = scene.backend("a", sending(REPAIRABLE[name]))
    limpet = scene.limpet([a])
    client = limpet.client_by(version)
    response = client.get("/odd")
    if response.status == 200:
        assert response.text == "x"
        if version == HTTP2:
            assert len(response.all("Content-Length")) <= 1 and not response.has("Transfer-Encoding")
        else:
            assert len(response.all("Content-Length") + response.all("Transfer-Encoding")) == 1
            assert b" :" not in response.raw_head and b"\r\n " not in response.raw_head
        assert response.all("X-Odd") in ([], ["yes"], ["yes more"])
    else:
        assert response.status == 502
    assert limpet.get("/good").text == "good"


def test_the_log_says_at_debug_what_was_wrong_with_an_answer(scene):
    a = scene.backend("a", sending(NONSENSE["two lengths"]))
    limpet = scene.limpet([a], log={"level": "debug"})
    assert limpet.get("/odd").status == 502
    limpet.says(f"backend 127.0.0.1:{a.port}: more than one Content-Length")


def test_a_backend_that_closes_without_an_answer_is_502(scene):
    a = scene.backend("a", lambda connection, request: connection.finish())
    limpet = scene.limpet([a])
    assert limpet.request("POST", "/x", body=b"x").status == 502
    line = limpet.log_of("/x")[0]
    assert line["status"] == 502 and line["backend"] == "a" and line["end"] != "ok"


def test_a_backend_that_resets_without_an_answer_is_502(scene):
    a = scene.backend("a", lambda connection, request: (connection.read_body(), connection.reset()))
    assert scene.limpet([a]).request("POST", "/", body=b"x").status == 502


@by_each_version
@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200", OK, OK + b"Content-Length: 5\r\n", OK + b"Content-Length: 5\r\n\r"])
def test_a_backend_that_closes_in_mid_head_is_502(scene, part, version):
    a = scene.backend("a", sending(part))
    assert scene.limpet([a]).client_by(version).get().status == 502


@by_each_version
def test_a_backend_that_only_says_100_is_502(scene, version):
    a = scene.backend("a", sending(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert scene.limpet([a]).client_by(version).get().status == 502


BAD_CHUNKS = {
    "size that is no number": b"Z\r\nhello\r\n0\r\n\r\n",
    "no CRLF after the data": b"5\r\nhelloXX0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
}


@by_each_version
@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_in_an_answer_never_looks_like_its_end(scene, name, version):
    a = scene.backend("a", sending(head("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"]) + b"3\r\nabc\r\n" + BAD_CHUNKS[name]))
    limpet = scene.limpet([a])
    answer = limpet.client_by(version).try_request()
    assert answer is None or answer.status == 502 or not answer.complete
    assert limpet.get("/good").text == "good"


def test_a_502_tells_nothing_of_what_the_backend_said(scene):
    a = scene.backend("a", sending(b"HTTP/1.1 2OO secret\r\nX-Secret: 10.1.2.3\r\n\r\nsecret"))
    limpet = scene.limpet([a])
    response = limpet.get("/", "Accept: application/json")
    assert response.status == 502
    assert "secret" not in response.text and "10.1.2.3" not in response.text and a.address not in response.text
    assert json.loads(response.text)


@by_each_version
def test_a_thousand_interim_answers_do_not_hurt(scene, version):
    a = scene.backend("a", sending(head("HTTP/1.1 103 Early Hints", ["X: y"]) * 1000 + head("HTTP/1.1 200 OK", ["Content-Length: 4"]) + b"done"))
    response = scene.limpet([a]).client_by(version).get()
    assert response.status in (200, 502)
    if response.status == 200:
        assert response.text == "done" and len(response.interim) == 1000
