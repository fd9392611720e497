"""What an outage means for sessions, as the pool's file says: where their data lives, whether they go back, and which requests need
no session at all."""

import pytest

from support.status import Status, status_table

COOKIE = {"affinity": ["cookie"], "passive": {"failures": 1}, "health": {"check": "tcp", "interval": "100ms", "fast_interval": "50ms", "rise": 1}}


def started(scene, backends, **pool):
    limpet = scene.limpet(backends, pool={**COOKIE, **pool}, status=status_table())
    return limpet, Status(limpet)


def browsers_at(limpet, home, count):
    """So many clients whose sessions live there and who have come back once."""
    browsers = [limpet.browser_at(home) for _ in range(count)]
    for browser in browsers:
        browser.get()
    return browsers


def test_a_backup_carries_what_goes_there_and_the_rest_is_lost(scene):
    a, b, c = scene.backends(3)
    tables = [a.as_table(backup="c"), b.as_table(backup="a"), c.as_table(backup="a")]
    limpet, status = started(scene, tables, storage="backup")
    of_a, of_c = browsers_at(limpet, "a", 3), browsers_at(limpet, "c", 2)

    a.die()
    status.wait_for_state("a", "down")
    assert {browser.get().text for browser in of_a} == {"c"}, "the backup was there"
    totals = status.pool()["sessions"]["totals"]
    assert (totals["carried"], totals["lost"]) == (3, 0)

    c.die()  # the backup of c is a, which is down
    status.wait_for_state("c", "down")
    assert {browser.get().text for browser in of_c} == {"b"}
    totals = status.pool()["sessions"]["totals"]
    assert (totals["carried"], totals["lost"]) == (3, 2)
    assert status.pool()["books_imbalance"] == 0


@pytest.mark.parametrize("storage", ["replicated", "shared"])
def test_where_every_backend_has_the_data_nothing_is_lost(scene, storage):
    a, b = scene.backends(2)
    limpet, status = started(scene, [a, b], storage=storage)
    browsers = browsers_at(limpet, "a", 3)
    a.die()
    status.wait_for_state("a", "down")
    assert {browser.get().text for browser in browsers} == {"b"}
    outage, = status.incidents("outage")
    assert (outage["carried"], outage["lost"], outage["at_risk"], outage["left"]) == (3, 0, 3, 0)


@pytest.mark.parametrize("failback, where, reason", [("stay", "b", "bound"), ("return", "a", "failed_back")])
def test_a_session_that_was_carried_away_stays_or_returns(scene, failback, where, reason):
    a, b = scene.backends(2)
    limpet, status = started(scene, [a, b], storage="shared", failback=failback)
    browser, = browsers_at(limpet, "a", 1)
    a.die()
    status.wait_for_state("a", "down")
    assert browser.get().text == "b"
    a.listen()
    status.wait_for_state("a", "up")
    assert browser.get("/back").text == where
    line, = limpet.log_of("/back")
    assert (line["backend"], line["reason"]) == (where, reason)
    assert browser.get().text == where
    assert status.pool()["sessions"]["totals"]["lost"] == 0


def test_a_path_that_needs_no_session_is_served_by_any_backend_and_changes_nothing(scene):
    a, b = scene.backends(2)
    limpet, status = started(scene, [a, b], stateless_paths=["/static"])
    browser, = browsers_at(limpet, "a", 1)
    assert {browser.get("/static/logo.svg").text for _ in range(8)} == {"a", "b"}
    assert browser.get().text == "a"
    assert {line["reason"] for line in limpet.log_of("/static/logo.svg", 8)} == {"stateless"}

    a.die()
    status.wait_for_state("a", "down")
    assert {browser.get("/static/logo.svg").text for _ in range(4)} == {"b"}
    assert status.pool()["sessions"]["totals"]["lost"] == 0, "a request that needs no session cost one"
    assert browser.get().text == "b"
    assert status.pool()["sessions"]["totals"]["lost"] == 1
