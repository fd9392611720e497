"""Several workers: one loop each, one session table for all."""

import threading
from collections import Counter

import pytest

from support.client import proxy_v1
from support.session_app import session_servers
from support.wire import Closed, eventually

WORKERS = 4
pytestmark = pytest.mark.workers


def test_there_are_as_many_workers_as_asked_for(scene):
    one, four = (scene.limpet(scene.backends(1), workers=count) for count in (1, WORKERS))
    eventually(lambda: four.status("Threads") - one.status("Threads") == WORKERS - 1)


def test_without_a_number_it_serves_all_the_same(scene):
    config_workers = {"workers": 0}
    limpet = scene.limpet(scene.backends(1), **config_workers)
    assert limpet.get().status == 200


def test_a_session_that_one_worker_learned_is_known_to_all(scene):
    limpet = scene.limpet(session_servers(scene, 4), workers=WORKERS, pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}})
    browsers = [limpet.browser() for _ in range(15)]  # a connection for each request, so that workers alternate
    homes = [browser.request("POST", "/login", body=b"u").text for browser in browsers]
    for _ in range(5):
        assert [browser.get("/who").text for browser in browsers] == homes
    assert {line["reason"] for line in limpet.log_of("/who", 75)} == {"bound"}


def test_an_address_keeps_its_backend_at_every_worker(scene):
    limpet = scene.limpet(scene.backends(4), workers=WORKERS, pool={"affinity": ["ip"]}, listener={"proxy_protocol": True})
    for host in range(10):
        assert len({limpet.get(preface=proxy_v1(f"192.0.2.{host}")).text for _ in range(8)}) == 1


@pytest.mark.parametrize("placement", ["least-sessions", "round-robin"])
def test_new_sessions_are_shared_out_over_all_workers_together(scene, placement):
    limpet = scene.limpet(scene.backends(4), workers=WORKERS, pool={"affinity": ["cookie"], "placement": placement})
    homes = Counter(limpet.browser().get().text for _ in range(80))
    assert homes == {"a": 20, "b": 20, "c": 20, "d": 20}


def test_max_sessions_holds_over_all_workers_together(scene):
    backends = scene.backends(2)
    limpet = scene.limpet([backend.as_table(max_sessions=10) for backend in backends], workers=WORKERS, pool={"affinity": ["cookie"]})
    statuses, lock = Counter(), threading.Lock()

    def visit():
        for _ in range(5):
            response = limpet.browser().get()
            with lock:
                statuses[response.status, response.get("X-Backend")] += 1

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert statuses == {(200, "a"): 10, (200, "b"): 10, (503, None): 20}


def test_concurrent_users_stay_logged_in(scene):
    limpet = scene.limpet(session_servers(scene, 3), workers=WORKERS, pool={"affinity": ["cookie"]})
    faults = []

    def user(number):
        try:
            browser = limpet.browser(keep_alive=number % 2 == 0)
            text = browser.request("POST", "/login", body=str(number).encode()).text
            for _ in range(25):
                response = browser.get("/who")
                if response.text != text:
                    faults.append((number, text, response.text))
        except (Closed, OSError, AssertionError) as error:
            faults.append((number, error))

    threads = [threading.Thread(target=user, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert faults == []


def test_every_line_of_the_log_is_whole(scene):
    limpet = scene.limpet(scene.backends(1), workers=WORKERS)

    def visit(number):
        client = limpet.client()
        for index in range(50):
            client.get(f"/{number}/{index}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    targets = {line["target"] for line in limpet.log(400)}  # each line parses as JSON
    assert len(targets) == 400
