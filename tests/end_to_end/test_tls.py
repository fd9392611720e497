"""TLS on a listener: what is agreed on, what clients are shown, and what backends are told."""

import ssl
import subprocess

import pytest

from support.client import connect, proxy_v1
from support.limpet import settings
from support.tls import SafeClient, context, make, tls_table
from support.wire import free_port

BOTH = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder):
    return make(folder, "authority", names=(), is_authority=True)


@pytest.fixture(scope="module")
def shop(folder, authority):
    return make(folder, "shop", ("shop.test", "*.shop.test", "127.0.0.1"), authority=authority)


@pytest.fixture(scope="module")
def old(folder, authority):
    return make(folder, "old", ("old.test",), kind="rsa", authority=authority)


@pytest.fixture(scope="module")
def safe(shared_scene, shop, old):
    backend = shared_scene.backend("a")
    limpet = shared_scene.limpet([backend], listener={"tls": tls_table(shop, old)})
    limpet.backend = backend
    return limpet


def s_client(limpet, *arguments, say=""):
    """What openssl s_client tells of a handshake."""
    host, port = limpet.address
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", *arguments], input=say, capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def curl(limpet, *arguments, name="shop.test"):
    host, port = limpet.address
    return subprocess.run(["curl", "-sS", "--resolve", f"{name}:{port}:{host}", *arguments, f"https://{name}:{port}/"],
                          capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("version", BOTH)
def test_a_request_is_answered(safe, shop, version):
    client = SafeClient(safe.address, context(shop, version=version))
    assert client.get().text == "a"
    assert client.tls.version() == version.name.replace("_", ".")


def test_curl_trusts_what_it_is_shown(safe, shop):
    done = curl(safe, "--cacert", shop.authority)
    assert (done.returncode, done.stdout) == (0, "a"), done.stderr
    assert curl(safe, "--cacert", shop.authority, name="api.shop.test").returncode == 0


def test_a_client_that_goes_by_address_is_shown_the_first_certificate(safe, shop):
    host, port = safe.address
    done = subprocess.run(["curl", "-sS", "--cacert", shop.authority, f"https://{host}:{port}/"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "a"), done.stderr


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(safe, version):
    assert "protocol version" in s_client(safe, version, "-cipher", "DEFAULT@SECLEVEL=0")


HYBRID = ["X25519MLKEM768"] if ssl.OPENSSL_VERSION_INFO >= (3, 5) else []
ASK = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


# By TLS 1.2 a client has to know an ECDSA key's own group (RFC 8422, section 5.1.1): P-256 here.
SPOKEN = [(version, group, *shown) for version in ("TLSv1.2", "TLSv1.3") for group in ("X25519", "P-256", "P-384", *HYBRID)
          for shown in (("shop.test", "ECDSA"), ("old.test", "RSA"))
          if version == "TLSv1.3" or (group not in HYBRID and (group == "P-256" or shown[1] == "RSA"))]


@pytest.mark.parametrize("version, group, name, kind", SPOKEN)
def test_openssl_is_answered_by_each_version_group_and_kind_of_key(safe, version, group, name, kind):
    how = [f"-{version.lower().replace('.', '_').replace('tlsv', 'tls')}", "-groups", group, "-servername", name, "-ign_eof"]
    said = s_client(safe, *how, say=ASK)
    assert f"\nNew, {version}, Cipher is " in said
    assert group in HYBRID or " Temp Key: " + {"X25519": "X25519", "P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1"}[group] in said
    assert f"Peer signature type: {kind}" in said
    assert said.count("HTTP/1.1 200 OK\n") == 1 and "closed\n" in said


def test_new_keys_are_taken_and_another_handshake_is_not(safe):
    again = s_client(safe, "-tls1_2", "-servername", "shop.test", say="R\n")
    assert "RENEGOTIATING" in again and "no renegotiation" in again
    assert "KEYUPDATE" in s_client(safe, "-tls1_3", "-servername", "shop.test", say="K\n")


def test_other_groups_are_refused(safe):
    assert "handshake failure" in s_client(safe, "-groups", "P-521")


@pytest.mark.parametrize("name, is_shop", [("shop.test", True), ("SHOP.test", True), ("a.shop.test", True), ("old.test", False), ("other.test", True)])
def test_the_name_that_is_asked_for_chooses_the_certificate(safe, shop, old, name, is_shop):
    client = SafeClient(safe.address, name=name)
    assert client.tls.getpeercert(binary_form=True) == (shop if is_shop else old).der()


def test_strict_names_refuse_others(scene, shop):
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(shop, strict_sni=True)})
    assert SafeClient(limpet.address, name="shop.test").get().status == 200
    for name in ("other.test", None):
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            SafeClient(limpet.address, name=name)


def test_the_modern_profile_refuses_tls_1_2(scene, shop):
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(shop, profile="modern")})
    assert SafeClient(limpet.address, context(version=BOTH[1])).get().status == 200
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        SafeClient(limpet.address, context(version=BOTH[0]))


def test_by_alpn_http_2_is_chosen_before_http_1_1_and_nothing_else(safe):
    assert SafeClient(safe.address, context(alpn=["http/1.1", "h2"])).tls.selected_alpn_protocol() == "h2"
    assert SafeClient(safe.address, context(alpn=["http/1.1"])).tls.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        SafeClient(safe.address, context(alpn=["h3"]))


def test_without_http_2_http_1_1_is_chosen(scene, shop):
    limpet = scene.limpet([scene.backend()], listener={"http2": False, "tls": tls_table(shop)})
    assert SafeClient(limpet.address, context(alpn=["h2", "http/1.1"])).tls.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        SafeClient(limpet.address, context(alpn=["h2"]))


def test_the_backend_is_told_of_tls(safe):
    SafeClient(safe.address).get()
    request = safe.backend.last
    assert request.get("X-Forwarded-Proto") == "https"
    assert request.get("X-Forwarded-Host") == "app.test"


def test_a_client_may_not_say_that_it_speaks_none(safe):
    SafeClient(safe.address).get("/", "X-Forwarded-Proto: http")
    assert safe.backend.last.all("X-Forwarded-Proto") == ["https"]


def test_forwarded_says_https(scene, shop):
    backend = scene.backend()
    limpet = scene.limpet([backend], listener={"forwarded": "forwarded", "tls": tls_table(shop)})
    SafeClient(limpet.address).get()
    assert backend.last.get("Forwarded").endswith(";proto=https")


def test_a_trusted_proxy_s_word_goes_before_its_own_tls(scene, shop):
    backend = scene.backend()
    limpet = scene.limpet([backend], listener={"trusted_proxies": ["127.0.0.1"], "tls": tls_table(shop)})
    client = SafeClient(limpet.address)
    client.get("/", "X-Forwarded-Proto: http")
    assert backend.last.get("X-Forwarded-Proto") == "http"
    client.get()
    assert backend.last.get("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("by_tls", [True, False])
def test_a_cookie_is_secure_where_its_client_speaks_tls(scene, shop, by_tls):
    pool = {"affinity": ["cookie"], "cookie": {"secure": "auto"}}
    limpet = scene.limpet([scene.backend()], pool=pool, listener={"tls": tls_table(shop)} if by_tls else {})
    client = SafeClient(limpet.address) if by_tls else limpet.client()
    _, attributes = client.get().set_cookies["limpet_app"]
    assert ("secure" in attributes) == by_tls


def test_a_session_is_one_over_tls_and_over_plain_http(scene, shop):
    listeners = [{"name": name, "address": f"127.0.0.1:{port}", **more} for name, port, more in
                 (("plain", free_port(), {}), ("safe", free_port(), {"tls": tls_table(shop)}))]
    limpet = scene.limpet(scene.backends(3), pool={"affinity": ["cookie"]}, listeners=listeners)
    browser = limpet.browser()
    home = browser.get().text
    cookie = "Cookie: " + "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    for _ in range(5):
        assert SafeClient(limpet.addresses["safe"]).get("/", cookie).text == home


def test_a_proxy_header_comes_before_tls(scene, shop):
    backend = scene.backend()
    limpet = scene.limpet([backend], listener={"proxy_protocol": True, "tls": tls_table(shop)})
    SafeClient(limpet.address, preface=proxy_v1("198.51.100.7")).get()
    assert backend.last.get("X-Forwarded-For") == "198.51.100.7"
    assert backend.last.get("X-Forwarded-Proto") == "https"


def test_plain_http_is_answered_by_nothing_of_http(safe):
    before = len(safe.backend.requests)
    sock = connect(safe.address)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    try:
        while more := sock.recv(4096):
            answer += more
    except ConnectionResetError:
        pass
    assert answer == b"" or answer[:1] == b"\x15"  # an alert
    assert len(safe.backend.requests) == before


@pytest.mark.parametrize("wrong, said", [
    ({"file": "none.pem"}, "none.pem cannot be opened: No such file or directory"),
    ({"file": "shop.pem", "key": "old.key"}, "the private key in {folder}/old.key is not that of the certificate in {folder}/shop.pem"),
])
def test_a_certificate_that_cannot_be_served_keeps_limpet_from_starting(scene, folder, safe, wrong, said):
    table = {key: str(folder / name) for key, name in wrong.items()}
    limpet = scene.start(settings([scene.backend()], listener={"tls": {"certificates": [table]}}), wait=False)
    assert limpet.wait() != 0
    limpet.says(said.format(folder=folder))
    scene.forget(limpet)
