"""Limpet under whoever runs it as a service: what it tells (sd_notify(3)), and the sockets that it is given (sd_listen_fds(3))."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support.limpet import HASH_SECRET, KEY, binary, run, settings
from support.status import Status, status_table
from support.tls import make, tls_table
from support.wire import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "a-token-that-nobody-is-to-see"
PATIENCE = 15


class Manager:
    """Whoever started it: what it was told, message by message, as dicts."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path}
        self.everything = ""

    def told(self, patience=PATIENCE):
        """The next message; None if none comes in time."""
        self.socket.settimeout(patience)
        try:
            text = self.socket.recv(65536).decode()
        except TimeoutError:
            return None
        self.everything += text + "\n"
        return dict(line.split("=", 1) for line in text.split("\n"))

    def forget(self):
        """What it was told so far; how many messages."""
        count = 0
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(65536):
                count += 1
        return count


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def test_it_is_ready_once_it_listens(scene, manager):
    limpet = scene.start(settings([scene.backend("a")]), environment=manager.environment, wait=False)
    told = manager.told()
    assert told["READY"] == "1" and told["STATUS"] == "serving at 1 listener with 1 worker"
    assert limpet.get().text == "a"


def test_a_reload_is_told_when_it_begins_and_when_it_is_over(scene, manager):
    limpet = scene.start(settings([scene.backend("a")]), environment=manager.environment)
    manager.told()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    limpet.signal(signal.SIGHUP)
    begins, over = manager.told(), manager.told()
    assert begins["RELOADING"] == "1"
    assert before <= int(begins["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert over["READY"] == "1" and over["STATUS"].endswith("is in force")

    limpet.write("workers = \"many\"\n")
    limpet.signal(signal.SIGHUP)
    begins, over = manager.told(), manager.told()
    assert begins["RELOADING"] == "1" and over["READY"] == "1" and "nothing is changed" in over["STATUS"]
    assert limpet.get().text == "a"


def test_its_end_is_told_with_the_time_that_it_may_take(scene, manager):
    limpet = scene.start(settings([scene.backend("a")], shutdown_timeout="50s"), environment=manager.environment)
    manager.told()
    limpet.signal(signal.SIGTERM)
    told = manager.told()
    assert told["STOPPING"] == "1" and int(told["EXTEND_TIMEOUT_USEC"]) >= 50_000_000
    assert limpet.wait() == 0


@pytest.fixture
def watched(scene, manager):
    limpet = scene.start(settings([scene.backend("a")], workers=2),
                         environment={**manager.environment, "WATCHDOG_USEC": "400000"})
    assert "READY" in manager.told()
    return limpet


def span_of_signs(manager):
    """How long several signs of life take."""
    manager.forget()
    started = time.monotonic()
    assert all(manager.told() == {"WATCHDOG": "1"} for _ in range(8))
    return time.monotonic() - started


def hears_nothing(manager, span):
    """But for what was on its way."""
    time.sleep(span / 2)
    manager.forget()
    return manager.told(span) is None


@pytest.mark.workers
def test_the_watchdog_hears_nothing_of_a_process_that_stands_still(watched, manager):
    span = span_of_signs(manager)
    with watched.stopped():
        assert hears_nothing(manager, span)
    assert manager.told() == {"WATCHDOG": "1"}


def test_the_watchdog_hears_nothing_while_one_worker_stands_still(watched, manager):
    span = span_of_signs(manager)
    with stopped_thread(watched.process.pid, "worker 1"):
        assert hears_nothing(manager, span)
    assert manager.told() == {"WATCHDOG": "1"}


@contextlib.contextmanager
def stopped_thread(process, name):
    """One thread of a process stands still, as the kernel's debugger holds it (ptrace(2))."""
    seize, interrupt, detach, wall = 0x4206, 0x4207, 17, 0x40000000  # linux/ptrace.h, linux/wait.h
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    threads = pathlib.Path(f"/proc/{process}/task").iterdir()
    thread = next(int(one.name) for one in threads if (one / "comm").read_text().strip() == name)
    if libc.ptrace(seize, thread, None, None) != 0:
        pytest.skip(f"this thread may not be held: {os.strerror(ctypes.get_errno())}")
    try:
        assert libc.ptrace(interrupt, thread, None, None) == 0
        assert os.waitpid(thread, wall)[0] == thread
        yield
    finally:
        assert libc.ptrace(detach, thread, None, None) == 0


def test_nobody_is_asked_for_signs_of_life_that_are_meant_for_another(scene, manager):
    scene.start(settings([scene.backend("a")]), environment={**manager.environment, "WATCHDOG_USEC": "10000", "WATCHDOG_PID": "1"})
    assert "READY" in manager.told()
    assert manager.told(0.5) is None


# Sockets.


def listening(family=socket.AF_INET, host="127.0.0.1"):
    made = socket.socket(family)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind((host, free_port()))
    made.listen(1000)
    return made


def log_of_start(limpet):
    limpet.says("serving with")
    return limpet.stderr


def address_of(passed):
    host, port = passed.getsockname()[:2]
    return f"*:{port}" if host == "::" else f"{host}:{port}"


@pytest.mark.workers
@pytest.mark.parametrize("where", [{}, {"family": socket.AF_INET6, "host": "::"}], ids=["one address", "all addresses"])
def test_all_workers_accept_from_a_socket_that_is_passed(scene, where):
    with listening(**where) as passed:
        limpet = scene.start(settings([scene.backend("a")], workers=2, listener={"address": address_of(passed)}), passed=[passed])
        with contextlib.ExitStack() as clients:
            for _ in range(40):
                client = limpet.client()
                clients.callback(client.close)
                assert client.request("GET", "/").text == "a"
        assert "warning" not in log_of_start(limpet)


def test_whoever_connects_between_two_processes_is_served_by_the_next(scene):
    with listening() as passed:
        config = settings([scene.backend("a")], listener={"address": address_of(passed)})
        first = scene.start(config, passed=[passed])
        assert first.get().text == "a"
        first.stop()
        scene.forget(first)
        waiting = [first.client() for _ in range(5)]
        second = scene.start(config, passed=[passed], wait=False)
        for client in waiting:
            assert client.request("GET", "/").text == "a"
            client.close()
        assert second.get().text == "a"


def test_a_listener_that_leaves_and_comes_back_takes_its_socket_again(scene):
    with listening() as passed:
        config = settings([scene.backend("a")], workers=2, listeners=[
            {"name": "main", "address": f"127.0.0.1:{free_port()}"}, {"name": "passed", "address": address_of(passed)}])
        limpet = scene.start(config, passed=[passed])
        assert limpet.get(listener="passed").text == "a"
        for listeners in (config["listener"][:1], config["listener"]):
            assert "is in force" in limpet.reload({**config, "listener": listeners})
        for _ in range(10):
            assert limpet.get(listener="passed").text == "a"


def test_a_socket_that_no_listener_takes_is_told(scene):
    with listening() as passed, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        limpet = scene.start(settings([scene.backend("a")]), passed=[passed, other], environment={"LISTEN_FDNAMES": "web:names"})
        told = log_of_start(limpet)
        assert "the passed socket 3 (web) is bound to no listener's address" in told
        assert "the passed socket 4 (names) does not listen for TCP" in told


def test_what_is_passed_to_another_process_is_left_alone(scene):
    limpet = scene.start(settings([scene.backend("a")]), environment={"LISTEN_PID": "1", "LISTEN_FDS": "3"})
    assert limpet.get().text == "a" and "passed" not in log_of_start(limpet)


# Secrets.


def test_no_secret_is_told_to_anybody(scene, manager, tmp_path):
    keys = tmp_path / "limpet.keys"
    keys.write_text(f"key = {KEY}\nhash_secret = {HASH_SECRET}\n")
    keys.chmod(0o600)
    certificate = make(tmp_path)
    private = [line for line in pathlib.Path(certificate.key).read_text().splitlines() if not line.startswith("-")]
    config = settings([scene.backend("a")], pool={"affinity": ["cookie"]}, status=status_table(token=TOKEN),
                      listener={"tls": tls_table(certificate)}, log={"level": "debug"})
    config["secrets"] = {"key_file": str(keys)}
    limpet = scene.start(config, environment=manager.environment)
    browser = limpet.browser()
    browser.get()
    assert browser.jar and private
    limpet.log()
    checked = []
    for faulty in ({**config, "secrets": {"keys": [KEY, KEY], "hash_secret": HASH_SECRET}},
                   {**config, "status": {**config["status"], "token": TOKEN + " "}},
                   {**config, "workers": 3, "status": {**config["status"], "token": TOKEN + "-too"}}):
        limpet.write(faulty)
        limpet.signal(signal.SIGHUP)
        while "RELOADING" not in manager.told():
            pass
        assert "nothing is changed" in manager.told()["STATUS"]
        checked += run("check", limpet.file)[1:]
    status = Status(limpet)
    answers = [status.get(path).text for path in ("/", "/status", "/incidents", "/metrics")]
    said = "\n".join([*answers, limpet.stdout, limpet.stderr, manager.everything, *checked])
    for secret in (KEY, HASH_SECRET, TOKEN, KEY[:16], HASH_SECRET[:16], *private, *browser.jar.values()):
        assert secret not in said and secret.upper() not in said


# The units (how they run: test_unit.py).


needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)")


@needs_analyze
def test_the_units_are_what_systemd_takes(tmp_path):
    for name in ("limpet.service", "limpet.socket"):
        # What it runs has to be there to be verified.
        text = (ROOT / "conf" / name).read_text().replace("/usr/local/bin/limpet", binary())
        (tmp_path / name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / "limpet.service", tmp_path / "limpet.socket"],
                          capture_output=True, text=True, timeout=60)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "limpet" in line]
    assert done.returncode == 0 and ours == [], done.stdout + done.stderr


@needs_analyze
def test_the_unit_leaves_little_to_advise():
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=15", ROOT / "conf/limpet.service"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Overall exposure level" in done.stdout, done.stdout + done.stderr
