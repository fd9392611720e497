"""Names that a name server does not answer for, and signals that come before the program serves."""

import os
import pathlib
import signal
import subprocess

import pytest

from support.limpet import SANITIZER_OPTIONS, binary, settings, to_toml
from support.status import Status, status_table
from support.wire import eventually

DEAD = [f"{letter}.dead.test" for letter in "uvwxyz"]


@pytest.fixture(scope="session")
def dead_names(tmp_path_factory):
    """A library to preload."""
    library = tmp_path_factory.mktemp("names") / "slow_names.so"
    source = pathlib.Path(__file__).parent.parent / "support" / "slow_names.cc"
    subprocess.run(["g++", "-std=c++20", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


class Names:
    def __init__(self, scene, library, asked):
        self.scene, self.library, self.folder = scene, library, asked
        asked.mkdir()

    def start(self, backends, **how):
        environment = {"LD_PRELOAD": str(self.library), "ASKED_NAMES": str(self.folder),
                       "ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        dead = [{"name": name[0], "address": f"{name}:80"} for name in DEAD]
        return self.scene.start(settings([*dead, *backends]), environment=environment, **how)

    def asked(self):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def moving(dead_names, tmp_path):
    """A file with the addresses of app.moving.test, and the environment in which they are found."""
    addresses = tmp_path / "addresses"
    return addresses, {"LD_PRELOAD": str(dead_names), "MOVING_NAMES": str(addresses),
                       "ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}


@pytest.fixture
def names(scene, dead_names, tmp_path):
    return Names(scene, dead_names, tmp_path / "asked")


def test_names_that_nobody_answers_for_hold_up_neither_the_start_nor_one_another_nor_the_end(scene, names):
    a = scene.backend("a")
    limpet = names.start([{"name": "a", "address": f"localhost:{a.port}"}])
    eventually(lambda: names.asked() == DEAD)
    limpet.says("backend host u.dead.test: no answer yet")
    assert "localhost" not in limpet.stderr
    assert eventually(lambda: limpet.get().status == 200)
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 0


def test_a_reload_and_a_reopening_that_come_before_it_serves_are_done_then(scene, names):
    limpet = names.start(scene.backends(1), wait=False)
    eventually(names.asked)
    limpet.signal(signal.SIGUSR1)
    limpet.signal(signal.SIGHUP)
    limpet.says("reload by SIGHUP: ")
    assert limpet.get().status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_that_comes_before_it_serves_is_an_orderly_one(scene, names, number):
    limpet = names.start(scene.backends(1), wait=False)
    eventually(names.asked)
    limpet.signal(number)
    assert limpet.wait() == 0
    limpet.says("ended")


@pytest.mark.released
def test_a_name_that_moves_is_followed_though_the_old_server_still_answers(scene, moving):
    addresses, environment = moving
    old = scene.backend("old", host="127.0.0.2")
    new = scene.backend("new", host="127.0.0.3", listening=False)
    new.port = old.port
    new.listen()
    addresses.write_text("127.0.0.2")
    limpet = scene.start(settings([{"name": "a", "address": f"app.moving.test:{old.port}"}]), environment=environment)
    client = limpet.client()
    assert client.get().text == "old"
    addresses.write_text("127.0.0.3 127.0.0.2")
    assert client.get().text == "old"
    addresses.write_text("127.0.0.3")
    eventually(lambda: client.get().text == "new", patience=30)
    limpet.says("backend a has moved: app.moving.test has another address now")
    assert {client.get().text for _ in range(20)} == {"new"}
    eventually(lambda: not old.open_connections)


def test_of_several_addresses_a_dead_one_costs_a_part_of_the_time_to_connect_once(scene, moving):
    addresses, environment = moving
    dead, live = scene.hanging(), scene.backend("a", host="127.0.0.3", listening=False)
    live.port = int(dead.address.rsplit(":", 1)[1])
    live.listen()
    addresses.write_text("127.0.0.1 127.0.0.3")
    pool = {"timeouts": {"connect": "4s"}, "health": {"check": "tcp", "interval": "2s", "timeout": "1s"}}
    limpet = scene.start(settings([{"name": "a", "address": f"app.moving.test:{live.port}"}], pool=pool, workers=1, status=status_table()),
                         environment=environment)
    took = []
    for _ in range(3):
        line_count = len(took) + 1
        assert limpet.get("/", "Connection: close").text == "a"
        took.append(limpet.log(line_count)[-1]["connect_ms"])
        live.drop_connections()
    assert 900 < took[0] < 4000, took
    assert max(took[1:]) < took[0] / 4, took
    check = eventually(lambda: Status(limpet).backend("a")["last_check"])
    assert check["passed"], check


def test_check_warns_of_names_of_several_servers_and_of_none(scene, moving, tmp_path):
    addresses, environment = moving
    addresses.write_text("127.0.0.2 127.0.0.3")
    file = tmp_path / "limpet.toml"
    file.write_text(to_toml(settings([{"name": "a", "address": "app.moving.test:80"}, {"name": "b", "address": "nowhere.invalid:80"}])))
    checked = subprocess.run([binary(), "check", str(file)], env={**os.environ, **environment}, capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked.stderr
    assert "warning: pool app: backend a: app.moving.test has 2 addresses: sessions do not survive a change" in checked.stderr
    assert "warning: pool app: backend b: nowhere.invalid has no address: " in checked.stderr
