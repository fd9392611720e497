"""Three times as many newcomers as the backends bear: whoever has a session is served as ever, with `shed`; and what HAProxy's maxconn and
queue make of the same, for comparison.

Two servers, each at work on four requests at a time, 50 ms each: 160 requests a second. Twenty users ask twice a second.
"""

import random
import shutil
import subprocess
import threading
import time

import pytest

from support.client import Client, new_address
from support.limpet import settings
from support.patience import PatientServer
from support.wire import eventually, free_port, listens

pytestmark = pytest.mark.soak

USERS, EACH, PLACES, SERVICE = 20, 30, 4, 0.05
NEWCOMERS = 480  # a second: three times what they bear

HAPROXY = """
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  timeout queue 10s
  timeout http-request 10s
frontend front
  bind 127.0.0.1:{port}
  default_backend app
backend app
  balance leastconn
  cookie SRV insert indirect nocache
  server a {a} cookie a maxconn {places}
  server b {b} cookie b maxconn {places}
"""


@pytest.fixture
def servers():
    with PatientServer() as a, PatientServer() as b:
        yield a, b


def ask(address, cookies=None, source=None):
    client = Client(address, source=source)
    try:
        fields = ["Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items())] if cookies else []
        answer = client.request("GET", "/work", fields)
        return answer.status, {name: value for name, (value, _) in answer.set_cookies.items()}
    finally:
        client.close()


def log_in(address):
    status, cookies = ask(address, source=new_address())
    assert status == 200 and cookies
    return cookies


def users_at_work(address, sessions):
    """How long each request took, sorted; all are answered 200."""
    times, wrong, lock = [], [], threading.Lock()

    def work(cookies, draws):
        for _ in range(EACH):
            time.sleep(draws.uniform(0, 1))
            begin = time.perf_counter()
            status, _ = ask(address, cookies)
            with lock:
                times.append(time.perf_counter() - begin)
                wrong.extend([status] * (status != 200))
    threads = [threading.Thread(target=work, args=(cookies, random.Random(seed))) for seed, cookies in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times), wrong


class Burst:
    """Newcomers at their rate, whatever becomes of them."""

    def __init__(self, address):
        self.address, self.over, self.statuses = address, threading.Event(), []
        self.threads = [threading.Thread(target=self.come, args=(number,)) for number in range(NEWCOMERS // 10)]

    def come(self, number):
        due = time.monotonic() + number / NEWCOMERS
        while not self.over.is_set():
            time.sleep(max(0, due - time.monotonic()))
            due += 0.1
            try:
                self.statuses.append(ask(self.address, source=new_address())[0])
            except (OSError, AssertionError) as error:
                self.statuses.append(type(error).__name__)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def ratio(address, what):
    sessions = [log_in(address) for _ in range(USERS)]
    quiet, wrong = users_at_work(address, sessions)
    assert not wrong
    with Burst(address) as burst:
        busy, wrong = users_at_work(address, sessions)
    p99 = [times[len(times) * 99 // 100] for times in (quiet, busy)]
    served = burst.statuses.count(200)
    print(f"{what}: p99 {p99[0] * 1000:.0f} ms quiet, {p99[1] * 1000:.0f} ms in the burst; {len(wrong)} of {len(busy)} requests of users refused; "
          f"{served} of {len(burst.statuses)} newcomers served")
    return p99[1] / p99[0], wrong, burst


def test_users_are_served_as_ever_in_a_burst_of_newcomers(scene, servers):
    backends = [{"name": name, "address": server.address, "max_connections": PLACES} for name, server in zip("ab", servers)]
    limpet = scene.start(settings(backends, pool={"affinity": ["cookie"], "shed": "new-sessions", "shed_in_flight": PLACES}, log={"access": "off"}))
    slower, wrong, burst = ratio(limpet.address, "Limpet")
    assert not wrong
    assert slower < 2
    assert set(burst.statuses) == {200, 503}


def test_what_haproxy_makes_of_it(servers, tmp_path):
    """Nothing is held against it: the figure is printed."""
    assert shutil.which("haproxy"), "haproxy is not installed"
    port = free_port()
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, a=servers[0].address, b=servers[1].address, places=PLACES))
    process = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port))
        ratio(("127.0.0.1", port), "HAProxy")
    finally:
        process.kill()
        process.wait()
