"""Affinity by the client's address: masks, trusted proxies, PROXY protocol."""

from collections import Counter

import pytest

from support.client import proxy_v1, proxy_v2


@pytest.fixture(scope="module")
def by_proxy_protocol(shared_scene):
    limpet = shared_scene.limpet(shared_scene.backends(4), pool={"affinity": ["ip"]}, listener={"proxy_protocol": True})
    return limpet


def test_an_address_stays_at_its_backend(by_proxy_protocol):
    addresses = [f"198.51.{third}.{fourth}" for third in range(5) for fourth in range(1, 9)]
    homes = {address: by_proxy_protocol.get(preface=proxy_v1(address)).text for address in addresses}
    assert set(homes.values()) == {"a", "b", "c", "d"}
    for address in addresses:
        assert by_proxy_protocol.get(preface=proxy_v1(address, source_port=50000)).text == homes[address]


def test_the_address_is_the_same_whichever_version_tells_it(by_proxy_protocol):
    for address in ("192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8:1::1"):
        other = "::1" if ":" in address else "127.0.0.1"
        assert by_proxy_protocol.get(preface=proxy_v1(address, other)).text == by_proxy_protocol.get(preface=proxy_v2(address)).text


def test_ipv6_clients_of_one_network_stay_together_by_default(by_proxy_protocol):
    for network in range(10):
        homes = {by_proxy_protocol.get(preface=proxy_v2(f"2001:db8:0:{network:x}::{host:x}")).text for host in range(1, 6)}
        assert len(homes) == 1
    homes = {by_proxy_protocol.get(preface=proxy_v2(f"2001:db8:0:{network:x}::1")).text for network in range(40)}
    assert len(homes) == 4


def test_an_ipv4_mask_keeps_a_network_together(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"], "ip": {"mask_v4": 24}}, listener={"proxy_protocol": True})
    homes = []
    for third in range(30):
        together = {limpet.get(preface=proxy_v1(f"203.0.{third}.{fourth}")).text for fourth in (1, 77, 254)}
        assert len(together) == 1
        homes += together
    assert len(set(homes)) == 4


def test_an_ipv6_mask_can_be_chosen(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"], "ip": {"mask_v6": 48}}, listener={"proxy_protocol": True})
    assert len({limpet.get(preface=proxy_v2(f"2001:db8:1:{subnet:x}::1")).text for subnet in range(20)}) == 1
    assert len({limpet.get(preface=proxy_v2(f"2001:db8:{network:x}::1")).text for network in range(40)}) == 4


def test_a_client_behind_trusted_proxies_is_known_by_its_own_address(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"]}, listener={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})
    homes = {host: limpet.get("/", f"X-Forwarded-For: 192.0.2.{host}").text for host in range(40)}
    assert len(set(homes.values())) == 4
    for host, home in homes.items():
        assert limpet.get("/", f"X-Forwarded-For: 6.6.6.{host}, 192.0.2.{host}, 10.0.0.1").text == home


def test_a_client_that_is_not_trusted_cannot_choose_its_backend(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"]})
    assert len({limpet.get("/", f"X-Forwarded-For: 192.0.2.{host}").text for host in range(30)}) == 1


def test_all_clients_of_one_address_share_a_backend_on_one_connection_or_many(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"]})
    home = limpet.get().text
    client = limpet.client()
    assert {client.get().text for _ in range(10)} | {limpet.get().text for _ in range(10)} == {home}


def test_no_cookie_is_set(scene):
    assert not scene.limpet(scene.backends(2), pool={"affinity": ["ip"]}).get().has("Set-Cookie")


def test_the_log_says_hash_first_and_bound_then(scene):
    limpet = scene.limpet(scene.backends(4), pool={"affinity": ["ip"]})
    for _ in range(3):
        limpet.get("/why")
    lines = limpet.log_of("/why", 3)
    assert [line["reason"] for line in lines] == ["hash", "bound", "bound"]
    assert {line["affinity"] for line in lines} == {"ip"}


def test_weights_decide_how_many_addresses_a_backend_gets(scene):
    a, b = scene.backends(2)
    limpet = scene.limpet([a.as_table(weight=10), b.as_table(weight=90)], pool={"affinity": ["ip"]}, listener={"proxy_protocol": True})
    homes = Counter(limpet.get(preface=proxy_v1(f"198.51.100.{host}")).text for host in range(200))
    assert 4 <= homes["a"] <= 45  # 20 expected, standard deviation 4.2


def test_every_balancer_with_the_same_secret_agrees(scene):
    # Nothing but the file is shared: the hash is keyed by hash_secret, and a backend is known by its name.
    backends = scene.backends(5)
    limpets = [scene.limpet(order, pool={"affinity": ["ip"]}, listener={"proxy_protocol": True}) for order in (backends, backends[::-1])]
    for host in range(25):
        answers = {limpet.get(preface=proxy_v1(f"192.0.2.{host}")).text for limpet in limpets}
        assert len(answers) == 1
