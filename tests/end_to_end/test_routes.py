"""Routes: from listener to pool by host name, exact before wildcard before any, and by the longest path prefix."""

import pytest

from support.limpet import pool_table
from support.wire import free_port

ROUTES = [
    {"pool": "any"},
    {"pool": "exact", "host": "www.example.com"},
    {"pool": "wild", "host": "*.example.com"},
    {"pool": "wilder", "host": "*.deep.example.com"},
    {"pool": "path", "host": "www.example.com", "path": "/app"},
    {"pool": "deeper", "host": "www.example.com", "path": "/app/admin/"},
    {"pool": "anypath", "path": "/shared"},
]


@pytest.fixture(scope="module")
def routed(shared_scene):
    names = ["any", "exact", "wild", "wilder", "path", "deeper", "anypath"]
    return shared_scene.limpet(pools=[pool_table(name, [shared_scene.backend(name)]) for name in names], routes=ROUTES)


@pytest.mark.parametrize("host, target, pool", [
    ("www.example.com", "/", "exact"),
    ("WWW.Example.COM", "/", "exact"),
    ("www.example.com:8080", "/", "exact"),
    ("www.example.com.", "/", "exact"),
    ("other.example.com", "/", "wild"),
    ("a.b.example.com", "/", "wild"),
    ("x.deep.example.com", "/", "wilder"),
    ("deep.example.com", "/", "wild"),
    ("example.com", "/", "any"),
    ("notexample.com", "/", "any"),
    ("www.example.com.evil.test", "/", "any"),
    ("127.0.0.1", "/", "any"),
    ("[::1]:80", "/", "any"),
    ("www.example.com", "/app", "path"),
    ("www.example.com", "/app/", "path"),
    ("www.example.com", "/app/x/y?z", "path"),
    ("www.example.com", "/app?x", "path"),
    ("www.example.com", "/apple", "exact"),
    ("www.example.com", "/App", "exact"),
    ("www.example.com", "/app/admin", "deeper"),
    ("www.example.com", "/app/admin/x", "deeper"),
    ("www.example.com", "/app/administrator", "path"),
    ("www.example.com", "/?/app", "exact"),
    ("other.test", "/shared", "anypath"),
    ("other.test", "/shared/x", "anypath"),
    ("other.test", "/sharedx", "any"),
    ("www.example.com", "/shared", "exact"),
])
def test_the_most_specific_route_wins(routed, host, target, pool):
    assert routed.request("GET", target, host=host).text == pool


def test_one_connection_may_ask_several_pools(routed):
    client = routed.client()
    for host, pool in [("www.example.com", "exact"), ("other.example.com", "wild"), ("x.test", "any")] * 3:
        assert client.request(host=host).text == pool


def test_a_request_without_a_route_is_404(scene):
    a = scene.backend("a")
    limpet = scene.limpet([a], routes=[{"pool": "app", "host": "app.test", "path": "/app"}])
    client = limpet.client()
    assert client.request(host="other.test", target="/app").status == 404
    assert client.request(target="/").status == 404
    assert client.request(target="/app").status == 200
    assert len(a.requests) == 1


def test_a_body_that_belongs_to_a_404_is_not_the_next_request(scene):
    a = scene.backend("a")
    client = scene.limpet([a], routes=[{"pool": "app", "path": "/app"}]).client()
    response = client.request("POST", "/x", body=b"GET /app HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert response.status == 404
    if "close" not in response.tokens("Connection"):
        assert client.request(target="/app").status == 200
        assert len(a.requests) == 1
    else:
        assert client.is_closed() and not a.requests


def test_listeners_can_have_routes_of_their_own(scene):
    a, b = scene.backend("a"), scene.backend("b")
    limpet = scene.limpet(
        pools=[pool_table("a", [a]), pool_table("b", [b])],
        listeners=[{"name": "one", "address": f"127.0.0.1:{free_port()}"}, {"name": "two", "address": f"127.0.0.1:{free_port()}"}],
        routes=[{"pool": "a", "listener": "one"}, {"pool": "b", "listener": "two"}, {"pool": "b", "path": "/both"}],
    )
    assert limpet.get(listener="one").text == "a"
    assert limpet.get(listener="two").text == "b"
    assert limpet.get("/both", listener="one").text == "b"
    assert [line["listener"] for line in limpet.log(3)] == ["one", "two", "one"]


def test_pools_have_cookies_of_their_own(scene):
    limpet = scene.limpet(pools=[pool_table(name, [scene.backend(name + "1"), scene.backend(name + "2")], affinity=["cookie"]) for name in ("red", "blue")],
                          routes=[{"pool": "red", "path": "/red"}, {"pool": "blue", "path": "/blue"}])
    browser = limpet.browser()
    homes = [browser.get(path).text for path in ("/red", "/blue")]
    assert set(browser.jar) == {"limpet_red", "limpet_blue"}
    for _ in range(4):
        assert [browser.get(path).text for path in ("/red", "/blue")] == homes
