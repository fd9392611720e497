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


@pytest.mark.parametrize("target", ["/%61pp", "//app", "/./app", "/x/../app/y", "/%2e/app", "/x/%2e%2e/app?q", "/x/..;a=b/app"])
def test_every_spelling_of_a_path_goes_where_the_path_goes_and_is_forwarded_as_it_came(routed, target):
    """RFC 3986, 6.2.2. nginx matches locations so too; HAProxy's `path_beg` sees the bytes, unless `http-request normalize-uri` comes first."""
    response = routed.get(target, host="www.example.com")
    assert response.text == "path"


def test_what_only_looks_like_a_path_below_another_is_not_there(routed):
    assert routed.get("/app/../shared", host="www.example.com").text == "exact"
    assert routed.get("/x/../shared", host="other.test").text == "anypath"
    assert routed.get("/app/%2e%2e/", host="www.example.com").text == "exact"
    assert routed.get("/app%2fadmin", host="www.example.com").text == "exact"


def test_a_stateless_path_is_not_what_leads_out_of_it(scene):
    backends = scene.backends(4)
    limpet = scene.limpet(backends, pool={"affinity": ["cookie"], "stateless_paths": ["/static"]})
    browser = limpet.browser()
    home = browser.get("/login").text
    assert {browser.get("/static/../login").text for _ in range(8)} == {home}
    assert {browser.get("//x/../static/a.css").text for _ in range(8)} != {home}


@pytest.mark.parametrize("target", ["/a%2fb", "/a%2Fb", "/a%5cb", "/a%00b", "/a\\b", "/x/..%2f..%2fy"])
def test_strict_paths_refuse_what_no_two_servers_read_alike(scene, target):
    a = scene.backend("a")
    strict, lax = scene.limpet([a], listener={"strict_paths": True}), scene.limpet([a])
    assert strict.get(target).status == 400
    assert not a.requests
    assert strict.get("/a?b=%2f").status == 200
    assert lax.get(target).status in (200, 400)
