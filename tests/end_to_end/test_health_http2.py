"""Health checks of pools whose backends speak HTTP/2: seen from clients and the status endpoint."""

import ssl

import pytest

from support.backend import answer_by_name
from support.status import Status, status_table
from support.tls import make
from support.wire import eventually

# An interval is also what an answer may take, on a machine that is busy.
OFTEN = {"interval": "400ms", "fast_interval": "50ms", "rise": 2, "fall": 2}
CHECK = {"check": "http", "path": "/healthz", **OFTEN}
GRPC = {"check": "grpc", **OFTEN}


TYPE = ("content-type", "application/grpc")
STATUSES = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}


def answers(**how):
    return lambda connection: connection.reply(**how)


class Checked:
    """Answers checks as `health` does, and everything else with the backend's name."""

    def __init__(self):
        self.health = self.well = answers(body=b"all well")

    def __call__(self, connection, request):
        if request.target == "/healthz":
            return self.health(connection)
        answer_by_name(connection, request)


class GrpcHealth:
    """Answers grpc.health.v1.Health/Check by `states`, a status for each service that it knows, and everything else with the backend's name."""

    def __init__(self, states):
        self.states = states
        self.asked = []

    def __call__(self, connection, request):
        if request.target != "/grpc.health.v1.Health/Check":
            return answer_by_name(connection, request)
        assert (request.method, request.get("content-type"), request.get("te")) == ("POST", "application/grpc", "trailers")
        asked = connection.read_body()
        assert asked[0] == 0 and int.from_bytes(asked[1:5], "big") == len(asked) - 5
        message = asked[5:]
        assert not message or (message[0] == 0x0A and message[1] == len(message) - 2)
        service = message[2:].decode()
        self.asked.append(service)
        state = self.states.get(service)
        if state is None:
            return connection.reply(200, [TYPE, ("grpc-status", "5"), ("grpc-message", "unknown service")])
        connection.reply(200, [TYPE], b"\0\0\0\0\x02\x08" + bytes([STATUSES[state]]), trailers=[("grpc-status", "0")])


def without_health(connection, request):
    connection.reply(200, [TYPE, ("grpc-status", "12")])


def started(scene, *handlers, context=None, **pool):
    backends = [scene.http2_backend(name, handler, tls=context) for name, handler in zip("ab", handlers)]
    limpet = scene.limpet(backends, pool={"protocol": "h2", **pool}, status=status_table())
    return limpet, Status(limpet), backends


@pytest.fixture
def server_context(tmp_path):
    authority = make(tmp_path, "ca", names=(), is_authority=True)
    certificate = make(tmp_path, "server", names=("127.0.0.1",), authority=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    context.authority = authority.file
    return context


@pytest.mark.parametrize("by_tls", [False, True], ids=["clear", "tls"])
def test_a_check_by_http2_takes_a_backend_down_until_its_answers_are_good(scene, server_context, by_tls):
    how = {"context": server_context, "tls": {"ca": server_context.authority}} if by_tls else {}
    limpet, status, (a, b) = started(scene, Checked(), Checked(), health={**CHECK, "body": "well"}, **how)
    browser = limpet.browser_at("a")
    eventually(lambda: a.checks, what="a check")
    check = a.checks[0]
    assert check.pseudo == {":method": "GET", ":scheme": "https" if by_tls else "http", ":authority": a.address, ":path": "/healthz"}
    all_bad = [(answers(status=500), "answered 500"), (answers(body=b"lost"), "body"),
               (lambda connection: connection.reset(2), "RST_STREAM, INTERNAL_ERROR"),
               (lambda connection: connection.go_away(11), "GOAWAY, ENHANCE_YOUR_CALM")]
    for bad, why in all_bad[-1:] if by_tls else all_bad:
        a.handler.health = bad
        down = status.wait_for_state("a", "down")
        assert down["cause"] == "checks" and why in down["why"]
        a.handler.health = a.handler.well
        status.wait_for_state("a", "up")
    assert browser.get().text == "a", "nobody came meanwhile: the session recovered"


@pytest.mark.parametrize("asks", [answers(fields=[("x-limpet-state", "drain")]), answers(status=503)], ids=["header", "status"])
def test_an_answer_by_http2_can_ask_for_a_drain_and_end_it(scene, asks):
    limpet, status, (a, b) = started(scene, Checked(), Checked(), health={**CHECK, "drain_status": [503]})
    browser = limpet.browser_at("a")
    a.handler.health = asks
    status.wait_for_state("a", "draining")
    assert {limpet.browser().get().text for _ in range(6)} == {"b"}, "it got a new session"
    assert browser.get().text == "a", "its own session had to move"
    a.handler.health = a.handler.well
    status.wait_for_state("a", "up")


def test_grpc_health_decides_for_the_service_that_is_asked_for(scene):
    one, other = GrpcHealth({"shop.Cart": "SERVING", "": "NOT_SERVING"}), GrpcHealth({"shop.Cart": "SERVING"})
    limpet, status, (a, b) = started(scene, one, other, health={**GRPC, "service": "shop.Cart"})
    assert {limpet.browser().get().text for _ in range(6)} == {"a", "b"}
    for state, why in [("NOT_SERVING", "answered NOT_SERVING"), ("UNKNOWN", "answered UNKNOWN"), ("SERVICE_UNKNOWN", "answered SERVICE_UNKNOWN"),
                       (None, "NOT_FOUND: it does not know the service")]:
        one.states["shop.Cart"] = state
        down = status.wait_for_state("a", "down")
        assert down["cause"] == "checks" and f"grpc.health.v1 of shop.Cart: {why}" in down["why"].replace("answered the grpc-status ", "")
        assert {limpet.browser().get().text for _ in range(4)} == {"b"}
        one.states["shop.Cart"] = "SERVING"
        status.wait_for_state("a", "up")
    assert set(one.asked) == {"shop.Cart"}


def test_grpc_health_is_asked_of_the_server_as_a_whole_where_no_service_is_named(scene):
    health = GrpcHealth({"": "SERVING"})
    limpet, status, (a, b) = started(scene, health, without_health, health=GRPC)
    assert "UNIMPLEMENTED: it does not serve grpc.health.v1" in status.wait_for_state("b", "down")["why"]
    assert status.backend("a")["state"] == "up"
    eventually(lambda: len(health.asked) >= 3)
    assert set(health.asked) == {""}


@pytest.mark.parametrize("health", [CHECK, GRPC, {}], ids=["http", "grpc", "none"])
def test_a_backend_that_speaks_http1_alone_is_down_once_it_is_asked(scene, health):
    a = scene.backend("a")
    limpet = scene.limpet([a], pool={"protocol": "h2", "health": {"fast_interval": "50ms", **health}}, status=status_table())
    status = Status(limpet)
    if not health:  # it is asked once a request has failed
        assert limpet.get().status == 502
    assert "the backend does not speak HTTP/2" in status.wait_for_state("a", "down")["why"]
    limpet.says("the backend does not speak HTTP/2")
    assert limpet.get().status == 503
    a.stop()
    a.errors.clear()  # it was asked by HTTP/2


def test_a_backend_without_a_check_is_asked_by_http2_once_a_request_has_failed(scene):
    limpet, status, (a,) = started(scene, lambda connection, request: connection.reset(2) if request.method == "GET" else connection.reply())
    assert limpet.get().status == 502
    eventually(lambda: a.checks, what="a check")
    assert (a.checks[0].method, a.checks[0].target) == ("HEAD", "/")
    assert status.backend("a")["state"] == "up"
