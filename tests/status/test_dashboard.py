"""The dashboard in a real Chromium, on a running Limpet: what an operator sees, clicks, and is told.

$LIMPET_SHOTS names a directory that screenshots go to, where they are wanted.
"""

import os
import pathlib
import re

import pytest

from support.busy import Busy
from support.client import new_address, request_bytes
from support.http2 import PING, frame
from support.session_app import session_servers
from support.status import Status, status_table
from support.tls import make, tls_table
from support.wire import eventually

SESSION_POOL = {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}
PASSIVE = {"passive": {"failures": 1, "max_down_percent": 100}}


def shoot(browser, name):
    if directory := os.environ.get("LIMPET_SHOTS"):
        browser.do("shoot", path=str(pathlib.Path(directory) / f"{name}.png"))


def logged_in(limpet, count):
    users = [limpet.browser() for _ in range(count)]
    for index, user in enumerate(users):
        user.request("POST", "/login", body=f"user{index}".encode())
        assert user.get("/who").status == 200
    return users


def row(name):
    """The cells of a backend, by its place in the pool: a is the first."""
    return f"#pools tbody tr:nth-child({ord(name) - ord('a') + 1})"


def test_sessions_appear_while_it_is_looked_at(scene, faultless):
    limpet = scene.limpet(session_servers(scene, 3), pool=SESSION_POOL, status=status_table())
    status = Status(limpet)
    faultless.open(status.url)
    faultless.wait("#link", "^live$")
    assert faultless.text("#pools h2") == ["app"]
    assert faultless.text("#pools .name span") == ["a", "b", "c"]
    assert faultless.text("#pools .state") == ["up"] * 3
    faultless.wait("#live", "^0$")
    logged_in(limpet, 12)
    faultless.wait("#live", "^12$")
    assert sum(int(text) for text in faultless.text("#pools .under b")) == 12
    assert faultless.text("#lost-in") == ["lost, 15 min"]
    assert faultless.text(".axis span:first-child") == ["−15 min"] * 4
    shoot(faultless, "sessions")


def test_a_backend_is_drained_by_clicking_and_taken_back(scene, faultless):
    limpet = scene.limpet(session_servers(scene, 2), pool=SESSION_POOL, status=status_table())
    logged_in(limpet, 8)
    faultless.open(Status(limpet).url)
    faultless.wait("#live", "^8$")
    faultless.click("Drain a of app")
    faultless.wait("#ask-means", r"a has 4 sessions, 100 % of them returned\..*no new sessions.*drain_timeout")
    shoot(faultless, "drain-dialog")
    faultless.click("Drain")
    faultless.wait(row("a") + " .state", "^draining$")
    faultless.wait(row("a") + " .why", "^ordered by dashboard from 127.0.0.1$")
    faultless.wait(row("a") + " .drain", r"4 sessions left.*cut in")
    faultless.wait("#incidents li", r"app/a: drain")
    faultless.wait("#news", "app/a is draining")
    shoot(faultless, "draining")
    logged_in(limpet, 4)
    faultless.wait(row("b") + " .under b", "^8$")
    faultless.click("Undrain a of app")
    faultless.click("Undrain")
    faultless.wait(row("a") + " .state", "^up$")
    eventually(lambda: "dashboard from 127.0.0.1" in limpet.stderr)


def test_a_backend_that_is_killed_shows_what_it_costs(scene, faultless):
    servers = session_servers(scene, 2)
    limpet = scene.limpet(servers, pool={**SESSION_POOL, **PASSIVE}, status=status_table())
    users = logged_in(limpet, 10)
    faultless.open(Status(limpet).url)
    faultless.wait("#live", "^10$")
    servers[0].die()
    logged_out = 0
    for user in users[:6]:
        logged_out += user.get("/who").status == 401
    assert logged_out == 3
    faultless.wait(row("a") + " .state", "^down$")
    faultless.wait("#lost", f"^{logged_out}$")
    faultless.wait("#incidents li", f"app/a: outage.*{logged_out} lost")
    faultless.wait("#at-risk", "^2$")
    faultless.wait(row("a") + " .under", "at risk")
    shoot(faultless, "outage")
    for user in users[6:]:
        logged_out += user.get("/who").status == 401
    assert logged_out == 5
    faultless.wait("#at-risk", "^0$")
    faultless.wait("#incidents li", "of 5 sessions.*5 lost")


def test_what_may_have_been_lost_is_told_as_bounds(scene, faultless):
    """The application takes up a session where it is asked for, and does not say so: where it moves again, whether anything is lost is not certain."""
    servers = [scene.backend(name, lambda connection, request: connection.reply(
        fields=[] if request.cookies else [f"Set-Cookie: JSESSIONID={request.get('X-New')}; Path=/"])) for name in "abc"]
    limpet = scene.limpet(servers, pool={**SESSION_POOL, **PASSIVE, "health": {"check": "none"}}, status=status_table())
    status = Status(limpet)
    users = [limpet.browser() for _ in range(12)]
    for index, user in enumerate(users):
        user.get("/", f"X-New: {index:032}")
        user.get("/")
    faultless.open(status.url)
    for server in servers[:2]:
        status.post(f"/pools/app/backends/{server.name}/maintenance")
        for user in users:
            user.get("/")
    sessions = status.pool()["sessions"]
    lost, at_most = sessions["totals"]["lost"], sessions["lost_at_most"]
    assert 0 < lost < at_most
    faultless.wait("#lost", f"^{lost} to {at_most}$")
    faultless.wait("#incidents li", "[0-9] to [0-9]+ lost")


def test_certificates_that_expire_are_alarms(scene, faultless, tmp_path):
    soon, later = make(tmp_path, "soon", days=9), make(tmp_path, "later", days=60)
    gone = make(tmp_path, "gone", days=-1)
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(later, soon, gone)}, status=status_table())
    faultless.open(Status(limpet).url)
    faultless.wait("#link", "^live$")
    first, second = faultless.text("#alarms li")
    assert re.fullmatch(rf"main: certificate {soon.file} expires in (8|9) .*", first)
    assert re.fullmatch(rf"main: certificate {gone.file} expired .* ago\.", second)


def test_by_tls_the_page_lives_and_orders_are_taken(scene, faultless, tmp_path):
    token = "a-token-that-nobody-guesses"
    soon = make(tmp_path, "soon", names=("127.0.0.1",), days=9)
    limpet = scene.limpet(scene.backends(2), status=status_table(token=token, tls=tls_table(soon)))
    faultless.open(Status(limpet, soon).url, trusting=True)
    faultless.wait("#link", "^live$")
    assert [re.fullmatch(rf"status: certificate {soon.file} expires in (8|9) .*", line) is not None for line in faultless.text("#alarms li")] == [True]
    faultless.click("Drain a of app")
    faultless.click("Drain")
    faultless.wait("#wrong", "needs the token")
    faultless.do("fill", label="Token (kept until this page is closed)", text=token)
    faultless.click("Drain")
    faultless.wait(f"{row('a')} .state", "^draining$")


def test_what_is_refused_for_a_limit_is_told_by_limit(scene, faultless):
    limpet = scene.limpet([scene.backend("a")], pool={"rate": {"requests": 1, "burst": 2}}, listener={"limits": {"connections_per_client": 1}}, status=status_table())
    source = new_address()
    client = limpet.client(source=source)
    faultless.open(Status(limpet).url)
    faultless.wait("#connections", "^1$")
    assert "refused" not in faultless.text("#pools .head .quiet")[0]
    while client.get().status == 200:
        pass
    assert limpet.come(source=source) is None
    faultless.wait("#pools .head .quiet", "refused: rate limit 1$")
    faultless.wait("#connections", "^1, 1 refused$")
    faultless.wait("#process", " · connections to main refused: connections_per_client 1$")
    limpet.http2(source=new_address()).send(frame(PING, 0, 0, b"limpets!") * 1000)
    faultless.wait("#process", " · connections to main cut over HTTP/2: pings 1$")


def test_who_waits_at_a_full_backend_is_told_and_that_newcomers_are_refused(scene, faultless):
    backend = scene.backend("a")
    busy = Busy(backend)
    limpet = scene.limpet([backend.as_table(max_connections=2)], pool={"affinity": ["cookie"], "queue_timeout": "1m", "shed": "new-sessions", "shed_in_flight": 4}, status=status_table())
    known = limpet.browser()
    assert known.get("/quick").status == 200
    cookie = "; ".join(f"{name}={value}" for name, value in known.jar.items())
    faultless.open(Status(limpet).url)
    faultless.wait("#link", "^live$")
    clients = [limpet.client() for _ in range(5)]
    for client in clients:
        client.send(request_bytes("GET", "/", [f"Cookie: {cookie}"]))
    faultless.wait(row("a") + " .why", "full: 2 of 2, 3 wait$")
    faultless.wait("#alarms li", "^app: requests that would begin a session are refused .shed.")
    assert limpet.browser().get("/quick").status == 503
    faultless.wait("#pools .head .quiet", "refused: shed 1$")
    busy.let_go(5)
    assert [client.read_response().status for client in clients] == [200] * 5
    faultless.wait(row("a") + " .why", "^$")


def test_the_token_is_asked_for_once(scene, faultless):
    token = "a-token-that-nobody-guesses"
    limpet = scene.limpet(scene.backends(2), status=status_table(token=token))
    faultless.open(Status(limpet).url)
    faultless.click("Drain a of app")
    faultless.click("Drain")
    faultless.wait("#wrong", "needs the token")
    faultless.do("fill", label="Token (kept until this page is closed)", text="something else")
    faultless.click("Drain")
    faultless.wait("#wrong", "token is wrong")
    assert faultless.text(row("a") + " .state") == ["up"]
    faultless.do("fill", label="Token (kept until this page is closed)", text=token)
    faultless.do("press", key="Enter")
    faultless.wait(row("a") + " .state", "^draining$")
    faultless.click("Drain b of app")
    faultless.click("Drain")
    faultless.wait(row("b") + " .state", "^draining$")
    assert token not in limpet.stderr


def test_it_says_when_it_is_cut_off_and_comes_back_by_itself(scene, faultless):
    limpet = scene.limpet(scene.backends(1), status=status_table())
    faultless.open(Status(limpet).url)
    faultless.wait("#link", "^live$")
    config = limpet.config
    limpet.stop()
    scene.forget(limpet)
    faultless.wait("#link", "^disconnected; as of ")
    assert faultless.run("document.body.classList.contains('stale')")
    shoot(faultless, "disconnected")
    scene.start(config)
    faultless.wait("#link", "^live$")
    assert not faultless.run("document.body.classList.contains('stale')")


NASTY = "<img src=x onerror=alert(1)></script><b>&amp;\"'"


def test_what_others_say_is_text_whatever_it_holds(scene, faultless):
    limpet = scene.limpet(scene.backends(2), status=status_table())
    status = Status(limpet)
    status.post("/pools/app/backends/a/maintenance", who=NASTY)  # a drain without sessions would soon be over
    faultless.open(status.url)
    faultless.wait(row("a") + " .state", "^maintenance$")
    assert faultless.text(row("a") + " .why")[0] == f"ordered by {NASTY} from 127.0.0.1"
    assert faultless.run("document.images.length") == 0


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_stands_still(scene, faultless, width, scheme):
    backends = [scene.backend(name) for name in ("a", "b")]
    tables = [backends[0].as_table(), backends[1].as_table() | {"name": "a-name-that-is-rather-long-without-any-space-in-it-at-all"}]
    limpet = scene.limpet(tables, pool={"affinity": ["cookie"]}, status=status_table())
    for _ in range(5):
        limpet.browser().get()
    faultless.open(Status(limpet).url, width=width, height=800, scheme=scheme)
    faultless.wait("#live", "^5$")
    assert faultless.run("document.documentElement.scrollWidth <= innerWidth"), "it has to be scrolled sideways"
    places = "[...document.querySelectorAll('#pools tr, .chart, #incidents, button')].map((one) => JSON.stringify(one.getBoundingClientRect()))"
    # Each look in a state of its own kind: the very first report may still bring something.
    before = faultless.run(f"new Promise((done) => setTimeout(() => done({places}), 1500))")
    after = faultless.run(f"new Promise((done) => setTimeout(() => done({places}), 2500))")
    assert before == after, "something has moved though nothing has happened"
    background = faultless.run("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (brightness > 600) == (scheme == "light")
    shoot(faultless, f"{scheme}-{width}")


def test_it_is_worked_with_the_keyboard_alone(scene, faultless):
    limpet = scene.limpet(scene.backends(2), status=status_table())
    faultless.open(Status(limpet).url)
    faultless.wait("#link", "^live$")
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    for _ in range(12):
        faultless.do("press", key="Tab")
        if faultless.run(focused) == "Drain a of app":
            break
    assert faultless.run(focused) == "Drain a of app"
    outline = faultless.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus cannot be seen"
    faultless.do("press", key="Enter")
    assert faultless.run("document.getElementById('ask').open")
    assert faultless.run(focused) == "Cancel"
    faultless.do("press", key="Escape")
    assert not faultless.run("document.getElementById('ask').open")
    assert faultless.run(focused) == "Drain a of app", "the focus is lost when the dialog closes"
    faultless.do("press", key="Enter")
    faultless.do("press", key="Tab")
    assert faultless.run(focused) == "Drain"
    faultless.do("press", key="Enter")
    faultless.wait(row("a") + " .state", "^draining$")


def test_every_control_has_a_name_and_every_chart_its_words(scene, faultless):
    limpet = scene.limpet(scene.backends(2), status=status_table())
    faultless.open(Status(limpet).url)
    faultless.wait("#link", "^live$")
    eventually(lambda: all(faultless.run("[...document.querySelectorAll('svg')].map((one) => one.getAttribute('aria-label'))")))
    assert faultless.run("[...document.querySelectorAll('main button')].every((one) => one.textContent && one.ariaLabel)")
    assert faultless.run("[...document.querySelectorAll('th')].every((one) => one.scope === 'col')")
    assert faultless.run("document.documentElement.lang") == "en"
