"""curl, nghttp and h2load as Debian has them: whatever they ask on however many streams is answered, by the one server that has their session."""

import re
import subprocess

import pytest

from support.status import Status, status_table


class Tools:
    """At a Limpet with three servers, with one cookie for them all."""

    def __init__(self, limpet, authority, jar):
        self.limpet, self.authority, self.jar = limpet, authority, jar
        self.url = "%s://%s:%d/who" % ("https" if authority else "http", *limpet.address)
        told = self.run("curl", "-si", *self.trust(), "--cookie-jar", str(jar), self.url)
        self.home = told[-1]
        self.cookie = re.search(r"(?im)^set-cookie: ([^;]+);", told)[1]

    def trust(self):
        return ["--cacert", self.authority, "--http2"] if self.authority else ["--http2-prior-knowledge"]

    @staticmethod
    def run(*command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{done.stdout[-500:]} {done.stderr[-500:]}"
        return done.stdout

    # Each says how many requests it made, all of which were answered.

    def curl(self):
        asks = ["curl", "-s", *self.trust(), "--cookie", str(self.jar), "-w", "%{http_version} %{http_code}\n", "-o", "/dev/null"]
        if self.authority:
            told = self.run(*asks, "--parallel", "--parallel-max", "50", f"{self.url}?[1-100]")
        else:  # where curl 7.88 speaks by prior knowledge it asks once on a connection, whoever serves it
            told = "".join(self.run(*asks, self.url) for _ in range(10))
        answers = told.split("\n")[:-1]
        assert set(answers) == {"2 200"}, told
        return len(answers)

    def nghttp(self):
        told = self.run("nghttp", "--null-out", "--stat", "--multiply=200", f"--header=cookie: {self.cookie}", self.url)
        assert len(re.findall(r"(?m)^ *\d+ .* 200 +\d+ ", told)) == 200, told[:2000]
        return 200

    def h2load(self):
        told = self.run("h2load", "--requests=2000", "--clients=4", "--max-concurrent-streams=50", f"--header=cookie: {self.cookie}", self.url)
        assert "requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout" in told, told
        assert "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx" in told, told
        return 2000


@pytest.fixture
def tools(scene, http2_servers, transport, tmp_path):
    limpet = scene.limpet([server.as_table() for server in http2_servers], pool={"protocol": "h2", "affinity": ["cookie"], "health": {"check": "none"}}, workers=2,
                          listener=transport.listener, status=status_table())
    return Tools(limpet, transport.files.get("certificate"), tmp_path / "jar")


@pytest.mark.parametrize("transport", ["plain", "tls"], indirect=True)
@pytest.mark.parametrize("tool", ["curl", "nghttp", "h2load"])
def test_all_is_answered_by_the_server_that_has_the_session(tools, tool):
    count = 1 + getattr(tools, tool)()
    lines = tools.limpet.log(count)
    assert {(line["backend"], line["status"], line["end"], line["protocol"]) for line in lines} == {(tools.home, 200, "ok", "HTTP/2.0")}
    assert len(lines) == count
    sessions = Status(tools.limpet).pool()["sessions"]
    assert (sessions["live"], sessions["totals"]["opened"]) == (1, 1)


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
def test_curl_that_would_upgrade_is_answered_as_it_is(tools):
    told = tools.run("curl", "-s", "--http2", "--cookie", str(tools.jar), "-w", " %{http_version} %{http_code}", tools.url)
    assert told == f"{tools.home} 1.1 200"
