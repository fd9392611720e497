"""Where Limpet listens and connects: IPv4, IPv6, host names, unix sockets."""

import pytest

from support.wire import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_backend_has_an_address(scene, host):
    a = scene.backend("a", host=host)
    limpet = scene.limpet([a])
    for _ in range(3):
        assert limpet.get().text == "a"
    assert len(a.connections) == 1


def test_a_backend_has_a_host_name(scene):
    a = scene.backend("a")
    limpet = scene.limpet([{"name": "a", "address": f"localhost:{a.port}"}])
    for _ in range(3):
        assert limpet.get().text == "a"
    assert len(a.connections) == 1


def test_a_backend_has_a_unix_socket(scene, tmp_path):
    a = scene.backend("a", path=str(tmp_path / "app.sock"))
    limpet = scene.limpet([a])
    for _ in range(3):
        assert limpet.get().text == "a"
    assert len(a.connections) == 1
    assert a.last.get("Host") == "app.test"


def test_a_unix_socket_that_is_not_there_fails_over(scene, tmp_path):
    b = scene.backend("b")
    limpet = scene.limpet([{"name": "a", "address": f"unix:{tmp_path}/missing.sock"}, b], pool={"affinity": ["cookie"], "placement": "round-robin"})
    assert [limpet.get().text for _ in range(4)] == ["b"] * 4


def test_a_name_that_does_not_resolve_fails_over(scene):
    b = scene.backend("b")
    limpet = scene.limpet([{"name": "a", "address": "nowhere.invalid:80"}, b],
                          pool={"affinity": ["cookie"], "placement": "round-robin", "timeouts": {"connect": "2s"}})
    assert [limpet.get().text for _ in range(3)] == ["b"] * 3
    limpet.says("backend host nowhere.invalid: ")
    assert "it keeps the addresses" not in limpet.stderr


@pytest.mark.parametrize("listens, clients", [("[::1]", ["::1"]), ("*", ["127.0.0.1", "::1"]), ("0.0.0.0", ["127.0.0.1"])])
def test_a_listener_has_an_address(scene, listens, clients):
    port = free_port()
    limpet = scene.limpet(scene.backends(1), listener={"address": f"{listens}:{port}"})
    for host in clients:
        limpet.addresses["main"] = (host, port)
        assert limpet.get(f"/{host}").text == "a"
        assert limpet.log_of(f"/{host}")[0]["client"] == host


def test_a_listener_on_every_address_knows_ipv4_clients_by_their_ipv4_address(scene):
    port = free_port()
    limpet = scene.limpet(scene.backends(4), listener={"address": f"*:{port}", "trusted_proxies": ["127.0.0.1"]})
    limpet.get("/x", "X-Forwarded-For: 192.0.2.1")
    assert limpet.log_of("/x")[0]["client"] == "192.0.2.1"
