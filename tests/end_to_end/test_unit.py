"""conf/limpet.service and conf/limpet.socket, run by systemd."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import struct
import tempfile
import threading

import pytest

from support.backend import Backend, answer_by_name
from support.client import Client, request_bytes
from support.limpet import binary, is_sanitized, pool_table, settings, to_toml
from support.network import network_or_skip
from support.systemd import PROGRAM, Systemd
from support.tls import SafeClient, context, make
from support.wire import Closed, eventually

PATIENCE = 15
ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "app.test"
FILES = "/etc/limpet"
LOG = "/var/log/limpet/access.log"
CAP_NET_BIND_SERVICE = 10  # linux/capability.h
# What the unit refuses is fatal here, so that nothing refused goes unseen.
STRICT = "[Service]\nSystemCallErrorNumber=kill\n"

pytestmark = [
    pytest.mark.skipif(not os.path.exists(PROGRAM), reason="systemd is not installed"),
    pytest.mark.skipif(is_sanitized(), reason="a sanitizer needs what the unit refuses"),
]


class NameServer:
    """Answers whoever asks for an IPv4 address with 127.0.0.1, and that there is nothing else."""

    def __init__(self):
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            asked, who = self._socket.recvfrom(512)
            self.questions += 1
            end = asked.index(b"\0", 12) + 5
            answers = asked[end - 4:end - 2] == b"\0\1"  # RFC 1035, section 4.1
            head = asked[:2] + struct.pack("!HHHHH", 0x8580, 1, answers, 0, 0)
            record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + bytes([127, 0, 0, 1])
            self._socket.sendto(head + asked[12:end] + record * answers, who)


class Machine(Systemd):
    """With Limpet installed as conf/limpet.service says, a name server, and somebody to forward to."""

    def __init__(self, folder):
        super().__init__(folder)
        self.names = NameServer()
        self.backend = Backend("a")
        self.put("/usr/local/bin/limpet", pathlib.Path(binary()).read_bytes(), 0o755)
        self.put("/etc/resolv.conf", "nameserver 127.0.0.1\n")
        self.put("/etc/systemd/system/limpet.service.d/strict.conf", STRICT)
        self.units = ("limpet.socket", "limpet.service")
        for unit in self.units:
            self.put(f"/tmp/conf/{unit}", (ROOT / "conf" / unit).read_bytes())
        self.put("/etc/systemd/system/limpet.socket", (ROOT / "conf/limpet.socket").read_bytes())
        steps = re.findall(r"^#   (.+)$", (ROOT / "conf/limpet.service").read_text(), re.MULTILINE)
        self.install, self.enable = steps
        self.must("rm", "-rf", FILES, "/var/lib/limpet")  # this machine may have a Limpet of its own
        self.run("userdel", "limpet")
        self.must("rm", "-f", "/usr/bin/kill")  # which a bare Debian lacks (procps)
        self.must("sh", "-c", self.install)
        self.group = int(self.must("id", "-g", "limpet"))
        self.certificate = make(folder, "shop")
        self.write()

    def put(self, inside, content, mode=0o644, group=0):
        file = self.file(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(file.name + ".new")
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.chmod(mode)
        os.chown(new, 0, group)
        new.rename(file)

    def show_certificate(self, certificate, key_mode=0o640):
        self.certificate = certificate
        self.put(f"{FILES}/shop.pem", pathlib.Path(certificate.file).read_bytes(), 0o640, self.group)
        self.put(f"{FILES}/shop.key", pathlib.Path(certificate.key).read_bytes(), key_mode, self.group)

    def write(self, **keys):
        """Limpet's file."""
        self.show_certificate(self.certificate)
        port = self.backend.address.rpartition(":")[2]
        shop = {"file": f"{FILES}/shop.pem", "key": f"{FILES}/shop.key"}
        config = settings(
            pools=[pool_table("app", [{"name": "a", "address": f"{NAME}:{port}"}])], workers=2, log={"access": LOG}, shutdown_timeout="20s",
            listeners=[{"name": "web", "address": "*:80"}, {"name": "safe", "address": "*:443", "tls": {"certificates": [shop]}}])
        config["secrets"] = {"key_file": "/var/lib/limpet/limpet.keys"}
        self.put(f"{FILES}/limpet.toml", to_toml({**config, **keys}), 0o640, self.group)

    def client(self):
        return SafeClient(("127.0.0.1", 443), context(self.certificate))

    def get(self, target="/"):
        with contextlib.closing(self.client()) as client:
            return client.get(target)

    def shown(self):
        with contextlib.closing(SafeClient(("127.0.0.1", 443), context())) as client:
            return client.tls.getpeercert(binary_form=True)

    def process(self):
        """The main process's number, as this machine counts."""
        return self.show("limpet", "MainPID")["MainPID"]

    def journal(self):
        return self.must("journalctl", "--no-pager", "--output=cat", "--unit=limpet.service")


@pytest.fixture(scope="module")
def machine():
    with network_or_skip(), tempfile.TemporaryDirectory(prefix="limpet-") as folder:
        machine = Machine(pathlib.Path(folder))
        try:
            yield machine
        finally:
            machine.end()
            machine.backend.stop()


@pytest.fixture
def started(machine):
    machine.must("sh", "-c", "cd /tmp && " + machine.enable)
    yield machine
    machine.must("systemctl", "stop", *machine.units)
    machine.must("systemctl", "reset-failed")
    machine.backend.handler = answer_by_name
    machine.write()


def test_what_the_unit_refuses_is_seen_here(machine):
    refused = "ExecStart=nice -n 1 true"  # setpriority(2)
    unit = re.sub("^(ExecStartPre|ExecStart|ExecReload|Restart)=.*\n", "", (ROOT / "conf/limpet.service").read_text(), flags=re.MULTILINE)
    for name, allowed in (("refused", ""), ("allowed", "SystemCallFilter=setpriority\n")):
        machine.put(f"/run/systemd/system/{name}.service", unit.replace("\nType=notify\n", f"\nType=oneshot\n{refused}\n"))
        machine.put(f"/run/systemd/system/{name}.service.d/strict.conf", STRICT + allowed)
        machine.run("systemctl", "start", name)
    assert machine.show("refused", "Result", "ExecMainStatus") == {"Result": "signal", "ExecMainStatus": str(int(signal.SIGSYS))}
    assert machine.show("allowed", "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


def status_of_threads(machine):
    process = machine.process()
    numbers = machine.must("ls", f"/proc/{process}/task").split()
    return [dict(line.split(":\t", 1) for line in machine.must("cat", f"/proc/{process}/task/{number}/status").splitlines()) for number in numbers]


def test_it_listens_at_443_and_has_no_right_but_to_that(started):
    assert started.get().text == "a"
    with contextlib.closing(Client(("127.0.0.1", 80))) as plain:
        assert plain.get().text == "a"
    assert started.names.questions > 0
    assert "warning" not in started.journal()

    user, group = (started.must("id", option, "limpet").strip() for option in ("-u", "-g"))
    threads = status_of_threads(started)
    assert len(threads) > 2
    for thread in threads:
        assert thread["Uid"].split() == [user] * 4 and thread["Gid"].split() == [group] * 4
        assert thread["Groups"].split() == [group]
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(thread[kind], 16) == 1 << CAP_NET_BIND_SERVICE, kind
        assert (thread["NoNewPrivs"], thread["Seccomp"]) == ("1", "2")


def test_systemd_is_told_that_it_serves(started):
    told = started.show("limpet", "ActiveState", "SubState", "NotifyAccess", "StatusText", "NRestarts")
    assert told == {"ActiveState": "active", "SubState": "running", "NotifyAccess": "main",
                    "StatusText": "serving at 2 listeners with 2 workers", "NRestarts": "0"}


def test_it_writes_into_its_two_folders_alone(started):
    started.get("/mark")
    eventually(lambda: "/mark" in started.file(LOG).read_text())
    for path, mode in (("/var/lib/limpet", "700"), ("/var/lib/limpet/limpet.keys", "600"), ("/var/log/limpet", "750"), (LOG, "640")):
        assert started.must("stat", "--format=%U %a", path) == f"limpet {mode}\n", path
    process = started.process()
    inside = ["nsenter", "--target", process, "--mount", f"--root=/proc/{process}/root"]
    for path in ("/etc/limpet", "/usr/local/bin", "/var/lib", "/var/log", "/"):
        assert "Read-only file system" in started.run(*inside, "touch", f"{path}/other").stderr, path
    for path in ("/var/lib/limpet", "/var/log/limpet"):
        started.must(*inside, "touch", f"{path}/other")


def test_nobody_but_root_sees_into_it(started):
    process = started.process()
    limits = started.must("cat", f"/proc/{process}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    started.must("head", "-c", "1", f"/proc/{process}/environ")
    for what in ("mem", "environ", "maps"):
        done = started.run("setpriv", "--reuid", "limpet", "--regid", "limpet", "--clear-groups", "head", "-c", "1", f"/proc/{process}/{what}")
        assert "Permission denied" in done.stderr, what


def test_a_reload_takes_up_the_file_and_low_ports(started):
    process = started.process()
    listeners = [{"name": "web", "address": "*:80"}, {"name": "more", "address": "*:81"}]
    for listening, text in ((listeners, "in force"), ([*listeners, {"name": "web"}], "nothing is changed")):
        started.write(listener=listening)
        started.must("systemctl", "reload", "limpet")
        eventually(lambda: text in started.show("limpet", "StatusText")["StatusText"], what=started.journal)
        eventually(lambda: started.show("limpet", "SubState")["SubState"] == "running")
        with contextlib.closing(Client(("127.0.0.1", 81))) as client:
            assert client.get().text == "a"
    assert started.process() == process


def test_a_log_that_was_moved_is_begun_anew(started):
    started.get("/before")
    eventually(lambda: "/before" in started.file(LOG).read_text())
    started.must("mv", LOG, LOG + ".1")
    started.must("systemctl", "kill", "-s", "USR1", "limpet")
    eventually(started.file(LOG).exists)
    started.get("/after")
    eventually(lambda: "/after" in started.file(LOG).read_text())
    assert "/after" not in started.file(LOG + ".1").read_text()


def test_a_renewed_certificate_is_shown_by_itself_once_its_key_can_be_read(started, tmp_path):
    old, new = started.certificate, make(tmp_path, "renewed")
    started.show_certificate(new, key_mode=0o600)
    started.must("systemctl", "reload", "limpet")
    assert f"{FILES}/shop.key cannot be opened: Permission denied" in started.show("limpet", "StatusText")["StatusText"]
    assert started.shown() == old.der()
    started.file(f"{FILES}/shop.key").chmod(0o640)
    eventually(lambda: started.shown() == new.der(), PATIENCE)


def test_no_start_with_a_faulty_file(started):
    started.must("systemctl", "stop", "limpet")
    started.write(workers="many")
    assert started.run("systemctl", "start", "limpet").returncode != 0
    assert "/etc/limpet/limpet.toml:1:" in started.journal() and "workers" in started.journal()


def test_the_end_waits_for_requests(started):
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection, request):
        begun.set()
        assert go_on.wait(PATIENCE)
        answer_by_name(connection, request)

    started.backend.handler = slow
    with contextlib.closing(started.client()) as client:
        client.send(request_bytes())
        assert begun.wait(PATIENCE)
        started.must("systemctl", "stop", "--no-block", "limpet")
        eventually(lambda: started.show("limpet", "SubState")["SubState"] == "stop-sigterm")
        eventually(lambda: "under way" in started.show("limpet", "StatusText")["StatusText"])
        go_on.set()
        assert client.read_response().text == "a"
    eventually(lambda: started.show("limpet", "ActiveState")["ActiveState"] == "inactive")
    assert started.show("limpet", "Result")["Result"] == "success"


@pytest.mark.parametrize("limit", ["1s", pytest.param(None, marks=pytest.mark.soak)], ids=["of a second", "of the unit"])
def test_the_watchdog_starts_anew_what_stands_still(started, limit):
    if limit:
        started.put("/run/systemd/system/limpet.service.d/watchdog.conf", f"[Service]\nWatchdogSec={limit}\n")
        started.must("systemctl", "daemon-reload")
        started.must("systemctl", "restart", "limpet")
    try:
        process = started.process()
        started.must("sh", "-c", f"kill -STOP {process}")
        eventually(lambda: started.show("limpet", "NRestarts", "SubState") == {"NRestarts": "1", "SubState": "running"}, 4 * PATIENCE)
        assert started.process() != process and started.get().text == "a"
        assert "Watchdog timeout" in started.journal() and "status=6/ABRT" in started.journal()
    finally:
        if limit:
            started.file("/run/systemd/system/limpet.service.d/watchdog.conf").unlink()
            started.must("systemctl", "daemon-reload")


class Visitors:
    """Several who ask again and again, each time on a connection of its own, until they are told to stop."""

    def __init__(self, ask, count=4):
        self.answered, self.failed = 0, []
        self._stop = threading.Event()
        self._ask = ask
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _visit(self):
        while not self._stop.is_set():
            try:
                assert self._ask().text == "a"
                self.answered += 1
            except (AssertionError, Closed, OSError) as error:
                self.failed.append(error)

    def go(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_with_its_socket_unit_nobody_is_refused_while_it_is_started_anew(started):
    started.must("systemctl", "stop", "limpet")
    started.must("systemctl", "start", *started.units)
    visitors = Visitors(started.get)
    try:
        for _ in range(3):
            before = visitors.answered
            process = started.process()
            started.must("systemctl", "restart", "limpet")
            assert started.process() != process
            eventually(lambda: visitors.answered > before + 20 or visitors.failed)
    finally:
        visitors.go()
    assert visitors.failed == []
    assert "warning" not in started.journal()
