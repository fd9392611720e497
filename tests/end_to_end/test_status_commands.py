"""The commands that ask a running Limpet: status, drain, incidents, session and the others, from the command line."""

import json
import re
import subprocess
import threading
import time

from support.limpet import binary, run
from support.session_app import session_servers
from support.status import Status, status_table
from support.wire import eventually, free_port

SESSION_POOL = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}


def session_scene(scene, *, status=None, **pool):
    limpet = scene.limpet(session_servers(scene, 2), pool={**SESSION_POOL, **pool}, status=status_table(**(status or {})))
    return limpet, Status(limpet)


def logged_in(limpet, count):
    users = [limpet.browser() for _ in range(count)]
    for index, user in enumerate(users):
        user.request("POST", "/login", body=f"user{index}".encode())
        user.home = user.get("/who").text.partition(":")[0]
    return users


def test_status_is_a_table(scene):
    limpet, status = session_scene(scene)
    logged_in(limpet, 6)
    code, out, err = status.command("status")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("limpet ") and limpet.file in lines[0]
    assert lines[2].split()[:3] == ["POOL", "STATE", "SESSIONS"]
    assert re.match(r"app +6 +0 +100 % +0 ", lines[3])
    assert re.match(r"  a +up +3 +0 +100 % +0 ", lines[4]) and re.match(r"  b +up +3 ", lines[5])


def test_status_is_json_where_that_is_asked_for(scene):
    limpet, status = session_scene(scene)
    code, out, err = status.command("status", "--json")
    assert code == 0 and json.loads(out)["pools"][0]["name"] == "app"


def test_status_is_watched(scene):
    limpet, status = session_scene(scene)
    watching = subprocess.Popen([binary(), "status", "--watch", "--json", "--at", status.address], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(watching.stdout.readline())["pools"][0]["sessions"]["live"] == 0
        logged_in(limpet, 2)
        eventually(lambda: json.loads(watching.stdout.readline())["pools"][0]["sessions"]["live"] == 2)
    finally:
        watching.terminate()
        watching.wait(10)
        watching.stdout.close()


def test_drain_waits_until_the_sessions_have_ended(scene):
    limpet, status = session_scene(scene)
    users = [user for user in logged_in(limpet, 6) if user.home == "a"]
    assert len(users) == 3
    drain = subprocess.Popen([binary(), "drain", "app/a", "--wait", "--known-only", "--at", status.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = drain.stdout.readline() + drain.stdout.readline()
    assert re.search(r"^\[[.#]+\] 3 sessions left", said, re.M)
    for user in users:
        assert user.request("POST", "/logout").text == "bye"
    out, err = drain.communicate(timeout=20)
    assert (drain.returncode, err) == (0, "")
    assert re.search(r"^app/a is drained after .*: it began with 3 sessions, none was cut$", out, re.M)
    assert "\x1b" not in said + out and "\r" not in said + out


def test_drain_tells_how_many_the_deadline_cut(scene):
    limpet, status = session_scene(scene, drain_timeout="2s")
    logged_in(limpet, 6)
    code, out, err = status.command("drain", "app/a", "--wait")
    assert code == 1 and "3 were cut at the deadline" in out


def test_orders_and_back(scene):
    limpet, status = session_scene(scene)
    for order, state in (("drain", "draining"), ("undrain", "up"), ("maintenance", "maintenance"), ("up", "up")):
        code, out, err = status.command(order, "app/a")
        assert (code, err) == (0, "") and "a" in out
        assert status.backend("a")["state"] == state
    code, out, err = status.command("undrain", "app/a")
    assert code == 1 and err.startswith("limpet undrain: ")


def test_up_leads_into_service_when_checks_pass_and_can_be_waited_for(scene):
    a, b = session_servers(scene, 2)
    limpet = scene.limpet([a, b], pool={**SESSION_POOL, "health": {"check": "tcp", "interval": "200ms", "rise": 2, "fall": 1}}, status=status_table())
    status = Status(limpet)
    status.command("maintenance", "app/a")
    a.refuse()
    code, out, _ = status.command("up", "app/a")
    assert (code, out) == (0, "a of app is down until its checks pass: 0 sessions\n")
    assert eventually(lambda: status.backend("a")["cause"] == "checks")
    assert {user.home for user in logged_in(limpet, 4)} == {"b"}
    waiting = threading.Thread(target=lambda: done.append(status.command("up", "app/a", "--wait")))
    done = []
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive() and status.backend("a")["state"] == "down"
    a.listen()
    waiting.join(20)
    code, out, _ = done[0]
    assert code == 0 and out.splitlines()[0] == "a of app is down until its checks pass: 0 sessions" and out.endswith("app/a is up\n")
    assert status.backend("a")["state"] == "up"


def test_up_that_is_waited_for_ends_when_somebody_else_decides_otherwise(scene):
    a, b = session_servers(scene, 2)
    limpet = scene.limpet([a, b], pool={**SESSION_POOL, "health": {"check": "tcp"}}, status=status_table())
    status = Status(limpet)
    a.refuse()
    status.wait_for_state("a", "down")
    done = []
    waiting = threading.Thread(target=lambda: done.append(status.command("up", "app/a", "--wait")))
    waiting.start()
    time.sleep(0.5)
    assert status.post("/pools/app/backends/a/maintenance", who="eve").status == 200
    waiting.join(20)
    code, _, err = done[0]
    assert code == 1 and err == "limpet up: app/a is in maintenance, ordered by eve from 127.0.0.1\n"


def test_incidents_tell_what_was_lost(scene):
    limpet, status = session_scene(scene)
    assert status.command("incidents")[1] == "no incidents since Limpet started\n"
    users = [user for user in logged_in(limpet, 6) if user.home == "a"]
    status.command("maintenance", "app/a")
    assert [user.get("/who").status for user in users] == [401] * 3
    eventually(lambda: status.incidents("maintenance")[0]["lost"] == 3)
    assert re.search(r"^  a +maintenance +0 +0 +- +3 ", status.command("status")[1], re.M)
    code, out, err = status.command("incidents")
    assert code == 0 and re.search(r"app/a +maintenance .*\b3 +3 +0 +3 +0 +0 ", out), out
    assert json.loads(status.command("incidents", "--json")[1])["incidents"][0]["lost"] == 3


def test_a_session_is_looked_up_moved_and_forgotten(scene):
    limpet, status = session_scene(scene)
    user = logged_in(limpet, 1)[0]
    key, other = user.jar["JSESSIONID"], "b" if user.home == "a" else "a"
    code, out, err = status.command("session", key)
    assert code == 0 and out.startswith(f"app/{user.home} (up): its home; first seen ") and "returned" in out
    assert status.command("maintenance", f"app/{user.home}")[0] == 0
    assert status.command("session", key)[1].startswith(f"app/{user.home} (maintenance): at risk: {user.home} is in maintenance; ")
    assert status.command("pin", "app", key, other)[0] == 0
    assert status.command("session", key)[1].startswith(f"app/{other} ")
    assert status.command("unbind", "app", key)[0] == 0
    assert status.command("session", key)[0] == 1


def test_a_reload_tells_what_is_wrong_with_the_file(scene):
    limpet, status = session_scene(scene)
    assert status.command("reload")[0] == 0
    with open(limpet.file, "a") as file:
        file.write("\nno_such_key = 1\nnor_this_one = 2\n")
    code, out, err = status.command("reload")
    assert code == 1 and "\\x0a" not in err
    first, *faults = err.splitlines()
    assert first.startswith("limpet reload: ") and all(fault.startswith(limpet.file + ":") for fault in faults)
    assert ["no_such_key" in faults[0], "nor_this_one" in faults[1]] == [True, True] and len(faults) == 2


def test_names_that_are_none_are_told_the_nearest(scene):
    limpet, status = session_scene(scene)
    code, out, err = status.command("drain", "apq/a")
    assert (code, out) == (1, "") and 'did you mean "app"?' in err
    code, out, err = status.command("drain", "app/zebra")
    assert code == 1 and '"a"' in err and '"b"' in err


def test_the_token_comes_from_a_file_or_the_environment(scene, tmp_path):
    token = "0123456789abcdef"
    limpet, status = session_scene(scene, status={"token": token})
    code, out, err = status.command("drain", "app/a")
    assert code == 1 and "--token-file" in err and "LIMPET_TOKEN" in err
    assert status.command("drain", "app/a", token="wrong")[0] == 1
    assert status.command("drain", "app/a", token=token)[0] == 0
    (tmp_path / "token").write_text(token + "\n")
    assert status.command("undrain", "app/a", "--token-file", str(tmp_path / "token"))[0] == 0


def test_it_says_when_nothing_listens():
    at = f"127.0.0.1:{free_port()}"
    begun = time.monotonic()
    code, out, err = run("status", "--at", at)
    assert (code, out) == (1, "") and err.startswith(f"limpet status: nothing listens at {at}")
    assert time.monotonic() - begun < 5
    code, out, err = run("status", "--at", "nowhere")
    assert code == 1 and "HOST:PORT" in err
