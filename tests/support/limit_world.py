"""Who is there while limits are changed by reloads: clients who have to be served at home all the while, and those who try what holds."""

import pathlib
import re
import threading
import time
import tomllib

from support.busy import Busy
from support.client import new_address, request_bytes
from support.limpet import settings
from support.status import Status, status_table
from support.tls import make, tls_table
from support.wire import eventually, free_port

SHIPPED = tomllib.loads((pathlib.Path(__file__).parents[2] / "conf/limpet.toml").read_text())
IS_LIMIT = re.compile(r"(limits|timeouts|listener\.limits|pool\.rate)\..+|pool\.(backend\.)?(max_|queue_|shed).*")


def flat(table, path=""):
    """(dotted key, value) of everything in it."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from flat(item, f"{path}{key}.")
        else:
            yield path + key, value


DEFAULTS = {key: value for key, value in flat(SHIPPED) if IS_LIMIT.fullmatch(key)}


class Load:
    """Clients with sessions at backends a and b, by both listeners, half of them by HTTP/2. Each asks, pauses, and asks again, over a
    connection that it keeps or over a new one each time."""

    def __init__(self, limpet):
        self.keeps, self.is_over = True, False
        self.browsers = {"plain": [], "tls": []}
        for listener, count in (("plain", 8), ("tls", 4)):
            while len(self.browsers[listener]) < count:
                browser = limpet.browser(listener=listener, http2=len(self.browsers[listener]) % 2 == 0)
                browser.home = browser.get("/quick").text
                if browser.home != "c":
                    self.browsers[listener].append(browser)
        self.all = sum(self.browsers.values(), [])
        self.answered, self.faults = {browser: 0 for browser in self.all}, []
        self.threads = [threading.Thread(target=self.run, args=(browser,)) for browser in self.all]
        for thread in self.threads:
            thread.start()

    def run(self, browser):
        while not self.is_over:
            browser.keep_alive = self.keeps
            try:
                answer = browser.get("/quick")
                if (answer.status, answer.text) != (200, browser.home):
                    self.faults.append(f"{answer.status} by {answer.text}, at home at {browser.home}")
            except Exception as error:  # whatever it is, it is no answer
                self.faults.append(repr(error))
                browser._client = None
            self.answered[browser] += 1
            time.sleep(0.02)

    def go_on(self, keeps=None):
        """Each has asked and been answered, over connections as they are to be from now on."""
        self.keeps = self.keeps if keeps is None else keeps
        before = dict(self.answered)
        eventually(lambda: all(self.answered[browser] >= before[browser] + 2 for browser in self.all), what="everybody is served")

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(10)


class World:
    """What is changed, and who tries it."""

    def __init__(self, scene, folder):
        backends = scene.backends(3)
        self.busy = Busy(*backends)
        listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}"}, {"name": "tls", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(make(folder))}]
        self.limpet = scene.start(settings(backends, pool={"affinity": ["cookie"], "health": {"check": "none"}}, listeners=listeners, workers=2, status=status_table()))
        self.status = Status(self.limpet)
        self.load = Load(self.limpet)
        self.known = []  # with sessions at c
        while len(self.known) < 8:
            browser = self.limpet.browser(http2=len(self.known) % 2 == 0)
            if browser.get("/quick").text == "c":
                self.known.append(browser)
        self.kept = self.limpet.http2("plain")  # for as long as it lasts
        self.done = 0
        self.under_way, self.answers = [], []

    def put(self, changes):
        """The default settings, and these; what is to hold of every listener or backend, or of some by name."""
        config = self.limpet.config
        tables = {"limits": {}, "timeouts": {}}
        pool = {key: value for key, value in config["pool"][0].items() if not IS_LIMIT.fullmatch(f"pool.{key}") and key not in ("rate", "backend")}
        pool |= {"rate": {}, "backend": [{key: value for key, value in one.items() if not IS_LIMIT.fullmatch(f"pool.backend.{key}")} for one in config["pool"][0]["backend"]]}
        listeners = [{**listener, "limits": {}} for listener in config["listener"]]
        for key, value in changes.items():
            path, _, name = key.rpartition(".")
            for table in {"limits": [tables["limits"]], "timeouts": [tables["timeouts"]], "listener.limits": [one["limits"] for one in listeners],
                          "pool": [pool], "pool.rate": [pool["rate"]], "pool.backend": pool["backend"]}[path]:
                if not isinstance(value, dict):
                    table[name] = value
                elif table["name"] in value:
                    table[name] = value[table["name"]]
        config |= {**tables, "listener": listeners, "pool": [pool]}
        assert "is in force" in self.limpet.reload()
        self.done += 1

    def listener(self, name):
        return next(listener for listener in self.status.report()["listeners"] if listener["name"] == name)

    # Who asks.

    def statuses(self, *fields, target="/quick", body=None):
        """By HTTP/1.1, by HTTP/2, and on a connection by HTTP/2 that was there before the reload."""
        if not self.kept.takes_more():
            self.kept = self.limpet.http2("plain")
        how = "POST" if body else "GET", target, fields, body
        new = self.limpet.http2("plain")
        of_each = self.limpet.request(*how, listener="plain", source=new_address()), new.request(*how), self.kept.request(*how)
        new.close()
        return [answer.status for answer in of_each]

    def newcomer(self):
        return self.limpet.browser().get("/quick").status

    def passed(self, count, source, cookies=""):
        """How many of so many requests at once, of one client, are answered 200 (the others are refused for the rate); and in how many
        seconds."""
        client = self.limpet.client("plain", source=source)
        began = time.monotonic()
        client.send(request_bytes("GET", "/quick", [f"Cookie: {cookies}"] if cookies else []) * count)
        statuses = [client.read_response().status for _ in range(count)]
        took = time.monotonic() - began
        client.close()
        assert set(statuses) <= {200, 429}
        return statuses.count(200), took

    def hold(self, count, more=0):
        """So many clients of c ask for what takes long; as many are served, and `more` wait."""
        there = len(self.under_way) - len(self.answers)
        for browser in self.known[len(self.under_way):][:count + more - there]:
            thread = threading.Thread(target=lambda one=browser: self.answers.append(one.get("/long").status))
            self.under_way.append(thread)
            thread.start()
        eventually(lambda: self.busy.here["c"] == count and self.status.backend("c")["waiting"] == more, what=lambda: (self.busy.here, self.status.backend("c")))

    def let_go(self, *expected):
        """What was held is answered: 200 all, or as said."""
        self.busy.let_go(len(self.under_way))
        for thread in self.under_way:
            thread.join(10)
        self.busy.gates = threading.Semaphore(0)
        answers, self.answers, self.under_way = self.answers, [], []
        assert sorted(answers) == sorted(expected or [200] * len(answers))
