"""Starts the program under test with a configuration made from a few Python values, and looks after it.

$LIMPET_BIN is the binary. Every instance runs in a directory of its own with limpet.toml, access.log (its stdout) and errors.log (its
stderr). stop() sends SIGTERM and holds the exit to what is promised: status 0, and nothing from a sanitizer.
"""

import contextlib
import functools
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from support.backend import Backend, Hanging
from support.client import Browser, Client
from support.http2 import Http2Backend, Http2Client, http2_context
from support.tls import SafeClient
from support.wire import Closed, eventually, free_port

KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
OTHER_KEY = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
HASH_SECRET = "5a" * 32
RELOADED = "reload by SIGHUP: "  # then the log says what came of it

SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer")
SANITIZER_OPTIONS = {
    # A large quarantine would look like memory that the program holds.
    "ASAN_OPTIONS": "quarantine_size_mb=1:detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1",
}


def binary():
    path = os.environ.get("LIMPET_BIN")
    assert path, "LIMPET_BIN must name the limpet binary"
    return path


@functools.cache
def is_sanitized():
    data = pathlib.Path(binary()).read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


# Configuration.


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    return "[" + ", ".join(_value(item) for item in value) + "]"


def to_toml(table, path=""):
    """Tables are dicts, arrays of tables are lists of dicts."""
    plain, nested = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            nested.append(f"\n[{path}{key}]\n" + to_toml(value, f"{path}{key}."))
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
            nested += [f"\n[[{path}{key}]]\n" + to_toml(item, f"{path}{key}.") for item in value]
        else:
            plain.append(f"{key} = {_value(value)}\n")
    return "".join(plain) + "".join(nested)


def backend_table(backend):
    return backend.as_table() if isinstance(backend, (Backend, Hanging)) else backend


def pool_table(name, backends, **keys):
    keys.setdefault("affinity", ["ip"])  # says nothing in any answer
    nested = {key: keys.pop(key) for key in list(keys) if isinstance(keys[key], dict)}
    return {"name": name, **keys, **nested, "backend": [backend_table(backend) for backend in backends]}


def settings(backends=(), *, pool=None, pools=None, listener=None, listeners=None, routes=None, **top):
    """A whole configuration. The short form: one listener, one pool "app" with these backends, one route between them."""
    pools = pools or [pool_table("app", backends, **(pool or {}))]
    listeners = listeners or [{"name": "main", "address": f"127.0.0.1:{free_port()}", **(listener or {})}]
    routes = routes if routes is not None else [{"pool": pools[0]["name"]}]
    return {
        "workers": 1,
        "shutdown_timeout": "1s",
        "secrets": {"keys": [KEY], "hash_secret": HASH_SECRET},
        "status": {"address": "off"},
        **top,
        "listener": listeners,
        "route": routes,
        "pool": pools,
    }


def _connectable(address):
    """"host:port" as an operator writes it -> (host, port) that a client can connect to."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return ("127.0.0.1" if host in ("*", "0.0.0.0") else "::1" if host == "::" else host), int(port)


# A process begins with them as 3, 4, ..., and its own number in the environment (sd_listen_fds(3)).
_LAUNCH = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2:2 + count]]
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def _launcher(passed):
    return [sys.executable, "-c", _LAUNCH, str(len(passed)), *(str(one.fileno()) for one in passed)] if passed else []


class Limpet:
    """A running program. `stdout` and `stderr`: descriptors, for who reads them itself; `environment`: more of it;
    `most_files`: the limit of open files that it starts with; `passed`: sockets that it is given, as systemd gives them."""

    def __init__(self, config, *, arguments=None, wait=True, stdout=None, stderr=None, environment=None, most_files=None, passed=()):
        self.config = config
        self.directory = tempfile.TemporaryDirectory(prefix="limpet-")
        self.file = os.path.join(self.directory.name, "limpet.toml")
        self.stdout_path = os.path.join(self.directory.name, "access.log")
        self.stderr_path = os.path.join(self.directory.name, "errors.log")
        self.write()
        self.addresses, self.speaking_tls = {}, set()
        if not isinstance(config, str):
            self.addresses = {entry["name"]: _connectable(entry["address"]) for entry in config["listener"]}
            self.speaking_tls = {entry["name"] for entry in config["listener"] if "tls" in entry}
        self.clients = []
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                [*_launcher(passed), binary(), *(arguments or ["run", self.file])], pass_fds=[one.fileno() for one in passed],
                stdin=subprocess.DEVNULL, stdout=out if stdout is None else stdout, stderr=err if stderr is None else stderr,
                cwd=self.directory.name, env={**os.environ, **SANITIZER_OPTIONS, **(environment or {})},
                preexec_fn=most_files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))),
            )
        if wait:
            try:
                self._wait_until_it_accepts()
            except BaseException:
                self.kill()
                raise

    def _wait_until_it_accepts(self):
        end = time.monotonic() + 15
        for host, port in self.addresses.values():
            while True:
                if self.process.poll() is not None:
                    raise AssertionError(f"limpet ended with {self.process.returncode}: {self.stderr}")
                try:
                    socket.create_connection((host, port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < end, f"limpet does not accept at {host}:{port}: {self.stderr}"
                    time.sleep(0.002)

    # Its file.

    def write(self, config=None):
        """This, or what `config` of its own says by now, takes the file's place."""
        config = self.config if config is None else config
        draft = pathlib.Path(self.file + ".next")
        draft.write_text(config if isinstance(config, str) else to_toml(config))
        draft.rename(self.file)

    def reload(self, config=None):
        """Writes the file and has it read by SIGHUP; returns what the log says came of it."""
        self.write(config)
        before = self.stderr.count(RELOADED)
        self.signal(signal.SIGHUP)
        eventually(lambda: self.stderr.count(RELOADED) > before)
        return self.stderr.rpartition(RELOADED)[2]

    # Clients.

    @property
    def address(self):
        return next(iter(self.addresses.values()))

    def client(self, listener=None, **how):
        """Speaks TLS where the listener, by default the first, does since the start."""
        listener = listener or next(iter(self.addresses))
        client = (SafeClient if listener in self.speaking_tls else Client)(self.addresses[listener], **how)
        self.clients.append(client)
        return client

    def http2(self, listener=None, **how):
        """A client that speaks HTTP/2."""
        listener = listener or next(iter(self.addresses))
        if listener in self.speaking_tls:
            how.setdefault("tls", http2_context())
        client = Http2Client(self.addresses[listener], **how)
        self.clients.append(client)
        return client

    def client_by(self, version, *listener, **how):
        return (self.http2 if version == "h2" else self.client)(*listener, **how)

    def come(self, target="/", **how):
        """A client that is let in, and has been served; or None: it was reset, and told nothing."""
        try:
            client = self.client(**how)
            assert client.get(target).status == 200
            return client
        except Closed as error:
            assert error.was_reset and not error.received
        except OSError:
            pass
        return None

    def refuses(self):
        """Whether it takes no new connection."""
        try:
            self.client().close()
            return False
        except OSError:
            return True

    def browser(self, **how):
        return Browser(self, **how)

    def browser_at(self, home):
        """One whose session lives at the backend of this name, where backends answer with theirs."""
        while True:
            browser = self.browser()
            if browser.get().text == home:
                return browser

    def request(self, method="GET", target="/", fields=(), body=None, *, listener=None, preface=b"", source=None, **how):
        """One request on a connection of its own."""
        client = self.client(listener, preface=preface, source=source)
        try:
            return client.request(method, target, fields, body, **how)
        finally:
            client.close()

    def get(self, target="/", *fields, **how):
        return self.request("GET", target, fields, **how)

    # What it says.

    @property
    def stdout(self):
        return pathlib.Path(self.stdout_path).read_text(errors="replace")

    @property
    def stderr(self):
        return pathlib.Path(self.stderr_path).read_text(errors="replace")

    def says(self, *texts):
        """Waits until standard error holds them: what a thread of its own writes there may come after its effects."""
        for text in texts:
            eventually(lambda: text in self.stderr, what=lambda: f"{text!r} in {self.stderr}")

    def log(self, count=1):
        """The access log's lines as dicts, once there are `count`."""
        def lines():
            whole = self.stdout.rpartition("\n")[0]
            return whole.split("\n") if whole else []

        eventually(lambda: len(lines()) >= count, what=f"{count} lines in the access log: {self.stdout!r}")
        return [json.loads(line) for line in lines()]

    def log_of(self, target, count=1):
        """The lines about this target, once there are `count`."""
        def matching():
            return [line for line in self.log(0) if line["target"] == target]

        eventually(lambda: len(matching()) >= count, what=f"{count} lines about {target} in {self.stdout!r}")
        return matching()

    def status(self, key):
        """A number from /proc/PID/status, such as VmRSS in KiB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def descriptors(self):
        """What it has open, by name. What it closes meanwhile is left out, and so is /dev/null: libuv keeps one in reserve for each
        loop, from the loop's first stream on, which for the main thread's is the first check of a backend."""
        folder = f"/proc/{self.process.pid}/fd"
        found = []
        try:
            for number in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):
                    found.append(os.readlink(f"{folder}/{number}"))
        except PermissionError:
            pytest.skip("what a process has open that hides its memory is seen by root alone (CAP_SYS_PTRACE)")
        return [name for name in found if name != "/dev/null"]

    @property
    def is_running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def stopped(self):
        """It stands still, and what comes meanwhile waits for it."""
        self.signal(signal.SIGSTOP)
        eventually(lambda: "T" in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().split("State:")[1].split()[0])
        yield
        self.signal(signal.SIGCONT)

    # Its end.

    def wait(self, patience=10):
        return self.process.wait(patience)

    def stop(self):
        """SIGTERM; holds the program to a clean exit."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"limpet did not stop on SIGTERM: {self.stderr}") from None
        stderr = self.stderr
        self.directory.cleanup()
        self.assert_sane(stderr)
        assert status == 0, f"limpet exited with {status}: {stderr}"

    @staticmethod
    def assert_sane(stderr):
        for report in SANITIZER_REPORTS:
            assert report not in stderr, stderr

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Scene:
    """What one test, or the tests of one file, set up; close() takes it down and holds everybody to a clean end."""

    def __init__(self):
        self._backends = []
        self._limpets = []

    def backend(self, *args, version="http/1.1", **keys):
        backend = (Http2Backend if version == "h2" else Backend)(*args, **keys)
        self._backends.append(backend)
        return backend

    def http2_backend(self, *args, **keys):
        return self.backend(*args, version="h2", **keys)

    def backends(self, count, **keys):
        return [self.backend(chr(ord("a") + index), **keys) for index in range(count)]

    def hanging(self, *args):
        hanging = Hanging(*args)
        self._backends.append(hanging)
        return hanging

    def limpet(self, backends=(), **keys):
        return self.start(settings(backends, **keys))

    def start(self, config, **how):
        limpet = Limpet(config, **how)
        self._limpets.append(limpet)
        return limpet

    def forget(self, limpet):
        """The test has seen to this one's end itself."""
        self._limpets.remove(limpet)
        for client in limpet.clients:
            client.close()
        limpet.kill()
        limpet.directory.cleanup()

    def close(self):
        faults = []
        for limpet in self._limpets:
            try:
                limpet.stop()
            except AssertionError as error:
                faults.append(str(error))
            finally:
                limpet.kill()
        for backend in self._backends:
            backend.stop()
            faults += [f"backend {backend.name}: {error!r}" for error in getattr(backend, "errors", [])]
        assert not faults, "\n".join(faults)


def run(*arguments, patience=20):
    """Runs the program to its end: (status, stdout, stderr)."""
    done = subprocess.run([binary(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=patience,
                          env={**os.environ, **SANITIZER_OPTIONS})
    stderr = done.stderr.decode(errors="replace")
    Limpet.assert_sane(stderr)
    return done.returncode, done.stdout.decode(errors="replace"), stderr
