"""First contact: what a browser asks for at once, before it has a cookie, goes to one backend, whatever the answers set."""

import pytest

from support.client import new_address, proxy_v1, request_bytes
from support.session_app import session_servers

CLIENTS = 30
SESSION_ID = {"session_id": {"sources": ["cookie:JSESSIONID"]}}
POOLS = [{"affinity": ["cookie"]}, {"affinity": ["session-id"], **SESSION_ID}, {"affinity": ["session-id", "cookie"], **SESSION_ID}]


def asked_at_once(limpet, targets, **how):
    """Their answers, in that order: each on a connection of its own, all sent before one is read."""
    clients = [limpet.client(**how) for _ in targets]
    for client, target in zip(clients, targets):
        client.send(request_bytes("GET", target))
    answers = [client.read_response() for client in clients]
    for client in clients:
        client.close()
    return answers


def kept(answers):
    """The Cookie field of a browser that takes the answers in this order."""
    jar = {}
    for answer in answers:
        jar.update({name: value for name, (value, _) in answer.set_cookies.items()})
    return "Cookie: " + "; ".join(f"{name}={value}" for name, value in jar.items())


def server_of(answer):
    return answer.text.partition(":")[0]


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: "-".join(pool["affinity"]))
@pytest.mark.parametrize("workers", [1, 4])
def test_a_page_and_an_icon_asked_for_at_once_are_of_one_backend(scene, pool, workers):
    limpet = scene.limpet(session_servers(scene, 3), pool=pool, workers=workers)
    used = set()
    for _ in range(CLIENTS):
        source = new_address()
        answers = asked_at_once(limpet, ["/visit?page", "/visit?icon"], source=source)
        page, icon = map(server_of, answers)
        assert page == icon
        for order in (answers, answers[::-1]):  # either may come last
            assert limpet.get("/who", kept(order), source=source).text == f"{page}:guest"
        used.add(page)
    assert used == {"a", "b", "c"}
    assert {line["reason"] for line in limpet.log_of("/visit?icon", CLIENTS)} == {"placed"}


def test_an_icon_that_opens_no_session_does_not_take_the_pages_away(scene):
    limpet = scene.limpet(session_servers(scene, 3), pool={"affinity": ["cookie"]})
    for _ in range(CLIENTS):
        source = new_address()
        page, icon = asked_at_once(limpet, ["/visit", "/icon"], source=source)
        assert icon.status == 401 and "limpet_app" in icon.set_cookies, "the icon's answer has nothing that could mislead"
        assert limpet.get("/who", kept([page, icon]), source=source).text == f"{server_of(page)}:guest"


def test_sixteen_more_follow_the_first(scene):
    limpet = scene.limpet(session_servers(scene, 3), pool={"affinity": ["cookie"], "placement": "round-robin"})
    source = new_address()
    first = server_of(limpet.get("/visit", source=source))
    more = asked_at_once(limpet, ["/visit"] * 16, source=source)
    assert {server_of(answer) for answer in more} == {first}
    assert server_of(limpet.get("/visit", source=source)) != first


def test_it_is_the_believed_address_that_counts(scene):
    behind = scene.limpet(session_servers(scene, 3), pool={"affinity": ["cookie"], "placement": "round-robin"},
                          listener={"proxy_protocol": True})
    for number in range(9):
        page, icon = asked_at_once(behind, ["/visit", "/visit"], preface=proxy_v1(f"192.0.2.{number}"))
        assert server_of(page) == server_of(icon)
    homes = {server_of(behind.get("/visit", preface=proxy_v1(f"198.51.100.{number}"))) for number in range(3)}
    assert homes == {"a", "b", "c"}


def test_nobody_follows_to_a_backend_that_is_full(scene):
    servers = session_servers(scene, 3)
    limpet = scene.limpet([server.as_table(max_sessions=2) for server in servers], pool={"affinity": ["cookie"]})
    answers = asked_at_once(limpet, ["/visit"] * 6)
    assert sorted(server_of(answer) for answer in answers) == ["a", "a", "b", "b", "c", "c"]
    assert limpet.get("/visit").status == 503
