"""The status endpoint of a running Limpet, as operators' tools see it."""

import http.client
import json
import os
import shutil
import subprocess

from support.limpet import SANITIZER_OPTIONS, Limpet, binary
from support.tls import context
from support.wire import eventually, free_port


def status_table(**keys):
    """A [status] table with an address of its own."""
    return {"address": f"127.0.0.1:{free_port()}", **keys}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Status:
    """Asks over HTTP, each question on a connection of its own. `trusted`: by TLS, and whoever shows this certificate, of support.tls."""

    def __init__(self, limpet, trusted=None):
        self.limpet = limpet
        self.trusted = trusted
        self.address = limpet.config["status"]["address"]
        self.url = f"{'https' if trusted else 'http'}://{self.address}/"
        self.token = limpet.config["status"].get("token")
        eventually(self.answers, what="the status endpoint answers")

    def answers(self):
        try:
            return self.get("/readyz").status in (200, 503)  # which the program's main thread answers
        except OSError:
            return False

    def request(self, method, path, headers=None):
        if self.trusted:
            connection = http.client.HTTPSConnection(self.address, timeout=10, context=context(self.trusted))
        else:
            connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers)

    def post(self, path, *, who="pytest", token=None):
        headers = {"X-Limpet": who} if who else {}
        if token or self.token:
            headers["Authorization"] = f"Bearer {token or self.token}"
        return self.request("POST", path, headers)

    def reload(self, **changes):
        """Writes the file, with other values where they are given, and orders to read it; the answer."""
        self.limpet.config.update(changes)
        self.limpet.write()
        return self.post("/reload")

    # What it says.

    def report(self):
        return self.get("/status").json

    def pool(self, name="app"):
        return next(pool for pool in self.report()["pools"] if pool["name"] == name)

    def backend(self, name, pool="app"):
        found = [backend for backend in self.pool(pool)["backends"] if backend["name"] == name]
        assert found, f"{pool} has no {name}"
        return found[0]

    def incidents(self, kind=None):
        """The newest first."""
        return [incident for incident in self.get("/incidents").json["incidents"] if kind in (None, incident["kind"])]

    def wait_for_state(self, name, state, pool="app"):
        eventually(lambda: self.backend(name, pool)["state"] == state,
                   what=lambda: f"{pool}/{name} is {state}: {self.backend(name, pool)}")
        return self.backend(name, pool)

    def metric(self, name, **labels):
        """The sum of the samples that have these labels."""
        found = [value for one, own, value in self.samples() if one == name and labels.items() <= own.items()]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def samples(self):
        """(name, labels, value); the format itself is held to by the unit tests and promtool."""
        out = []
        for line in self.get("/metrics").text.splitlines():
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            name, _, rest = series.partition("{")
            labels = dict(part.split("=", 1) for part in rest[:-1].split(",")) if rest else {}
            out.append((name, {key: text.strip('"') for key, text in labels.items()}, float(value)))
        return out

    # The commands.

    def command(self, *words, token=None, patience=30):
        """Runs `limpet WORDS` against it: (exit code, stdout, stderr)."""
        env = {**os.environ, **SANITIZER_OPTIONS, "LIMPET_STATUS": self.address}
        for name in ("LIMPET_TOKEN", "LIMPET_CA"):
            env.pop(name, None)
        if token:
            env["LIMPET_TOKEN"] = token
        if self.trusted:
            env["LIMPET_CA"] = self.trusted.authority
        done = subprocess.run([binary(), *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, env=env, text=True)
        Limpet.assert_sane(done.stderr)
        return done.returncode, done.stdout, done.stderr


def adds_up(incident):
    became = ("lost", "carried", "recovered", "abandoned", "expired", "logged_out", "unbound", "evicted", "moved", "reassigned")
    return incident["at_risk"] + incident["joined"] == sum(incident[what] for what in became) + incident["left"]


def promtool():
    """Prometheus' own checker, where there is one."""
    return os.environ.get("PROMTOOL") or shutil.which("promtool")
