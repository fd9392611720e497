"""People who use an application through a balancer, and know whether they are still logged in.

The application answers /login?user=NAME, /whoami and /logout with JSON that names the user and the server, and counts the visits
of each session. A user who is served by any other server, or by the right one without their session, notices.
"""

import collections
import http.client
import itertools
import json
import os
import pathlib
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30.0  # seconds


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()
        self.cookies = {}  # name -> value, or None where it is deleted
        for line in response.headers.get_all("Set-Cookie", ()):
            pair, *attributes = (part.strip() for part in line.split(";"))
            name, _, value = pair.partition("=")
            deleted = any(attribute.lower() in ("max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt") for attribute in attributes)
            self.cookies[name] = None if deleted else value

    @property
    def json(self):
        return json.loads(self.text)


class User:
    """One client. Keeps cookies, and its connection for a few requests at a time, as browsers do."""

    def __init__(self, address, name="ana", *, source="127.0.0.1", requests_per_connection=7, tls=None):
        self.address = address  # (host, port)
        self.name = name
        self.source = source
        self.tls = tls  # a context of a client, for one who speaks TLS
        self.jar = {}
        self.fields = {}  # that are sent with every request
        self.home = None  # the server that took the login
        self.first_home = None  # that took the first one
        self.visits = 0
        self._per_connection = requests_per_connection
        self._left = 0
        self._connection = None

    def get(self, target):
        return self.ask("GET", target)

    def ask(self, method, target):
        if not self._left:
            self.close()
            kind, how = (http.client.HTTPSConnection, {"context": self.tls}) if self.tls else (http.client.HTTPConnection, {})
            self._connection = kind(*self.address, timeout=PATIENCE, source_address=(self.source, 0), **how)
            self._left = self._per_connection
        self._left -= 1
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        self._connection.request(method, target, headers={**self.fields, **cookie})
        answer = Answer(self._connection.getresponse())
        self.jar.update(answer.cookies)
        self.jar = {name: value for name, value in self.jar.items() if value is not None}
        return answer

    def close(self):
        self._left = 0
        if self._connection:
            self._connection.close()

    def log_in(self):
        answer = self.get(f"/login?user={self.name}")
        assert answer.status == 200, f"{self.name}: login was answered {answer.status}: {answer.text[:300]}"
        self.home, self.visits = answer.json["server"], 0
        self.first_home = self.first_home or self.home
        return answer

    def check_in(self, target="/whoami"):
        """Asks who they are; nothing may have been forgotten."""
        answer = self.get(target)
        self.visits += 1
        expected = {"user": self.name, "server": self.home, "visits": self.visits}
        assert (answer.status, answer.json if answer.status in (200, 401) else answer.text[:300]) == (200, expected), \
            f"{self.name} of server {self.home}, visit {self.visits}: {answer.status} {answer.text[:300]}"

    def is_logged_out(self):
        return self.get("/whoami").status == 401


class Regular(User):
    """Comes again and again, and knows each time whether they were logged out, and by what. Who was logs in again."""

    def __init__(self, *what, page, **how):
        super().__init__(*what, **how)
        self.page = page  # asks who they are
        self.seen = collections.Counter()

    def log_in(self):
        answer = self.ask("POST", f"/login?user={self.name}")
        assert answer.status == 200, f"{self.name}: login was answered {answer.status}: {answer.text[:300]}"
        self.home, self.visits = answer.json["server"], 0

    def arrive(self):
        """Is a visitor first, so that the login changes the session's id."""
        self.get("/basket")
        self.log_in()
        self.come()

    def log_out(self):
        assert self.get("/logout").status == 200

    def come(self):
        answer = self.get(self.page)
        assert answer.status in (200, 401), f"{self.name} of server {self.home}: {answer.status} {answer.text[:300]}"
        server = answer.json["server"]
        if answer.status == 401:
            self.seen["restart" if server == self.home else "failover"] += 1
            return self.log_in()
        self.visits += 1
        assert answer.json == {"user": self.name, "server": server, "visits": self.visits}, f"{self.name} of server {self.home}: {answer.text}"
        if server != self.home:
            self.seen["carried"] += 1
            self.home = server


class Driver:
    """A process in which all users of a protocol have their clients, as `script` does it."""

    def __init__(self, script, *arguments, authority=None):
        """`authority`: a file with the certificate that clients trust, if they speak TLS."""
        self.process = subprocess.Popen(["node", script, *arguments], cwd=HERE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, **({"NODE_EXTRA_CA_CERTS": authority} if authority else {})})

    def ask(self, user, does, **given):
        self.process.stdin.write(json.dumps({"user": user, "does": does, **given}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "failed" not in answer, f"user {user} cannot {does} {given or ''}: {answer}"
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class McpUser:
    """The same as a Regular, with the SDK's client, which has an event stream as well; the session's calls are counted."""

    def __init__(self, driver, number):
        self.driver, self.number = driver, number
        self.home = None
        self.seen = collections.Counter()

    def log_in(self):
        answer = self.driver.ask(self.number, "begin")
        self.home, self.visits = answer["server"], answer["calls"]
        assert self.visits == 1

    def log_out(self):
        self.driver.ask(self.number, "end")

    arrive = log_in

    def come(self):
        answer = self.driver.ask(self.number, "call")
        if "gone" in answer:
            self.seen["restart" if f"not found by {self.home}" in answer["said"] else "failover"] += 1
            return self.log_in()
        self.visits += 1
        assert answer == {"server": self.home, "calls": self.visits}

    def close(self):
        """Its event stream is its client's affair."""


class SocketUser(McpUser):
    """The same with socket.io's client, which connects again by itself; its calls are counted for each connection."""

    def __init__(self, driver, number, transport="websocket"):
        super().__init__(driver, number)
        self.transport = transport

    def log_in(self):
        super().log_in()
        answer = self.come()
        assert (answer["transport"], answer["refusals"]) == (self.transport, 0)

    arrive = log_in

    def come(self):
        answer = self.driver.ask(self.number, "call")
        if answer["calls"] == 1:
            self.seen["restart" if answer["server"] == self.home else "failover"] += 1
            self.home, self.visits = answer["server"], 1
        else:
            self.visits += 1
            assert (answer["server"], answer["calls"]) == (self.home, self.visits)
        return answer


class Http2Guest:
    """One connection of Node's own client, as http2_users.mjs does what it is told; it keeps cookies."""

    numbers = itertools.count()

    def __init__(self, driver, limpet):
        self.driver, number = driver, next(Http2Guest.numbers)
        self.name = f"guest-{number}"
        url = "%s://%s:%d" % ("https" if limpet.speaking_tls else "http", *limpet.address)
        # A proxy in front says who they are.
        self.do("connect", url=url, fields={"x-forwarded-for": own_address(number)})

    def do(self, does, **given):
        return self.driver.ask(self.name, does, **given)

    def ask(self, path, **given):
        return self.do("ask", path=path, **given)

    def get(self, path):
        """The body of an answer, which has to be good."""
        answer = self.ask(path)
        assert (answer["status"], answer["ended"]) == (200, 0), f"{self.name}: {answer}"
        return answer["body"]


def crowd(address, life, *, users=100, sources=None, tls=None):
    """Lets many users live at once, each life(user) in a thread of its own. Returns how many each server was the first home of: where
    it is faster than the other, its users are, and it has more of those who come back.

    `sources` gives each user an address of their own: the n-th comes from sources(n).
    """
    everybody = [User(address, f"user{index}", source=sources(index) if sources else "127.0.0.1", tls=tls) for index in range(users)]
    faults = []

    def run(user):
        try:
            life(user)
        except Exception as fault:  # whatever it was, the test tells
            faults.append(f"{type(fault).__name__}: {fault}")
        finally:
            user.close()

    threads = [threading.Thread(target=run, args=(user,), daemon=True) for user in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, f"{len(faults)} of {users} users had trouble, the first ones:\n" + "\n".join(faults[:5])
    return collections.Counter(user.first_home for user in everybody)


def own_address(index):
    """A loopback address for the n-th user alone."""
    return f"127.{1 + index // 200}.{index % 200}.{7 + index % 3}"


def stays_logged_in(user, visits=20):
    """A user's day: logs in, is known at every visit, logs out and is not, logs in again and is known again."""
    for _ in range(2):
        user.log_in()
        for _ in range(visits):
            user.check_in()
        assert user.get("/logout").status == 200
        assert user.is_logged_out(), f"{user.name} is still logged in after logging out"
