"""Names that a name server does not answer for, and signals that come before the program serves."""

import pathlib
import signal
import subprocess

import pytest

from support.limpet import SANITIZER_OPTIONS, settings
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
def names(scene, dead_names, tmp_path):
    return Names(scene, dead_names, tmp_path / "asked")


def test_names_that_nobody_answers_for_hold_up_neither_the_start_nor_one_another_nor_the_end(scene, names):
    a = scene.backend("a")
    limpet = names.start([{"name": "a", "address": f"localhost:{a.port}"}])
    eventually(lambda: names.asked() == DEAD)
    eventually(lambda: "backend host u.dead.test: no answer yet" in limpet.stderr)
    assert "localhost" not in limpet.stderr
    assert eventually(lambda: limpet.get().status == 200)
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 0


def test_a_reload_and_a_reopening_that_come_before_it_serves_are_done_then(scene, names):
    limpet = names.start(scene.backends(1), wait=False)
    eventually(names.asked)
    limpet.signal(signal.SIGUSR1)
    limpet.signal(signal.SIGHUP)
    eventually(lambda: "reload by SIGHUP: " in limpet.stderr)
    assert limpet.get().status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_that_comes_before_it_serves_is_an_orderly_one(scene, names, number):
    limpet = names.start(scene.backends(1), wait=False)
    eventually(names.asked)
    limpet.signal(number)
    assert limpet.wait() == 0
    assert "ended" in limpet.stderr
