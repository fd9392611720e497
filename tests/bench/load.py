"""Clients: they log in, and then ask again and again with what a browser sends."""
import json
import re
import socket
import subprocess
from dataclasses import dataclass

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
