"""Whatever a sound message holds, it arrives as it was sent: random requests and answers, framed, cut and pipelined at random."""

import os
import random

import pytest

from support.wire import chunked, head

SEED = int(os.environ.get("LIMPET_SEED", "20240607"))
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
VALUE = "".join(chr(octet) for octet in [9, *range(32, 127), *range(128, 256)])
WRITTEN_BY_LIMPET = {"host", "via", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "date", "connection",
                     "transfer-encoding", "content-length", "trailer", "set-cookie", "cache-control", "x-tag"}


def words(chance, alphabet, most):
    return "".join(chance.choice(alphabet) for _ in range(chance.randrange(most + 1)))


def random_fields(chance):
    fields = []
    for _ in range(chance.randrange(12)):
        name = chance.choice(["X-", "", "Accept", "C", "Cookie", "Te", "Hos", "Content-", "x-forwarded", "Vi"]) + words(chance, TOKEN, 12)
        if not name or name.lower() in WRITTEN_BY_LIMPET | {"te", "upgrade", "keep-alive", "proxy-connection", "expect", "forwarded", "x-real-ip", "max-forwards",
                                                             "http2-settings"} or name.lower().startswith(("x-forwarded", "cookie")):
            continue
        fields.append((name, words(chance, VALUE, chance.choice([0, 3, 40, 2000])).strip(" \t")))
    return fields


def lines(chance, fields):
    return [name + ":" + chance.choice(["", " ", "  ", "\t"]) + value + chance.choice(["", " ", "\t"]) for name, value in fields]


def random_body(chance):
    """(framing fields, bytes on the wire, body, trailers)"""
    kind = chance.choice(["none", "length", "chunked", "chunked"])
    body = chance.randbytes(chance.choice([0, 1, 10, 1000, 5000, 70_000])) if kind != "none" else b""
    if kind == "none":
        return [], b"", b"", []
    if kind == "length":
        return [f"Content-Length: {len(body)}"], body, body, []
    trailers = [(f"X-T{index}", words(chance, "abc", 5)) for index in range(chance.choice([0, 0, 1, 3]))]
    pieces, at = [], 0
    while at < len(body):
        size = chance.choice([1, 7, 100, 4096, 100_000])
        pieces.append(body[at:at + size])
        at += size
        if len(pieces) > 50:
            pieces.append(body[at:])
            break
    return ["Transfer-Encoding: chunked"], chunked(*pieces, trailers=[f"{name}: {value}" for name, value in trailers]), body, trailers


def as_sent(fields):
    return [(name, value) for name, value in fields if name.lower() not in WRITTEN_BY_LIMPET]


def send_in_pieces(chance, wire, data):
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.choice([0, 1, 5])))
    wire.send(*(data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)])), pause=chance.choice([0, 0, 0.001]))


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("affinity", ["ip", "cookie"])
def test_random_requests_and_answers_arrive_as_they_were_sent(scene, affinity, part):
    print(f"LIMPET_SEED={SEED}")
    chance = random.Random(SEED * 10 + part)
    answers = {"first": [head("HTTP/1.1 200 OK", ["Content-Length: 0"])]}

    def handler(connection, request):
        connection.read_body()
        connection.send(*answers[request.get("X-Tag")])

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], pool={"affinity": [affinity]}, limits={"head": "64KiB"})
    cookies = limpet.get("/", "X-Tag: first").all("Set-Cookie")
    own = cookies[0].partition(";")[0] if cookies else None
    for turn in range(12):
        client = limpet.client()
        expected, sent = [], b""
        for index in range(chance.randrange(1, 6)):
            tag = f"{part}-{turn}-{index}"
            fields, (framing, wire_body, body, trailers) = random_fields(chance), random_body(chance)
            jar = [f"c{number}={words(chance, TOKEN, 8)}" for number in range(chance.randrange(3))]
            method, target = chance.choice(["GET", "POST", "PUT", "REPORT"]), "/" + words(chance, TOKEN.replace("#", "").replace("`", "").replace("^", "").replace("|", ""), 30)
            with_own = jar + ([own] if own else [])
            chance.shuffle(with_own)
            extra = [f"X-Tag: {tag}"] + (["Cookie: " + "; ".join(with_own)] if with_own else [])
            sent += head(f"{method} {target} HTTP/1.1", ["Host: app.test", *lines(chance, fields), *framing, *extra]) + wire_body

            answer_fields, (answer_framing, answer_wire, answer_body, answer_trailers) = random_fields(chance), random_body(chance)
            status = chance.choice([200, 201, 302, 404, 500])
            if not answer_framing:
                answer_framing = ["Content-Length: 0"]
            data = head(f"HTTP/1.1 {status} Fine", [*lines(chance, answer_fields), *answer_framing]) + answer_wire
            cut = chance.randrange(len(data) + 1)
            answers[tag] = [data[:cut], data[cut:]]
            ordered = [pair for pair in with_own if pair != own]
            expected.append(((tag, method, target, fields, body, trailers, ordered), (status, answer_fields, answer_body, answer_trailers)))
        send_in_pieces(chance, client, sent)
        for (tag, method, target, fields, body, trailers, jar), (status, answer_fields, answer_body, answer_trailers) in expected:
            response = client.read_response(method)
            request = next(request for request in reversed(a.requests) if request.get("X-Tag") == tag)
            assert (request.method, request.target, bytes(request.body), request.trailers) == (method, target, body, trailers)
            assert [field for field in as_sent(request.fields) if field[0] != "Cookie"] == fields
            assert request.all("Cookie") == (["; ".join(jar)] if jar else [])
            assert (response.status, bytes(response.body), response.trailers) == (status, answer_body, answer_trailers)
            assert as_sent(response.fields) == answer_fields
        client.close()
    assert len(a.connections) < 60


# Heads that grow on their way: what is added depends on what came, and there is no end to how that can be arranged.


@pytest.mark.parametrize("size", [10, 1000, 30_000])
@pytest.mark.parametrize("style", ["x-forwarded", "both"])
@pytest.mark.parametrize("trusted", [[], ["127.0.0.1"]], ids=["untrusted", "trusted"])
def test_a_request_that_grows_as_much_as_it_can_arrives_whole(scene, size, style, trusted):
    backends = [scene.backend("a"), scene.backend("b")]
    limpet = scene.limpet(backends, pool={"affinity": ["cookie"]}, listener={"forwarded": style, "trusted_proxies": trusted},
                          limits={"head": "256KiB", "target": "64KiB", "headers": 10_000})
    own = limpet.get().all("Set-Cookie")[0].partition(";")[0]
    host = "h" * size
    requests = {
        "tiny cookies": head("GET / HTTP/1.1", ["Host: h", "Cookie: " + own + ";a" * size]),
        "many cookie lines": head("GET / HTTP/1.1", ["Host: h", *["Cookie:a;b;" + own] * (size // 100 + 1)]),
        "a long host": head("GET / HTTP/1.1", [f"Host: {host}"]),
        "a long authority": head(f"GET http://{host} HTTP/1.1", ["Host: x"]),
        "a long IPv6 host": head("GET / HTTP/1.1", ["Host: [" + "1:" * (size // 2) + "]:80"]),
        "an absolute form without a path": head("GET http://h?q HTTP/1.1", ["Host: x"]),
        "many proxies": head("GET / HTTP/1.1", ["Host: h", *["X-Forwarded-For:1.1.1.1"] * (size // 100 + 1), *["Forwarded:for=1.1.1.1"] * (size // 100 + 1)]),
        "a long proto": head("GET / HTTP/1.1", ["Host: h", "X-Forwarded-Proto: " + "p" * size, f"X-Forwarded-Host: {host}", f"Upgrade: {host}", "Connection: upgrade"]),
        "many hops": head("OPTIONS / HTTP/1.1", ["Host: h", *["Max-Forwards:9"] * (size // 100 + 1)]),
    }
    for name, data in requests.items():
        client = limpet.client()
        client.send(data)
        response = client.read_response()
        assert response.status in (200, 400), name
        client.close()
    assert limpet.get("/after").status == 200


@pytest.mark.parametrize("size", [10, 1000, 30_000])
def test_an_answer_that_grows_as_much_as_it_can_arrives_whole(scene, size):
    a = scene.backend("a", lambda connection, request: connection.reply(fields=["Cache-Control: " + ",".join("a" * size)] + ["Cache-Control:b"] * (size // 100)))
    limpet = scene.limpet([a], pool={"affinity": ["cookie"], "cookie": {"attributes": ["X=" + "y" * 2000]}})
    response = limpet.get()
    assert response.tokens("Cache-Control") == ["a"] * size + ["b"] * (size // 100) + ["private"]
    assert response.set_cookies["limpet_app"][1]["x"] == "y" * 2000
