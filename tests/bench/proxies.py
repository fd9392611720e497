"""The proxies, each with one worker, set up for the same task: three backends, affinity, keep-alive on both sides, the client's
address in X-Forwarded-For, and an access log of every request to a file; TLS and HTTP/2 as whoever knows them well would set it up."""
import http.client
import os
import ssl
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import machine

KEEP_SECONDS = 600  # no timeout falls into a measurement


@dataclass(frozen=True)
class Task:
    affinity: str  # "cookie" or "session-id"
    connections: int = 1024  # room for so many clients
    sessions: int = 100_000  # room in the table
    certificate: object = None  # of support.tls: the listener speaks TLS and shows this
    http2: bool = False  # so does the listener; without TLS by prior knowledge
    calls: bool = False  # gRPC: the backends speak HTTP/2 as well
    requests: int = 64  # under way at once: room for idle connections to backends
    h1_port: int = 0  # beside a listener that speaks HTTP/2 one for HTTP/1, to log in by


def limpet(program, folder, port, backends, task):
    return older_limpet(program, folder, port, backends, task, f'[status]\naddress = "127.0.0.1:{machine.free_ports(1)[0]}"')


def older_limpet(program, folder, port, backends, task, status=""):
    """One that may not know `status` yet."""
    session_id = '[pool.session_id]\nsources = ["cookie:JSESSIONID"]\n' if task.affinity == "session-id" else ""
    servers = "".join(f'[[pool.backend]]\nname = "b{each}"\naddress = "127.0.0.1:{each}"\n' for each in backends)
    shown = task.certificate
    tls = f'[listener.tls]\ncertificates = [{{ file = "{shown.file}", key = "{shown.key}" }}]' if shown else ""
    h1 = f'[[listener]]\nname = "h1"\naddress = "127.0.0.1:{task.h1_port}"' if task.http2 else ""
    protocol = 'protocol = "h2"' if task.calls else ""
    config = folder / "limpet.toml"
    config.write_text(f"""
workers = 1
log.access = "access.log"
timeouts.idle = "{KEEP_SECONDS}s"
{status}
[[listener]]
name = "web"
address = "127.0.0.1:{port}"
{tls}
{h1}
[[pool]]
name = "shop"
{protocol}
affinity = "{task.affinity}"
max_sessions = {task.sessions}
unreturned_timeout = "{KEEP_SECONDS}s"
{session_id}{servers}""")
    return [program, "run", str(config)]


def haproxy(program, folder, port, backends, task):
    if task.affinity == "cookie":
        affinity, mark = "cookie SERVER insert indirect nocache", "cookie b{}"
    else:
        affinity = f"""stick-table type string len 40 size {task.sessions} expire 30m
    stick match req.cook(JSESSIONID)
    stick store-response res.cook(JSESSIONID)"""
        mark = ""
    protocol = "proto h2" if task.calls else ""
    servers = "\n    ".join(f"server b{each} 127.0.0.1:{each} {protocol} {mark.format(each)}" for each in backends)
    how = "proto h2" if task.http2 else ""
    if task.certificate:
        both = folder / "both.pem"
        both.write_text(Path(task.certificate.file).read_text() + Path(task.certificate.key).read_text())
        how = f"ssl crt {both} alpn {'h2,' if task.http2 else ''}http/1.1"
    h1 = f"bind 127.0.0.1:{task.h1_port}" if task.http2 else ""
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    maxconn {task.connections + 100}
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 5s
    timeout client {KEEP_SECONDS}s
    timeout server {KEEP_SECONDS}s
    timeout http-keep-alive {KEEP_SECONDS}s
frontend web
    bind 127.0.0.1:{port} {how}
    {h1}
    default_backend shop
backend shop
    http-reuse always
    {affinity}
    {servers}
""")
    return [program, "-db", "-f", str(config)]


def nginx(program, folder, port, backends, task):
    servers = "\n        ".join(f"server 127.0.0.1:{each};" for each in backends)
    config = folder / "nginx.conf"
    temporary = "\n    ".join(f"{each}_temp_path {folder}/{each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    tls = f"ssl_certificate {task.certificate.file}; ssl_certificate_key {task.certificate.key};" if task.certificate else ""
    user = "user root;" if os.geteuid() == 0 else ""
    h1 = f"listen 127.0.0.1:{task.h1_port};" if task.http2 else ""
    to_backends = """grpc_pass grpc://shop;
            grpc_set_header Host $host;
            grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;""" if task.calls else """proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_max_temp_file_size 0;"""
    config.write_text(f"""
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections {task.connections + 1000}; }}
http {{
    {temporary}
    access_log {folder}/access.log combined buffer=64k flush=1s;
    keepalive_timeout {KEEP_SECONDS}s;
    keepalive_requests 1000000000;
    upstream shop {{
        hash $cookie_JSESSIONID consistent;
        {servers}
        keepalive {task.requests};
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 {"ssl" if tls else ""} {"http2" if task.http2 else ""};
        {h1}
        {tls}
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            {to_backends}
        }}
    }}
}}
""")
    return [program, "-e", "stderr", "-p", str(folder), "-c", str(config)]


def h2o(program, folder, port, backends, task):
    """To one of the backends: it has no affinity."""
    config = folder / "h2o.conf"
    user = "user: root" if os.geteuid() == 0 else ""
    tls = f"""ssl:
    certificate-file: {task.certificate.file}
    key-file: {task.certificate.key}
    neverbleed: OFF  # a process of its own for the keys, as the others have none""" if task.certificate else ""
    h1 = f"listen:\n  host: 127.0.0.1\n  port: {task.h1_port}" if task.http2 else ""
    config.write_text(f"""
{user}
num-threads: 1
max-connections: {task.connections + 100}
http1-request-timeout: {KEEP_SECONDS}
http2-idle-timeout: {KEEP_SECONDS}
listen:
  host: 127.0.0.1
  port: {port}
  {tls}
{h1}
ssl-session-resumption:
  mode: ticket
access-log: {folder}/access.log
proxy.timeout.keepalive: {KEEP_SECONDS * 1000}
proxy.preserve-host: ON
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{backends[0]}/
""")
    return [program, "-c", str(config)]


def relay(program, _folder, port, backends, _task):
    return [program, str(port), str(backends[0])]


@dataclass(frozen=True)
class Kind:
    """A proxy that can be started."""

    name: str
    command: object  # of the above
    program: str
    has_master: bool = False  # which only watches: the workers are its children


class Server:
    """A process of ours that listens, from start to end."""

    def __init__(self, command, port, folder, has_master=False, speaks_tls=False, h1_port=None):
        self.port = port
        self.h1_port = h1_port or port
        self.speaks_tls = speaks_tls
        self.folder = folder
        with open(folder / "stdout", "w") as out, open(folder / "stderr", "w") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self._wait_until_it_listens(command)
        self.pids = machine.children(self.process.pid) if has_master else [self.process.pid]

    def _wait_until_it_listens(self, command):
        for _ in range(100):
            if self.process.poll() is not None:
                break
            try:
                self.get("/counters")
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise SystemExit(f"{command[0]} did not start:\n{(self.folder / 'stderr').read_text()}")

    def connect(self):
        if not self.speaks_tls or self.h1_port != self.port:
            return http.client.HTTPConnection("127.0.0.1", self.h1_port, timeout=10)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=ssl._create_unverified_context())

    def get(self, target):
        connection = self.connect()
        try:
            connection.request("GET", target)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def start(kind, parent, backends, task):
    folder = Path(parent) / f"{kind.name}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    port, h1_port = machine.free_ports(2)
    if task.http2:
        task = replace(task, h1_port=h1_port)
    command = kind.command(kind.program, folder, port, backends, task)
    return Server(command, port, folder, kind.has_master, speaks_tls=task.certificate is not None, h1_port=task.h1_port)
