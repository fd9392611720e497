"""Clients: they log in, and then ask again and again with what a browser sends."""
import json
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass

from support import h2_crowds

BARE = {"Host": "shop.example.com"}  # and the cookies: as short as a request can be
BROWSER = BARE | {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://shop.example.com/catalogue?page=2",
}
OWN_COOKIES = "theme=dark; consent=yes; _ga=GA1.2.1234567890.1738368000"
SMALL, LARGE = "/cart/items?page=2&sort=price", "/large/catalogue.pdf"
CONNECTIONS = 64

# wrk sends the heads of a file in turn, and says at the end what came of it.
WRK_SCRIPT = """
local file = io.open("%s", "rb")
local heads, next_one = {}, 0
for head in file:read("*a"):gmatch("(.-\\r\\n\\r\\n)") do heads[#heads + 1] = head end
file:close()
function request()
  next_one = next_one %% #heads + 1
  return heads[next_one]
end
function done(summary, latency)
  local bad = summary.errors
  io.write(string.format('{"answered": %%d, "not_2xx": %%d, "failed": %%d}\\n', summary.requests, bad.status,
                         bad.connect + bad.read + bad.write + bad.timeout))
end
"""


def head(target, cookies, fields):
    own = [] if fields is BARE else [OWN_COOKIES]
    fields = fields | {"Cookie": "; ".join([*own, *cookies])}
    return f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"


@dataclass
class Clients:
    """Each with a session, known to the application and, where it has a cookie of its own, to the proxy."""

    cookies: list  # of each client, "name=value"s
    at_maker: float  # the part whose next request came to the server that had made their session

    def write(self, path, target, fields=BROWSER):
        path.write_bytes("".join(head(target, cookies, fields) for cookies in self.cookies).encode())
        return path


def log_in(server, count):
    connection = server.connect()

    def ask(target, cookies):
        connection.request("GET", target, headers=BROWSER | {"Cookie": "; ".join([OWN_COOKIES, *cookies])})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"a login at {server.folder.name} was answered {answer.status}")
        fresh = [field.split(";")[0] for field in answer.headers.get_all("Set-Cookie") or []]
        return answer.headers["X-Backend"], fresh

    clients, stayed = [], 0
    for _ in range(count):
        maker, cookies = ask("/login", [])
        server, _ = ask(SMALL, cookies)
        stayed += server == maker
        clients.append(cookies)
    connection.close()
    return Clients(clients, stayed / count)


def by_wrk(port, heads, seconds, prefix=()):
    """As fast as answers come, for so long; by CONNECTIONS connections of one thread."""
    script = heads.with_suffix(".lua")
    script.write_text(WRK_SCRIPT % heads)
    command = [*prefix, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(re.search(r"^\{.*\}$", done.stdout, re.M)[0])


def by_rate(program, port, heads, rate, count):
    """At a fixed rate, whatever the answers do; rate 0: as fast as answers come, and exactly `count` requests."""
    command = [program, str(port), str(heads), str(CONNECTIONS), str(rate), str(count)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def by_tls(program, port, heads, kind, seconds, prefix=()):
    """As fast as answers come, for so long; `kind` says of what connections, as tls_load.cc has it."""
    command = [*prefix, program, kind, str(port), str(heads), str(CONNECTIONS), str(seconds)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


# One message of gRPC: not compressed, its length, itself.
MESSAGE = b"\0\0\0\0\x40" + 64 * b"m"


def by_h2load(server, cookies, row, seconds, prefix=()):
    """As fast as answers come, for so long, as `row` says; all connections are of one client."""
    fields = {name.lower(): value for name, value in BROWSER.items() if name != "Host"}
    call = []
    if row.calls:
        message = server.folder / "message"
        message.write_bytes(MESSAGE)
        fields = {"content-type": "application/grpc", "te": "trailers", "user-agent": "grpc-bench/1"}
        call = ["-d", str(message)]
    # A browser sends each cookie in a field of its own, so that few change (RFC 9113, section 8.2.3).
    crumbs = [*([] if row.calls else OWN_COOKIES.split("; ")), *cookies]
    lines = [":authority: " + BARE["Host"], *(f"{name}: {value}" for name, value in fields.items()), *(f"cookie: {each}" for each in crumbs)]
    url = f"{'https' if row.over_tls else 'http'}://127.0.0.1:{server.port}{row.target}"
    command = [*prefix, "h2load", "-t1", f"-c{row.connections}", f"-m{row.streams}", f"-D{seconds}", "--tls13-ciphers=TLS_AES_128_GCM_SHA256",
               "--groups=X25519", *call, *(part for line in lines for part in ("-H", line)), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done, failed, errored = (int(each) for each in re.search(r"requests: .* (\d+) done, .* (\d+) failed, (\d+) errored", said).groups())
    others = re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said).groups()
    return {"answered": done, "not_2xx": sum(map(int, others)), "failed": failed + errored}


class HeldByHttp2:
    """Connections of HTTP/2, held until this ends: with so many streams in all that are not answered, or so many with one that was."""

    def __init__(self, port, count, row):
        how = ssl.create_default_context()
        how.check_hostname, how.verify_mode = False, ssl.CERT_NONE
        how.set_alpn_protocols(["h2"])
        targets = ("/hold",) * row.streams or (SMALL,)
        fields = tuple((name.lower(), value) for name, value in BROWSER.items() if name != "Host")
        opening = h2_crowds.opening(targets, fields, "https" if row.over_tls else "http")
        self.connections = []
        for _ in range(count // len(targets)):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            self.connections.append(how.wrap_socket(connection, server_hostname=BARE["Host"]) if row.over_tls else connection)
            self.connections[-1].sendall(opening)
            if not row.streams:
                h2_crowds.read_answers(self.connections[-1], 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()


class HeldByTls:
    """So many connections through TLS, each with one request answered, held until this ends."""

    def __init__(self, program, port, heads, count):
        command = [program, "idle", str(port), str(heads), str(count)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.result = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


class HeldIdle:
    """The same without TLS."""

    def __init__(self, port, count):
        request = head(SMALL, [], BROWSER).encode()
        self.connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(request)
            while connection.recv(65536)[-1:] != b"s":  # the small body's letter
                pass
            self.connections.append(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()
