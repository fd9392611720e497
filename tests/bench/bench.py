"""Measures Limpet beside HAProxy, nginx and a bare byte relay, in one run and in turns, and prints what it cost each of them.

Rates are requests per second of CPU time that the proxy's processes used (user and system, from /proc), so that what else runs on
the machine, the load and the backends among it, matters less; the relay is what the kernel alone takes for moving the bytes.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import load
import machine
import proxies
from proxies import Kind, Task

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = 0.75  # of the relay's rate, for Limpet with its cookie and the access log on

RATES = {  # name of the measurement: affinity, target, fields, title
    "cookie": ("cookie", load.SMALL, load.BROWSER, "a cookie of the proxy's own, 128 B"),
    "bare": ("cookie", load.SMALL, load.BARE, "a cookie of the proxy's own, 128 B, requests with Host and cookies alone"),
    "session-id": ("session-id", load.SMALL, load.BROWSER, "the application's session id, 128 B"),
    "large": ("cookie", load.LARGE, load.BROWSER, "a cookie of the proxy's own, 1 MiB"),
}
MEASUREMENTS = [*RATES, "latency", "idle", "sessions", "log-line"]


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
        self.kinds.append(Kind("haproxy", proxies.haproxy, shutil.which("haproxy")))
        self.kinds.append(Kind("nginx", proxies.nginx, shutil.which("nginx"), has_master=True))
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
        if wrong:
            self.faults.append(f"{name}, {kind.name}: {wrong} requests without a good answer")
        if strays:
            self.faults.append(f"{name}, {kind.name}: {strays} requests came to another server than their session's last one")
        if requests < result["answered"]:
            self.faults.append(f"{name}, {kind.name}: {result['answered']} answers, but only {requests} requests reached a server")
        return wrong, strays

    def running(self, stack, affinity, target, fields=load.BROWSER):
        """Every proxy, started, with clients logged in through it."""
        started = []
        for kind in self.kinds:
            server = stack.enter_context(self.start(kind, Task(affinity)))
            clients = load.log_in(server.port, 300 if self.chosen.quick else 1000)
            heads = clients.write(server.folder / "heads", target, fields)
            load.by_wrk(server.port, heads, 1)
            started.append((kind, server, clients, heads))
        return started

    def rate(self, name):
        affinity, target, fields, title = RATES[name]
        with ExitStack() as stack:
            started = self.running(stack, affinity, target, fields)
            rows = {kind.name: {"rate": [], "per_second": [], "wrong": 0, "strays": 0} for kind in self.kinds}
            for _ in range(self.chosen.rounds):
                for kind, server, clients, heads in started:
                    row, before, used = rows[kind.name], self.counters(), machine.cpu_seconds(server.pids)
                    result, _ = load.by_wrk(server.port, heads, self.chosen.seconds)
                    used = machine.cpu_seconds(server.pids) - used
                    row["rate"].append(result["answered"] / max(used, 1 / machine.TICKS))
                    row["per_second"].append(result["answered"] / self.chosen.seconds)
                    wrong, strays = self.judge(name, kind, result, before)
                    row["wrong"] += wrong
                    row["strays"] += strays
            for kind, server, clients, heads in started:
                rows[kind.name]["at_maker"] = clients.at_maker
                rows[kind.name]["calls"], rows[kind.name]["wakes"] = count_per_request(server, heads)
        self.print_rates(title, rows)
        if affinity == "cookie" and target == load.SMALL and "limpet" in rows:
            ratio = median_ratio(rows["limpet"], rows["relay"])
            self.verdicts.append(f"{name}: Limpet is at {ratio:.2f} of the relay; wanted is {TARGET} or more")

    @staticmethod
    def print_rates(title, rows):
        print(f"\nRequests per CPU-second: {title}, {load.CONNECTIONS} connections, access log to a file")
        print(f"{'':10}{'req/CPU-s':>10}{'of relay':>10}{'req/s':>9}{'calls/req':>11}{'wakes/req':>11}{'not 2xx':>9}{'strays':>8}{'at maker':>10}")
        for name, row in rows.items():
            print(f"{name:10}{statistics.median(row['rate']):10.0f}{median_ratio(row, rows['relay']):10.2f}"
                  f"{statistics.median(row['per_second']):9.0f}{row['calls']:>11}{row['wakes']:>11}{row['wrong']:9}{row['strays']:8}"
                  f"{row['at_maker']:10.0%}", flush=True)

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
            clients = load.log_in(server.port, 10)
            heads = clients.write(server.folder / "heads", load.SMALL)
            load.by_wrk(server.port, heads, 1)
            held = action(server)
            time.sleep(1)
            resident = machine.resident_bytes(server.pids)
            del held
            return resident

    def idle(self):
        files = machine.raise_file_limit(2 * self.chosen.idle + 500)
        count = min(self.chosen.idle, (files - 500) // 2)  # HAProxy wants files for as many backend connections
        kinds = [kind for kind in self.kinds if kind.name != "relay"]  # it holds two sockets for each, and nothing else
        print(f"\nMemory for each of {count} idle client connections (the proxy's own, without the kernel's)")
        self.print_memory(kinds, count, "connection", lambda server: load.hold_idle(server.port, count),
                          Task("cookie"), Task("cookie", connections=count))

    def sessions(self):
        count, program = self.chosen.sessions, str(self.programs / "load")

        def log_in_all(server):
            heads, before = server.folder / "logins", self.counters()
            heads.write_bytes(load.head("/login", [], load.BROWSER).encode())
            load.by_rate(program, server.port, heads, 0, count)
            if (made := self.counters()[1] - before[1]) != count:
                self.faults.append(f"sessions: {made} of {count} were made")

        kinds = [kind for kind in self.kinds if kind.name in ("limpet", "haproxy")]  # the others keep no sessions
        print(f"\nMemory for each of {count} tracked sessions (session-id)")
        self.print_memory(kinds, count, "session", log_in_all,
                          Task("session-id", sessions=1000), Task("session-id", sessions=count + 1000))

    def print_memory(self, kinds, count, unit, action, small, large):
        print(f"{'':10}{'without MiB':>12}{'with MiB':>10}{'B/' + unit:>14}")
        for kind in kinds:
            without = self.resident(kind, small, lambda server: None)
            filled = self.resident(kind, large, action)
            print(f"{kind.name:10}{without / 2**20:12.1f}{filled / 2**20:10.1f}{(filled - without) / count:14.0f}", flush=True)

    def log_line(self):
        print("\nA line of the access log")
        print(subprocess.run([str(self.programs / "access_format")], capture_output=True, text=True, check=True).stdout, end="")

    def run(self):
        print("\n".join(machine.description(self.limpet)))
        if not self.limpet:
            print("There is no Limpet here (build/limpet, or LIMPET_BIN): the others alone.")
        busy, own, begun = machine.busy_seconds(), machine.own_seconds(), time.monotonic()
        with self.stack:
            self.start_origin()
            for name in self.chosen.only:
                if name in RATES:
                    self.rate(name)
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


def count_per_request(server, heads):
    """System calls of the proxy for each request, and how often it woke another process; "?" for what could not be counted."""
    counted = server.folder / "counted"
    if shutil.which("perf"):
        pids = ",".join(map(str, server.pids))
        events = ["-e", "raw_syscalls:sys_enter", "-e", "sched:sched_waking"]
        try:
            result, _ = load.by_wrk(server.port, heads, 2, ["perf", "stat", "-x,", "-o", str(counted), *events, "-p", pids, "--"])
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
            result, _ = load.by_wrk(server.port, heads, 2)
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            calls = re.search(r"^100\.00\s+\S+\s+\d*\s+(\d+)\s.*total$", counted.read_text(), re.M)
            if calls:
                return f"{int(calls[1]) / result['answered']:.2f}", "?"
    return "?", "?"


def main():
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    machine.raise_file_limit(4096)
    programs = ROOT / "build" / "bench"
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as folder:
        return Bench(chosen, Path(os.environ.get("BENCH_PROGRAMS", programs)), Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
