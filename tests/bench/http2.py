"""HTTP/2: requests by h2load, and what idle connections and open streams take. A row with its name in RATES or MEMORY each."""
import functools
import statistics
from contextlib import ExitStack
from dataclasses import dataclass

import load
from proxies import Task
from support.wire import eventually


@dataclass(frozen=True)
class Rate:
    title: str
    streams: int  # at once, of each connection
    connections: int
    target: str = load.SMALL
    over_tls: bool = False
    calls: bool = False  # gRPC, to backends that speak HTTP/2


@dataclass(frozen=True)
class Memory:
    title: str
    streams: int  # open, of each connection; 0: one has been answered
    over_tls: bool = False
    calls: bool = False


# With the more streams the fewer connections, so that some hundred requests are under way.
SMALL_RATES = {1: load.CONNECTIONS, 10: 16, 100: 4}
RATES = {
    f"h2{'-tls' * over_tls}-{streams}": Rate(f"HTTP/2{' over TLS' * over_tls}, 128 B", streams, connections, over_tls=over_tls)
    for over_tls in (False, True) for streams, connections in SMALL_RATES.items()
} | {
    "h2-large": Rate("HTTP/2, 1 MiB", 4, 8, load.LARGE),
    "h2-tls-large": Rate("HTTP/2 over TLS, 1 MiB", 4, 8, load.LARGE, over_tls=True),
    "grpc": Rate("gRPC's unary calls, 128 B", 10, 16, calls=True),
}
MEMORY = {
    "h2-idle": Memory("idle client connections that speak HTTP/2", 0),
    "h2-tls-idle": Memory("idle client connections that speak HTTP/2 over TLS", 0, over_tls=True),
    "h2-streams": Memory("streams that wait for their answers, 100 of a connection", 100),
    "grpc-streams": Memory("such streams where the backends speak HTTP/2 as well", 100, calls=True),
}


def kinds(bench, calls):
    """h2o 2.2 speaks HTTP/1 alone to backends."""
    return [kind for kind in bench.tls_kinds if not (calls and kind.name == "h2o")]


def task_of(bench, row, **room):
    return Task("cookie", http2=True, certificate=bench.certificate("ecdsa") if row.over_tls else None, calls=row.calls, **room)


def rate(bench, name):
    row = RATES[name]
    task = task_of(bench, row, requests=row.streams * row.connections)
    with ExitStack() as stack:
        started = []
        for kind in kinds(bench, row.calls):
            server = stack.enter_context(bench.start(kind, task))
            clients = load.log_in(server, 30)
            drive = functools.partial(load.by_h2load, server, clients.cookies[0], row)
            drive(1)
            started.append((kind, server, clients, drive))
        rows = bench.take_turns(name, started)
    bench.print_rates(f"{row.title}, {row.connections} connections of {row.streams} streams", "req", rows, "nginx")
    if "limpet" in rows:
        bench.verdicts.append(f"{name}: Limpet is at {ahead(rows)}; wanted is more than 1 of each")


def ahead(rows):
    """Of each peer, with the least and the most of single rounds."""
    return ", ".join(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of {peer}"
                     for peer, row in rows.items() if peer not in ("limpet", "before")
                     for ratios in [[own / other for own, other in zip(rows["limpet"]["rate"], row["rate"])]])


def memory(bench, name):
    row = MEMORY[name]
    count = min(bench.idle_connections(), 4000) if row.streams else bench.idle_connections()

    def hold(server, _):
        before = bench.counters()[0]
        held = load.HeldByHttp2(server.port, count, row)
        eventually(lambda: bench.counters()[0] - before >= count)
        return held

    print(f"\nMemory for each of {count} {row.title} (the proxy's own, without the kernel's)")
    bytes_of = bench.print_memory(kinds(bench, row.calls), count, "stream" if row.streams else "connection", hold,
                                  task_of(bench, row), task_of(bench, row, connections=2 * count))
    own = bytes_of.pop("limpet", None)
    bytes_of.pop("before", None)
    if own:
        ratios = ", ".join(f"{own / other:.2f} of {peer}" for peer, other in bytes_of.items())
        bench.verdicts.append(f"{name}: Limpet is at {ratios}; wanted is less than 1 of each")
