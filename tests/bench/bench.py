"""Measures Limpet beside HAProxy, nginx and a bare byte relay, in one run and in turns, and prints what it cost each of them;
with TLS and with HTTP/2 beside h2o as well, where that is.

Rates are requests per second of CPU time that the proxy's processes used (user and system, from /proc), so that what else runs on
the machine, the load and the backends among it, matters less; the relay is what the kernel alone takes for moving the bytes.
"""
import argparse
import functools
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import http2  # noqa: E402
import load  # noqa: E402
import machine  # noqa: E402
import proxies  # noqa: E402
from proxies import Kind, Task  # noqa: E402
from support import tls  # noqa: E402
from support.wire import eventually  # noqa: E402

TARGET = 0.75  # of the relay's rate, for Limpet with its cookie and the access log on

RATES = {  # name of the measurement: affinity, target, fields, title
    "cookie": ("cookie", load.SMALL, load.BROWSER, "requests, a cookie of the proxy's own, 128 B"),
    "bare": ("cookie", load.SMALL, load.BARE, "requests with Host and cookies alone, a cookie of the proxy's own, 128 B"),
    "session-id": ("session-id", load.SMALL, load.BROWSER, "requests, the application's session id, 128 B"),
    "large": ("cookie", load.LARGE, load.BROWSER, "requests, a cookie of the proxy's own, 1 MiB"),
}
TLS_RATES = {  # kind of certificate, what tls_load.cc is to do, what counts, title, target: of whom, how much
    "tls-rsa": ("rsa", "full", "conn", "TLS 1.3 full handshakes with RSA-2048, a request on each connection", "best", 1.0),
    "tls-ecdsa": ("ecdsa", "full", "conn", "TLS 1.3 full handshakes with P-256, a request on each connection", "best", 1.0),
    "tls-resumed": ("ecdsa", "resumed", "conn", "TLS 1.3 handshakes that resume, a request on each connection", "best", 1.0),
    "tls-kept": ("ecdsa", "kept", "req", "requests over TLS on connections that are kept", "nginx", 1.1),
}
MEASUREMENTS = [*RATES, "latency", "idle", "sessions", "log-line", *TLS_RATES, "tls-idle", *http2.RATES, *http2.MEMORY]


def options():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, fewer connections and sessions")
    parser.add_argument("--rounds", type=int, help="how many times each measurement takes turns (3)")
    parser.add_argument("--seconds", type=int, help="how long each turn takes (4)")
    parser.add_argument("--rate", type=int, default=4000, help="requests per second for latency (4000)")
    parser.add_argument("--only", metavar="NAME,...", help="of " + ", ".join(MEASUREMENTS))
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",") if chosen.only else MEASUREMENTS
    for name in chosen.only:
        if name not in MEASUREMENTS:
            parser.error(f"no measurement is called {name}; there are {', '.join(MEASUREMENTS)}")
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (2 if chosen.quick else 4)
    chosen.idle = 1000 if chosen.quick else 10_000
    chosen.sessions = 50_000 if chosen.quick else 1_000_000
    return chosen


class Bench:
    def __init__(self, chosen, programs, folder):
        self.chosen = chosen
        self.folder = folder
        self.programs = programs
        limpet = os.environ.get("LIMPET_BIN", ROOT / "build" / "limpet")
        self.limpet = str(Path(limpet).resolve()) if Path(limpet).exists() else None
        self.kinds = [Kind("relay", proxies.relay, str(programs / "relay"))]
        if self.limpet:
            self.kinds.append(Kind("limpet", proxies.limpet, self.limpet))
        if before := os.environ.get("LIMPET_BEFORE"):
            self.kinds.append(Kind("before", proxies.older_limpet, str(Path(before).resolve())))
        self.kinds.append(Kind("haproxy", proxies.haproxy, program("haproxy")))
        self.kinds.append(Kind("nginx", proxies.nginx, program("nginx"), has_master=True))
        self.tls_kinds = self.kinds[1:]
        if h2o := program("h2o"):
            self.tls_kinds.append(Kind("h2o", proxies.h2o, h2o))
        self.stack = ExitStack()
        self.faults = []
        self.verdicts = []

    def start_origin(self):
        folder = self.folder / "origin"
        folder.mkdir()
        self.backends = machine.free_ports(3)
        command = [str(self.programs / "origin"), "128", str(1 << 20), *map(str, self.backends)]
        self.origin = self.stack.enter_context(proxies.Server(command, self.backends[0], folder))

    def counters(self):
        """Of the origin: requests, logins, strays."""
        return [int(each) for each in self.origin.get("/counters").split()]

    def start(self, kind, task):
        return proxies.start(kind, self.folder, self.backends, task)

    # What was wrong with an answer or a count makes the run worthless: it is shown beside the numbers and at the end.
    def judge(self, name, kind, result, before):
        requests, _, strays = (now - then for now, then in zip(self.counters(), before))
        wrong = result["not_2xx"] + result["failed"]
        if result.get("wrong_handshakes"):
            self.faults.append(f"{name}, {kind.name}: {result['wrong_handshakes']} handshakes were not the ones to be measured")
        if wrong:
            self.faults.append(f"{name}, {kind.name}: {wrong} requests without a good answer")
        if strays:
            self.faults.append(f"{name}, {kind.name}: {strays} requests came to another server than their session's last one")
        if requests < result["answered"]:
            self.faults.append(f"{name}, {kind.name}: {result['answered']} answers, but only {requests} requests reached a server")
        return wrong, strays

    def log_in(self, kind, server, target, fields):
        clients = load.log_in(server, 300 if self.chosen.quick else 1000)
        return clients, clients.write(server.folder / "heads", target, fields)

    def running(self, stack, affinity, target, fields=load.BROWSER):
        """Every proxy, started, with clients logged in through it."""
        started = []
        for kind in self.kinds:
            server = stack.enter_context(self.start(kind, Task(affinity)))
            clients, heads = self.log_in(kind, server, target, fields)
            load.by_wrk(server.port, heads, 1)
            started.append((kind, server, clients, heads))
        return started

    def take_turns(self, name, started):
        """Of each proxy what came of its turns; `started`: it, its server, its clients, and drive(seconds, prefix)."""
        rows = {kind.name: {"rate": [], "per_second": [], "tickets": 0, "wrong": 0, "strays": 0} for kind, *_ in started}
        for _ in range(self.chosen.rounds):
            for kind, server, _, drive in started:
                row, before, used = rows[kind.name], self.counters(), machine.cpu_seconds(server.pids)
                result = drive(self.chosen.seconds)
                used = machine.cpu_seconds(server.pids) - used
                row["rate"].append(result["answered"] / max(used, 1 / machine.TICKS))
                row["per_second"].append(result["answered"] / self.chosen.seconds)
                row["tickets"] = result.get("tickets", 0) / max(result["answered"], 1)
                wrong, strays = self.judge(name, kind, result, before)
                row["wrong"] += wrong
                row["strays"] += strays
        for kind, server, clients, drive in started:
            rows[kind.name]["at_maker"] = clients.at_maker
            rows[kind.name]["calls"], rows[kind.name]["wakes"] = count_per_request(server, drive)
        return rows

    def rate(self, name):
        affinity, target, fields, title = RATES[name]
        with ExitStack() as stack:
            rows = self.take_turns(name, [
                (kind, server, clients, functools.partial(load.by_wrk, server.port, heads))
                for kind, server, clients, heads in self.running(stack, affinity, target, fields)])
        self.print_rates(f"{title}, {load.CONNECTIONS} connections", "req", rows, "relay")
        if affinity == "cookie" and target == load.SMALL and "limpet" in rows:
            ratio = median_ratio(rows["limpet"], rows["relay"])
            self.verdicts.append(f"{name}: Limpet is at {ratio:.2f} of the relay; wanted is {TARGET} or more")

    def certificate(self, kind):
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        return tls.make(folder, names=["shop.example.com"], kind=kind)

    def tls_rate(self, name):
        certificate, what, counted, title, whom, wanted = TLS_RATES[name]
        task, program = Task("cookie", certificate=self.certificate(certificate)), str(self.programs / "tls_load")
        with ExitStack() as stack:
            started = []
            for kind in self.tls_kinds:
                server = stack.enter_context(self.start(kind, task))
                clients, heads = self.log_in(kind, server, load.SMALL, load.BROWSER)
                drive = functools.partial(load.by_tls, program, server.port, heads, what)
                drive(1)
                started.append((kind, server, clients, drive))
            rows = self.take_turns(name, started)
        self.print_rates(f"{title}, {load.CONNECTIONS} connections", counted, rows, "nginx")
        if "limpet" in rows:
            peers = [peer for peer in rows if peer not in ("limpet", "before")]
            best = max(peers, key=lambda peer: median_ratio(rows[peer], rows["nginx"])) if whom == "best" else whom
            ratio = median_ratio(rows["limpet"], rows[best])
            self.verdicts.append(f"{name}: Limpet is at {ratio:.2f} of {best}; wanted is {wanted} or more")

    @staticmethod
    def print_rates(title, counted, rows, base):
        print(f"\nPer CPU-second: {title}, access log to a file")
        says_tickets = counted == "conn"
        print(f"{'':10}{counted + '/CPU-s':>11}{'of ' + base:>10}{counted + '/s':>9}{'calls/' + counted:>11}{'wakes/' + counted:>11}"
              f"{'not 2xx':>9}{'strays':>8}{'at maker':>10}" + f"{'tickets':>9}" * says_tickets)
        for name, row in rows.items():
            print(f"{name:10}{statistics.median(row['rate']):11.0f}{median_ratio(row, rows[base]):10.2f}"
                  f"{statistics.median(row['per_second']):9.0f}{row['calls']:>11}{row['wakes']:>11}{row['wrong']:9}{row['strays']:8}"
                  f"{row['at_maker']:10.0%}" + f"{row['tickets']:9.2f}" * says_tickets, flush=True)

    def latency(self):
        rate, program = self.chosen.rate, str(self.programs / "load")
        count = rate * self.chosen.seconds
        for affinity in ("cookie", "session-id"):
            with ExitStack() as stack:
                started = self.running(stack, affinity, load.SMALL)
                rows = {kind.name: [] for kind in self.kinds}
                for _ in range(self.chosen.rounds):
                    for kind, server, _, heads in started:
                        before = self.counters()
                        result = load.by_rate(program, server.port, heads, rate, count)
                        self.judge(f"latency, {affinity}", kind, result, before)
                        rows[kind.name].append(result)
            print(f"\nLatency at {rate} requests per second, microseconds, from when each was due: {affinity}, 128 B")
            print(f"{'':10}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'not 2xx':>9}{'failed':>8}")
            for name, results in rows.items():
                times = "".join(f"{statistics.median(each[part] for each in results):9.0f}" for part in ("p50", "p90", "p99", "p999"))
                print(f"{name:10}{times}{sum(each['not_2xx'] for each in results):9}{sum(each['failed'] for each in results):8}",
                      flush=True)

    def resident(self, kind, task, action):
        """Resident bytes of a proxy with this room, after a little traffic and while what `action` did lasts."""
        with self.start(kind, task) as server:
            clients = load.log_in(server, 10)
            heads = clients.write(server.folder / "heads", load.SMALL)
            if task.http2:
                load.by_h2load(server, clients.cookies[0], http2.Rate("", 1, load.CONNECTIONS, over_tls=bool(task.certificate)), 1)
            elif task.certificate:
                load.by_tls(str(self.programs / "tls_load"), server.port, heads, "full", 1)
            else:
                load.by_wrk(server.port, heads, 1)
            with action(server, heads):
                time.sleep(1)
                return machine.resident_bytes(server.pids)

    def idle_connections(self):
        """How many: HAProxy wants files for as many to backends."""
        return min(self.chosen.idle, (machine.raise_file_limit(2 * self.chosen.idle + 500) - 500) // 2)

    def idle(self):
        count = self.idle_connections()
        kinds = [kind for kind in self.kinds if kind.name != "relay"]  # it holds two sockets for each, and nothing else
        print(f"\nMemory for each of {count} idle client connections (the proxy's own, without the kernel's)")
        self.print_memory(kinds, count, "connection", lambda server, _: load.HeldIdle(server.port, count),
                          Task("cookie"), Task("cookie", connections=count))

    def tls_idle(self):
        count, certificate = self.idle_connections(), self.certificate("ecdsa")

        def hold(server, heads):
            held = load.HeldByTls(str(self.programs / "tls_load"), server.port, heads, count)
            wrong = count - held.result["answered"] + held.result["not_2xx"] + held.result["wrong_handshakes"]
            if wrong:
                self.faults.append(f"tls-idle, {server.folder.name}: {wrong} of {count} connections are none to be measured")
            return held

        print(f"\nMemory for each of {count} idle client connections through TLS (the proxy's own, without the kernel's)")
        bytes_of = self.print_memory(self.tls_kinds, count, "connection", hold, Task("cookie", certificate=certificate),
                                     Task("cookie", connections=count, certificate=certificate))
        own = bytes_of.pop("limpet", None)
        bytes_of.pop("before", None)
        if own:
            best = min(bytes_of, key=bytes_of.get)
            self.verdicts.append(f"tls-idle: Limpet is at {own / bytes_of[best]:.2f} of {best}; wanted is 0.5 or less")

    def sessions(self):
        count, program = self.chosen.sessions, str(self.programs / "load")

        def log_in_all(server, _):
            heads, before = server.folder / "logins", self.counters()
            heads.write_bytes(load.head("/login", [], load.BROWSER).encode())
            load.by_rate(program, server.port, heads, 0, count)
            if (made := self.counters()[1] - before[1]) != count:
                self.faults.append(f"sessions: {made} of {count} were made")
            return nullcontext()

        kinds = [kind for kind in self.kinds if kind.name in ("limpet", "haproxy")]  # the others keep no sessions
        print(f"\nMemory for each of {count} tracked sessions (session-id)")
        self.print_memory(kinds, count, "session", log_in_all,
                          Task("session-id", sessions=1000), Task("session-id", sessions=count + 1000))

    def print_memory(self, kinds, count, unit, action, small, large):
        print(f"{'':10}{'without MiB':>12}{'with MiB':>10}{'B/' + unit:>14}")
        bytes_of = {}
        for kind in kinds:
            without = self.resident(kind, small, lambda *_: nullcontext())
            filled = self.resident(kind, large, action)
            bytes_of[kind.name] = (filled - without) / count
            print(f"{kind.name:10}{without / 2**20:12.1f}{filled / 2**20:10.1f}{bytes_of[kind.name]:14.0f}", flush=True)
        return bytes_of

    def log_line(self):
        print("\nA line of the access log")
        print(subprocess.run([str(self.programs / "access_format")], capture_output=True, text=True, check=True).stdout, end="")

    def run(self):
        print("\n".join(machine.description(self.limpet, *(program(name) for name in ("haproxy", "nginx", "h2o")))))
        if not self.limpet:
            print("There is no Limpet here (build/limpet, or LIMPET_BIN): the others alone.")
        busy, own, begun = machine.busy_seconds(), machine.own_seconds(), time.monotonic()
        with self.stack:
            self.start_origin()
            for name in self.chosen.only:
                if name in RATES:
                    self.rate(name)
                elif name in TLS_RATES:
                    self.tls_rate(name)
                elif name in http2.RATES:
                    http2.rate(self, name)
                elif name in http2.MEMORY:
                    http2.memory(self, name)
                else:
                    getattr(self, name.replace("-", "_"))()
        others = (machine.busy_seconds() - busy) - (machine.own_seconds() - own)
        print(f"\nMeanwhile everything else used {others / (time.monotonic() - begun):.1f} of {os.cpu_count()} cores. "
              "The less that is, the more the ratios say.")
        for verdict in self.verdicts:
            print(verdict)
        for fault in self.faults:
            print(f"not valid: {fault}")
        return 1 if self.faults else 0


def median_ratio(row, base):
    """Round by round, so that what slowed a whole round down cancels out."""
    return statistics.median(own / other for own, other in zip(row["rate"], base["rate"]))


def count_per_request(server, drive):
    """System calls of the proxy for each request, and how often it woke another process; "?" for what could not be counted."""
    counted = server.folder / "counted"
    if shutil.which("perf"):
        pids = ",".join(map(str, server.pids))
        events = ["-e", "raw_syscalls:sys_enter", "-e", "sched:sched_waking"]
        try:
            result = drive(2, prefix=["perf", "stat", "-x,", "-o", str(counted), *events, "-p", pids, "--"])
            counts = re.findall(r"^(\d+),", counted.read_text(), re.M)
            if len(counts) == len(events) // 2:
                return tuple(f"{int(each) / result['answered']:.2f}" for each in counts)
        except subprocess.CalledProcessError:  # it may not look
            pass
    if shutil.which("strace"):
        pids = sum((["-p", str(pid)] for pid in server.pids), [])
        tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(counted), *pids], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        if tracer.poll() is None:
            result = drive(2)
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            calls = re.search(r"^100\.00\s+\S+\s+\d*\s+(\d+)\s.*total$", counted.read_text(), re.M)
            if calls:
                return f"{int(calls[1]) / result['answered']:.2f}", "?"
    return "?", "?"


def program(name):
    """HAPROXY_BIN and the like, else what is installed by that name; None: nothing is."""
    return os.environ.get(f"{name.upper()}_BIN") or shutil.which(name)


def main():
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    machine.raise_file_limit(4096)
    programs = ROOT / "build" / "bench"
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as folder:
        return Bench(chosen, Path(os.environ.get("BENCH_PROGRAMS", programs)), Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
