"""Orders at the status endpoint: what they do to a backend, to its sessions and to the file; who may give them; what the log says."""

import pytest

from support.limpet import settings, to_toml
from support.session_app import session_servers
from support.status import Status, status_table
from support.wire import eventually

SESSION_POOL = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}


def session_scene(scene, count=2, *, status=None, **pool):
    servers = session_servers(scene, count)
    limpet = scene.limpet(servers, pool={**SESSION_POOL, **pool}, status=status_table(**(status or {})))
    return limpet, Status(limpet)


def logged_in(limpet, count):
    """Users by the backend that they are at."""
    users = {}
    for index in range(count):
        user = limpet.browser()
        home = user.request("POST", "/login", body=f"user{index}".encode()).text.partition(":")[0]
        users.setdefault(home, []).append(user)
    return users


def test_a_draining_backend_keeps_its_sessions_and_gets_no_new_ones(scene):
    limpet, status = session_scene(scene)
    users = logged_in(limpet, 8)
    answer = status.post("/pools/app/backends/a/drain", who="alice")
    assert answer.status == 200 and answer.json["text"]
    backend = status.wait_for_state("a", "draining")
    assert backend["why"] == "ordered by alice from 127.0.0.1"
    assert backend["drain"]["began_with"] == backend["drain"]["left"] == 4
    assert set(logged_in(limpet, 6)) == {"b"}
    assert all(user.get("/who").text.startswith("a:") for user in users["a"])
    limpet.says("alice from 127.0.0.1")


def test_a_drain_is_over_when_the_last_session_has_ended(scene):
    limpet, status = session_scene(scene)
    users = logged_in(limpet, 4)
    status.post("/pools/app/backends/a/drain?known_only=true")
    for user in users["a"]:
        user.request("POST", "/logout")
    backend = status.wait_for_state("a", "maintenance")
    assert backend["cause"] == "drained" and backend["sessions"]["live"] == 0
    drain = status.incidents("drain")[0]
    assert (drain["at_risk"], drain["logged_out"], drain["left"], drain["end"]) == (2, 2, 0, "settled")
    assert drain["lost"] == 0


def test_a_drain_is_cut_at_its_deadline(scene):
    limpet, status = session_scene(scene, drain_timeout="1500ms")
    users = logged_in(limpet, 4)
    status.post("/pools/app/backends/a/drain")
    assert status.wait_for_state("a", "maintenance")["cause"] == "drain_timeout"
    assert status.incidents("drain")[0]["left"] == 2
    assert status.pool()["sessions"]["at_risk"] == 2
    assert all(user.get("/who").status == 401 for user in users["a"])
    assert eventually(lambda: status.incidents("maintenance")[0]["lost"] == 2)


def test_an_undrained_backend_gets_new_sessions_again(scene):
    limpet, status = session_scene(scene)
    status.post("/pools/app/backends/a/drain")
    assert status.post("/pools/app/backends/a/undrain").status == 200
    status.wait_for_state("a", "up")
    assert set(logged_in(limpet, 4)) == {"a", "b"}


def test_maintenance_moves_sessions_at_once_and_up_brings_back_who_waited(scene):
    limpet, status = session_scene(scene)
    users = logged_in(limpet, 8)
    for user in [user for home in users.values() for user in home]:
        user.get("/who")
    status.post("/pools/app/backends/a/maintenance", who="bob")
    assert status.backend("a")["state"] == "maintenance"
    assert status.pool()["sessions"]["at_risk"] == 4
    assert [user.get("/who").status for user in users["a"][:3]] == [401] * 3
    status.post("/pools/app/backends/a/up", who="bob")
    status.wait_for_state("a", "up")
    sessions = status.pool()["sessions"]
    assert (sessions["at_risk"], sessions["totals"]["lost"], sessions["totals"]["recovered"]) == (1, 3, 0)
    assert users["a"][3].get("/who").text.startswith("a:")
    incident = status.incidents("maintenance")[0]
    assert (incident["at_risk"], incident["lost"], incident["recovered"]) == (4, 3, 1)


@pytest.mark.parametrize("order", ["undrain"])
def test_an_order_that_makes_no_sense_now_is_refused_with_the_state(scene, order):
    limpet, status = session_scene(scene)
    answer = status.post(f"/pools/app/backends/a/{order}")
    assert answer.status == 409 and "up" in answer.json["error"]


def test_a_session_is_unbound_and_pinned(scene):
    limpet, status = session_scene(scene)
    user = logged_in(limpet, 1).popitem()[1][0]
    key, home = user.jar["JSESSIONID"], user.get("/who").text.partition(":")[0]
    other = "b" if home == "a" else "a"
    assert status.post(f"/pools/app/sessions/{key}/pin?backend={other}", who="alice").status == 200
    assert status.get(f"/sessions/{key}").json["sessions"][0]["backend"] == other
    assert user.get("/who").text == f"{other}:nobody"
    assert status.pool()["sessions"]["totals"]["moved"] == 1
    assert status.post(f"/pools/app/sessions/{key}/unbind", who="alice").status == 200
    assert status.get(f"/sessions/{key}").status == 404
    assert status.pool()["sessions"]["totals"]["unbound"] == 1
    assert status.post("/pools/app/sessions/nobody/unbind").status == 404
    assert status.pool()["books_imbalance"] == 0
    eventually(lambda: limpet.stderr.count("alice from 127.0.0.1") == 2)


def test_a_reload_takes_a_good_file_and_refuses_a_faulty_one(scene):
    limpet, status = session_scene(scene)
    users = logged_in(limpet, 4)
    limpet.write(to_toml(limpet.config) + "\nno_such_key = 1\n")
    answer = status.post("/reload")
    assert answer.status != 200 and "no_such_key" in answer.json["error"]
    assert status.report()["reloads"] == {"done": 0, "refused": 1}
    limpet.config["pool"][0]["backend"].append(scene.backend("c").as_table())
    assert status.reload().status == 200
    assert status.report()["reloads"] == {"done": 1, "refused": 1}
    assert [backend["name"] for backend in status.pool()["backends"]] == ["a", "b", "c"]
    assert all(user.get("/who").text.startswith(f"{home}:") for home in users for user in users[home])


def test_changes_need_the_token_and_reads_do_not(scene):
    token = "0123456789abcdef"
    limpet, status = session_scene(scene, status={"token": token})
    assert status.get("/status").status == 200
    answer = status.request("POST", "/pools/app/backends/a/drain", {"X-Limpet": "eve"})
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    for wrong in (token[:-1], token + "x", token.upper(), "x"):
        assert status.post("/pools/app/backends/a/drain", token=wrong).status == 401
    assert status.backend("a")["state"] == "up"
    assert status.post("/pools/app/backends/a/drain", token=token).status == 200
    assert token not in limpet.stderr + status.get("/status").text


def test_a_reload_takes_the_token_file_s_new_token_and_refuses_a_faulty_one_by_name(scene, tmp_path):
    leaked, fresh, last = "leaked-0123456789", "fresh-0123456789", "final-0123456789"
    file = tmp_path / "token"
    file.write_text(leaked + "\n")
    file.chmod(0o600)
    limpet, status = session_scene(scene, status={"token_file": str(file)})

    def drained_by(token):
        return status.post("/pools/app/backends/a/drain", token=token).status

    file.write_text(fresh + "\n")
    assert status.post("/reload", token=leaked).status == 200
    assert [drained_by(token) for token in (leaked, fresh)] == [401, 200]

    file.write_text("short\n")
    answer = status.post("/reload", token=fresh)
    assert answer.status == 409 and "status.token_file" in answer.json["error"]
    assert [drained_by(token) for token in ("short", fresh)] == [401, 200]

    del limpet.config["status"]["token_file"]
    limpet.config["status"]["token"] = last
    limpet.write()
    assert status.post("/reload", token=fresh).status == 200
    assert [drained_by(token) for token in (leaked, fresh, last)] == [401, 401, 200]
    assert not any(token in limpet.stderr for token in (leaked, fresh, last))


def test_an_address_that_is_taken_is_said_to_be_the_status_endpoint_s(scene):
    limpet, _ = session_scene(scene)
    second = scene.start(settings(scene.backends(1), status={"address": limpet.config["status"]["address"]}), wait=False)
    assert second.wait(5) == 1
    assert f"[status] address: cannot listen on {limpet.config['status']['address']}: Address already in use" in second.stderr
    scene.forget(second)


def test_beyond_loopback_it_starts_with_a_token_alone(scene):
    from support.limpet import Limpet, settings
    address = status_table()["address"].replace("127.0.0.1", "*")
    limpet = Limpet(settings(scene.backends(1), status={"address": address}), wait=False)
    assert limpet.wait() == 1 and "token" in limpet.stderr
    limpet.directory.cleanup()
