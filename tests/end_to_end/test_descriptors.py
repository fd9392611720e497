"""Out of descriptors: who is served goes on to be served, everybody else is refused and counted, and operators get in."""

import contextlib
import resource
import signal
import subprocess
import sys
import threading

import pytest

from support.client import request_bytes
from support.limpet import settings
from support.status import Status, status_table
from support.wire import Closed, eventually, free_port

LIMIT = 128
COOKIE = {"affinity": ["cookie"]}
# Connects and leaves, as fast as it can, until it is told to stop.
FLOOD = """
import socket, sys
count = 0
print(flush=True)
while True:
    peer = socket.socket()
    peer.settimeout(1)
    try:
        peer.connect(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        pass
    peer.close()
"""


@contextlib.contextmanager
def flooded(port, processes=2):
    """So many processes connect to this port and leave at once."""
    flood = [subprocess.Popen([sys.executable, "-c", FLOOD, str(port)], stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        for process in flood:
            process.stdout.readline()
        yield
    finally:
        for process in flood:
            process.kill()
            process.wait()


def is_served(client, target="/"):
    return client.get(target).status == 200


def newcomer(limpet):
    """A client that is let in and served, or None: it is refused."""
    try:
        client = limpet.client()
        return client if is_served(client) else None
    except (Closed, OSError):
        return None


def crowd(limpet, count=LIMIT):
    """Of so many clients that come and stay those that are let in."""
    return [client for client in (newcomer(limpet) for _ in range(count)) if client]


def start(scene, backends, **keys):
    keys = {"status": status_table(), **keys}
    limpet = scene.start(settings(backends, **keys), most_files=LIMIT)
    return limpet, Status(limpet)


def test_those_refused_are_counted_those_inside_are_served_and_so_is_everybody_afterwards(scene):
    limpet, status = start(scene, scene.backends(2))
    inside = crowd(limpet)
    refused = LIMIT - len(inside)
    assert 40 <= len(inside) <= LIMIT - 32
    assert all(is_served(client) for client in inside)
    report = status.report()
    assert (report["connections"], report["refused_connections"]) == (len(inside), refused)
    assert status.metric("limpet_client_connections_refused_total") == refused
    code, out, _ = status.command("status")
    assert code == 0 and f"({refused} REFUSED, out of descriptors)" in out
    limpet.says(f"raise the limit of open files, which is {LIMIT}")
    assert limpet.stderr.count("of clients refused") == 1
    for client in inside:
        client.close()
    eventually(lambda: status.report()["connections"] == 0)
    again = crowd(limpet, len(inside))
    assert len(again) == len(inside)
    assert status.report()["refused_connections"] == refused


@pytest.mark.parametrize("workers", [1, 2])
def test_two_processes_that_connect_and_leave_while_descriptors_are_out_harm_nobody(scene, tmp_path, workers):
    log = tmp_path / "access.log"
    pool = {"health": {"check": "tcp", "interval": "200ms"}}
    limpet, status = start(scene, scene.backends(2), workers=workers, pool=pool, log={"access": str(log)})
    inside = crowd(limpet)
    with flooded(limpet.address[1]):
        for _ in range(5):
            assert all(is_served(client) for client in inside)
            assert status.get("/healthz").status == 200
            assert status.report()["refused_connections"] > 0
        log.rename(tmp_path / "old.log")
        limpet.signal(signal.SIGUSR1)
        eventually(log.exists)
        assert is_served(inside[0], "/after")
        eventually(lambda: "/after" in log.read_text())
        limpet.config["listener"].append({"name": "other", "address": f"127.0.0.1:{free_port()}"})
        assert status.reload().status == 200
        assert all(is_served(client) for client in inside)
        assert [backend["state"] for backend in status.pool()["backends"]] == ["up", "up"]
        assert status.get("/incidents").json["incidents"] == []
        assert len(limpet.stderr) < 20_000
        limpet.signal(signal.SIGTERM)
        assert limpet.wait() == 0
    assert len(limpet.stderr) < 20_000


class Held:
    """A handler that answers once it is let go."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, connection, request):
        connection.read_body()
        if request.target == "/held":
            self.go.wait(20)
        connection.reply(body=connection.backend.name.encode())


def test_a_lack_of_descriptors_towards_backends_is_503_and_no_backends_fault(scene):
    held = Held()
    backends = scene.backends(2, handler=held)
    pool = {**COOKIE, "health": {"check": "tcp", "interval": "200ms"}, "passive": {"failures": 1}}
    limpet, status = start(scene, backends, pool=pool)
    browsers = [limpet.browser(keep_alive=True) for _ in range(50)]
    homes = [browser.get().text for browser in browsers]
    crowd(limpet)
    answers = [None] * len(browsers)

    def ask(index):
        answers[index] = browsers[index].get("/held")

    threads = [threading.Thread(target=ask, args=(index,), daemon=True) for index in range(len(browsers))]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(answer is not None for answer in answers) + sum(request.target == "/held" for backend in backends
                                                                             for request in backend.requests) == len(browsers))
    assert status.get("/healthz").status == 200
    report = status.report()
    held.go.set()
    for thread in threads:
        thread.join(10)
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 503} and statuses.count(200) >= LIMIT // 8 - len(backends)  # whose checks take one each, for a moment
    assert {line["end"] for line in limpet.log_of("/held", len(browsers)) if line["status"] == 503} == {"no_descriptors"}
    limpet.says("to backends not made")
    assert [backend["state"] for backend in report["pools"][0]["backends"]] == ["up", "up"]
    assert status.report()["incidents"] == []
    assert [browser.get().text for browser in browsers] == homes


def test_idle_connections_to_one_backend_keep_no_request_from_another(scene):
    held = Held()
    backends = scene.backends(2, handler=held)
    limpet, _ = start(scene, backends, pool=COOKIE)
    at_a, at_b = ([limpet.browser_at(name) for _ in range(30)] for name in "ab")
    for browser in [*at_a, *at_b]:
        browser.keep_alive = True
        browser.get()
    inside = crowd(limpet)
    assert inside
    threads = [threading.Thread(target=browser.get, args=("/held",), daemon=True) for browser in at_a]
    for thread in threads:
        thread.start()
    eventually(lambda: len(limpet.log(0)) + sum(request.target == "/held" for request in backends[0].requests) >= 30)
    held.go.set()
    for thread in threads:
        thread.join(10)
    taken = len(backends[0].open_connections)
    assert taken >= LIMIT // 16  # and as good as all that there are
    backends[1].drop_connections()
    assert {browser.get().text for browser in at_b} == {"b"}
    held.go.clear()
    threads = [threading.Thread(target=browser.get, args=("/held",), daemon=True) for browser in at_b[:LIMIT // 8]]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(request.target == "/held" for request in backends[1].requests) == LIMIT // 8)
    held.go.set()
    for thread in threads:
        thread.join(10)


def hold_idle_connections(limpet, backends, held, count):
    """So many connections to backends have been used at once, and are kept."""
    clients = [limpet.client() for _ in range(count)]
    for client in clients:
        client.send(request_bytes(target="/held"))
    eventually(lambda: sum(request.target == "/held" for backend in backends for request in backend.requests) == count)
    held.go.set()
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    assert sum(len(backend.open_connections) for backend in backends) >= count


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connections_to_backends_keep_no_client_out(scene, workers):
    held = Held()
    backends = scene.backends(2, handler=held)
    limpet, status = start(scene, backends, workers=workers)
    most = crowd(limpet)
    for client in most:
        client.close()
    eventually(lambda: status.report()["connections"] == 0)
    hold_idle_connections(limpet, backends, held, LIMIT // 8)
    eventually(lambda: status.report()["connections"] == 0)
    inside = crowd(limpet)
    # Another worker is asked for its own, and gives them up a moment later.
    assert len(inside) >= len(most) - (0 if workers == 1 else LIMIT // 32)


def test_a_limit_that_is_lowered_lets_operators_in_and_one_that_is_raised_lets_clients_in_at_once(scene):
    limpet, status = start(scene, scene.backends(2))
    inside = crowd(limpet, 60)
    assert len(inside) == 60
    before = resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE, (LIMIT // 2, before[1]))
    for _ in range(3):
        assert status.get("/healthz").status == 200
        assert status.report()["pools"][0]["backends"][0]["state"] == "up"
    assert len(crowd(limpet, 10)) <= len(limpet.config["pool"][0]["backend"])  # in the place of idle connections to backends
    assert any(not is_closed(client) for client in inside)  # who had a number beyond the limit is in nobody's way
    resource.prlimit(limpet.process.pid, resource.RLIMIT_NOFILE, before)
    assert newcomer(limpet)
    assert len(limpet.descriptors()) < LIMIT


def is_closed(client):
    try:
        return not is_served(client)
    except (Closed, OSError):
        return True
