"""docs/status.md names what there is: every field, metric, path, order and command."""

import pathlib
import re

from support.session_app import session_servers
from support.status import Status, status_table

DOCUMENT = (pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "status.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", DOCUMENT, flags=re.S)))


def is_named(word):
    return word in NAMED


def fields_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from fields_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields_of(inner)


def busy(scene):
    """A Limpet that has something of everything to tell."""
    servers = session_servers(scene, 3)
    pool = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}, "health": {"check": "tcp", "interval": "200ms"}}
    limpet = scene.limpet(servers, pool=pool, status=status_table())
    for index in range(6):
        user = limpet.browser()
        user.request("POST", "/login", body=b"user")
        user.get("/who")
    status = Status(limpet)
    status.post("/pools/app/backends/a/drain")
    status.post("/pools/app/backends/b/maintenance")
    return status, user


def test_every_field_is_documented(scene):
    status, user = busy(scene)
    report = status.report()
    backend = status.backend("a")
    assert backend["drain"] is not None and report["incidents"], "this report has not everything"
    missing = {field for field in fields_of(report) if not is_named(field)}
    missing |= {field for field in fields_of(status.get(f"/sessions/{user.jar['JSESSIONID']}").json) if not is_named(field)}
    missing -= {"1xx", "2xx", "3xx", "4xx", "5xx"}
    assert not missing


def test_every_metric_is_documented(scene):
    status, _ = busy(scene)
    told = set(re.findall(r"^# TYPE (\S+) ", status.get("/metrics").text, re.M))
    documented = {name for name in NAMED if name.startswith("limpet_") and "…" not in name}
    assert told - documented == set(), "not documented"
    assert documented - told == set(), "documented, but not there"


def test_every_path_is_documented(scene):
    status, _ = busy(scene)
    for line in status.get("/nothing").json["paths"]:
        assert line.partition(" ")[2] in DOCUMENT, line


def test_every_command_is_documented():
    from support.limpet import run
    help_text = run("--help")[1]
    commands = re.findall(r"^  (\w+) {2,}", help_text.partition("Commands that ask a running Limpet:")[2].partition("\n\n")[0], re.M)
    assert len(commands) >= 10
    for command in commands:
        assert re.search(rf"\b{command}\b", DOCUMENT.partition("## Commands")[2].partition("## ")[0]), command
