"""Drains that begin before Limpet has run for idle_timeout: it does not know all sessions yet, says so, and waits, unless it is told not to."""

import time

import pytest

from support.status import Status, status_table
from support.wire import eventually

pytestmark = pytest.mark.released
COOKIE = {"affinity": ["cookie"]}
SAYS = "may not know all of its sessions"


def started(scene, backends, **pool):
    limpet = scene.limpet(backends, pool={**COOKIE, **pool}, status=status_table())
    return limpet, Status(limpet)


def test_a_session_of_before_a_restart_keeps_its_draining_home(scene):
    """Its token tells of it when it comes: a drain that were over for want of sessions that are known would log it out."""
    backends = scene.backends(2)
    before = scene.limpet(backends, pool=COOKIE)
    browser = before.browser_at("a")
    limpet, status = started(scene, backends, idle_timeout="6s", unreturned_timeout="1s")
    begun = time.monotonic()
    browser.limpet = limpet
    answer = status.post("/pools/app/backends/a/drain", who="ann").json["text"]
    assert answer.startswith("a of app is draining: 0 sessions; Limpet has served this pool for ") and SAYS in answer and "seen for 6 s" in answer and "--known-only" in answer
    time.sleep(2.5)
    drain = status.wait_for_state("a", "draining")["drain"]
    assert (drain["began_with"], drain["left"], drain["unknown"]["idle_timeout_s"]) == (0, 0, 6) and SAYS in drain["unknown"]["text"]
    assert drain["unknown"]["served_s"] >= 2 and 1 <= drain["unknown"]["known_in_s"] <= 4
    incident, = status.incidents("drain")
    assert (incident["at_risk"], incident["end"]) == (0, "open") and incident["detail"] == "ann from 127.0.0.1; Limpet " + SAYS
    limpet.says(SAYS)
    assert SAYS in status.command("status")[1]
    assert "has served this pool for" in limpet.stderr and "has served this pool for" not in status.command("status")[1]

    assert browser.get().text == "a", "its home was taken away"
    assert status.backend("a")["drain"]["left"] == 1
    back = eventually(lambda: (seen := status.backend("a"))["state"] == "maintenance" and seen, 12, "the drain is over")
    assert back["cause"] == "drained" and time.monotonic() - begun > 6
    incident, = status.incidents("drain")
    assert (incident["at_risk"], incident["joined"], incident["expired"], incident["left"], incident["end"]) == (0, 1, 1, 0, "settled")
    assert status.pool()["sessions"]["totals"]["lost"] == 0


def test_the_command_waits_until_all_sessions_are_known_and_says_so(scene):
    limpet, status = started(scene, scene.backends(2), idle_timeout="4s")
    code, out, err = status.command("drain", "app/a", "--wait")
    assert (code, err) == (0, "")
    first, line, *_, last = out.splitlines()
    assert SAYS in first and "--known-only" in first and line.startswith("[........................] no sessions left; Limpet " + SAYS)
    assert last.startswith("app/a is drained after ") and last.endswith(": it began with 0 sessions, none was seen for 4 s")


def test_a_drain_for_known_sessions_alone_is_over_without_any(scene):
    limpet, status = started(scene, scene.backends(2))
    code, out, err = status.command("drain", "app/a", "--wait", "--known-only", patience=10)
    assert (code, err) == (0, "") and out.splitlines()[-1] == "app/a is drained, none was cut" and SAYS not in out
    status.post("/pools/app/backends/b/drain")
    assert status.backend("b")["drain"]["unknown"] is not None
    status.post("/pools/app/backends/b/drain?known_only=true")
    assert status.wait_for_state("b", "maintenance")["cause"] == "drained"


def test_what_leaves_the_file_waits_too(scene):
    limpet, status = started(scene, scene.backends(2), idle_timeout="4s")
    begun = time.monotonic()
    del limpet.config["pool"][0]["backend"][0]
    assert status.reload().status == 200
    time.sleep(1.5)
    assert status.backend("a")["state"] == "draining" and SAYS in status.incidents("drain")[0]["detail"]
    eventually(lambda: [backend["name"] for backend in status.pool()["backends"]] == ["b"], 10, "nothing is left of it")
    assert time.monotonic() - begun > 3


def test_the_deadline_comes_first_where_it_is_shorter(scene):
    limpet, status = started(scene, scene.backends(2), drain_timeout="2s")
    code, out, err = status.command("drain", "app/a", "--wait")
    assert (code, err) == (0, "") and ", none that is known was cut; Limpet has served this pool for " in out.splitlines()[-1]


def test_a_pool_that_has_been_served_for_long_enough_has_no_unknown_sessions(scene):
    limpet, status = started(scene, scene.backends(2), idle_timeout="1s", unreturned_timeout="1s")
    time.sleep(1.2)
    status.post("/pools/app/backends/a/drain")
    assert status.backend("a")["drain"]["unknown"] is None
    assert status.wait_for_state("a", "maintenance")["cause"] == "drained"
    assert not status.incidents("drain") and SAYS not in limpet.stderr
