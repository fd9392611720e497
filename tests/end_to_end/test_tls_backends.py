"""TLS towards backends: whom Limpet trusts, what it tells and shows them, and what it keeps of a session."""

import pathlib
import re
import ssl

import pytest

from support.limpet import run, settings, to_toml
from support.status import Status, status_table
from support.tls import make
from support.wire import eventually

PATIENCE = 15  # for what Limpet sees when it looks at files


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make(tmp_path_factory.mktemp("authority"), "ca", names=(), is_authority=True)


@pytest.fixture
def server_context(authority, tmp_path):
    return lambda *names, **how: context_of(make(tmp_path, "server", names, authority=authority, **how))


def context_of(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    context.told = []
    context.sni_callback = lambda sock, name, _: context.told.append(name)
    return context


def tls_pool(scene, context, address="localhost", *, status=True, **pool):
    backend = scene.backend("a", tls=context)
    table = {**backend.as_table(), "address": f"{address}:{backend.port}"}
    limpet = scene.start(settings([table], pool=pool, **({"status": status_table()} if status else {})))
    return backend, limpet


def test_a_backend_that_proves_its_name_is_served_from_and_told_it(scene, server_context, authority):
    context = server_context("localhost")
    backend, limpet = tls_pool(scene, context, tls={"ca": authority.file})
    client = limpet.client()
    for _ in range(3):
        assert client.get().status == 200
    assert context.told == ["localhost"]  # one connection for all
    assert backend.last.get("X-Forwarded-Proto") == "http"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken_and_large_bodies_pass_both_ways(scene, server_context, authority, version):
    context = server_context("localhost", kind="rsa")
    context.minimum_version = context.maximum_version = version
    backend, limpet = tls_pool(scene, context, tls={"ca": authority.file})
    backend.handler = lambda connection, request: connection.reply(body=connection.read_body())
    body = bytes(range(256)) * 8192
    assert limpet.client().request("POST", body=body).body == body
    assert limpet.client().request("POST", chunks=[body[:70_000], body[70_000:]]).body == body


def test_an_address_is_covered_by_a_certificate_for_it_and_told_nobody(scene, server_context, authority):
    context = server_context("127.0.0.1")
    _, limpet = tls_pool(scene, context, "127.0.0.1", tls={"ca": authority.file})
    assert limpet.client().get().status == 200
    assert context.told == [None]


def test_the_name_that_the_file_says_takes_the_place_of_the_address(scene, server_context, authority):
    context = server_context("shop.test")
    _, limpet = tls_pool(scene, context, "127.0.0.1", tls={"ca": authority.file, "name": "shop.test"})
    assert limpet.client().get().status == 200
    assert context.told == ["shop.test"]


@pytest.mark.parametrize("names, trusts, why", [
    (["other.test"], True, "hostname mismatch"),
    (["localhost"], False, "unable to get local issuer certificate"),
], ids=["another name", "another authority"])
def test_whoever_cannot_prove_to_be_the_backend_gets_no_request_and_reports_say_why(scene, server_context, authority, tmp_path, names, trusts, why):
    ca = authority.file if trusts else make(tmp_path, "other", names=(), is_authority=True).file
    health = {"check": "http", "interval": "100ms", "fast_interval": "50ms", "timeout": "100ms", "fall": 1, "rise": 1}
    backend, limpet = tls_pool(scene, server_context(*names), tls={"ca": ca}, health=health)
    assert limpet.client().get().status == 503
    status = Status(limpet)
    status.wait_for_state("a", "down")
    assert why in status.backend("a")["why"]
    assert backend.requests == [] == backend.checks
    assert backend.failed_handshakes


def test_nobody_is_verified_where_the_file_says_so(scene, server_context, authority):
    _, limpet = tls_pool(scene, server_context("other.test"), tls={"insecure": True})
    assert limpet.client().get().status == 200


def test_a_backend_that_does_not_choose_http2_is_not_spoken_to_in_it(scene, server_context, authority):
    backend, limpet = tls_pool(scene, server_context("localhost"), protocol="h2", tls={"ca": authority.file})
    assert limpet.client().get().status == 503
    assert limpet.log()[0]["end"] == "no_backend"
    status = Status(limpet)
    status.wait_for_state("a", "down")
    assert "does not choose it by ALPN" in status.backend("a")["why"]
    assert backend.requests == []  # nor anything else, which would be an error of its


def test_a_backend_that_asks_for_a_certificate_is_shown_ours(scene, server_context, authority, tmp_path):
    context = server_context("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    ours = make(tmp_path, "limpet.test", authority=authority)
    backend, limpet = tls_pool(scene, context, tls={"ca": authority.file, "certificate": ours.file, "key": ours.key})
    backend.handler = lambda connection, request: connection.reply(body=str(connection.sock.getpeercert()["subject"]).encode())
    assert "limpet.test" in limpet.client().get().text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_new_connection_takes_up_the_session_of_one_before(scene, server_context, authority, version):
    context = server_context("localhost")
    context.maximum_version = version
    backend, limpet = tls_pool(scene, context, tls={"ca": authority.file}, health={"check": "none"})
    backend.handler = lambda connection, request: connection.reply(fields=["Connection: close"], body=str(connection.sock.session_reused).encode())
    client = limpet.client()
    assert [client.get().text for _ in range(3)] == ["False", "True", "True"]


def test_checks_speak_as_requests_do_but_at_a_port_of_their_own(scene, server_context, authority):
    health = {"check": "http", "path": "/healthz", "interval": "100ms", "fast_interval": "50ms", "timeout": "100ms"}
    context = server_context("localhost")
    backend, limpet = tls_pool(scene, context, tls={"ca": authority.file}, health={**health, "host": "shop.test"})
    eventually(lambda: len(backend.checks) >= 2)
    assert Status(limpet).backend("a")["last_check"]["passed"]
    assert {check.get("Host") for check in backend.checks} == {"shop.test"} and set(context.told) == {"localhost"}
    plain = scene.backend("plain")
    spoken = scene.start(settings([{**backend.as_table(), "address": f"localhost:{backend.port}"}],
                                  pool={"tls": {"ca": authority.file}, "health": {**health, "port": plain.port}}, status=status_table()))
    eventually(lambda: len(plain.checks) >= 2)
    assert Status(spoken).backend("a")["state"] == "up"


def test_an_answer_that_ends_without_a_word_of_it_is_cut_for_the_client_too(scene, server_context, authority):
    backend, limpet = tls_pool(scene, server_context("localhost"), tls={"ca": authority.file})

    def cut(connection, request):
        connection.reply(body=b"the beginning", length=False)
        connection.open = False
        connection.sock.shutdown(2)  # below TLS: no close_notify

    backend.handler = cut
    client = limpet.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not client.read_to_end().endswith(b"0\r\n\r\n")
    assert limpet.log()[-1]["end"] == "backend_cut"


def test_a_backend_that_comes_to_speak_tls_is_spoken_to_so_after_a_reload(scene, server_context, authority):
    context = server_context("localhost")
    plain, sealed = scene.backend("plain"), scene.backend("sealed", tls=context)
    table = {"name": "a", "address": f"localhost:{plain.port}"}
    limpet = scene.start(settings([table], status=status_table()))
    client = limpet.client()
    assert client.get().get("X-Backend") == "plain"
    config = settings([{**table, "address": f"localhost:{sealed.port}"}], pool={"tls": {"ca": authority.file}}, status=limpet.config["status"])
    config["listener"] = limpet.config["listener"]
    limpet.write(config)
    code, out, err = Status(limpet).command("reload")
    assert code == 0, err
    eventually(lambda: client.get().get("X-Backend") == "sealed")  # workers follow in their next turn
    eventually(lambda: not plain.open_connections)


def test_whose_a_connection_is_comes_before_the_handshake(scene, server_context, authority):
    told = []
    backend = scene.backend("a", tls=server_context("localhost"), before_tls=lambda connection: told.append(connection.sock.recv(28)))
    limpet = scene.start(settings([{**backend.as_table(), "address": f"localhost:{backend.port}"}],
                                  pool={"tls": {"ca": authority.file}, "send_proxy": 2}))
    assert limpet.client().get().status == 200
    assert told[0].startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c")


def test_files_that_are_no_certificates_are_refused_by_name(scene, server_context, authority, tmp_path):
    backend, limpet = tls_pool(scene, server_context("localhost"), tls={"ca": authority.file})
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    for tls in ({"ca": str(nothing)}, {"ca": authority.file, "certificate": str(nothing)}):
        limpet.write({**limpet.config, "pool": [{**limpet.config["pool"][0], "tls": tls}]})
        code, _, err = Status(limpet).command("reload")
        assert code != 0 and str(nothing) in err
    assert limpet.client().get().status == 200


def test_a_reload_that_changes_nothing_of_it_keeps_connections(scene, server_context, authority):
    context = server_context("localhost")
    _, limpet = tls_pool(scene, context, tls={"ca": authority.file}, health={"check": "none"})
    client = limpet.client()
    assert client.get().status == 200
    assert Status(limpet).command("reload")[0] == 0
    assert client.get().status == 200
    assert context.told == ["localhost"]  # one connection for both


@pytest.mark.released
def test_files_are_read_again_when_they_change(scene, server_context, authority, tmp_path):
    believed, ours = make(tmp_path, "believed", names=(), is_authority=True), make(tmp_path, "limpet.test", authority=authority)
    context = server_context("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    backend, limpet = tls_pool(scene, context, health={"check": "none"},
                               tls={"ca": believed.file, "certificate": ours.file, "key": ours.key})
    backend.handler = lambda connection, request: connection.reply(body=str(connection.sock.getpeercert()["subject"]).encode())
    status = Status(limpet)
    assert limpet.get().status == 503
    believed.take(authority)
    eventually(lambda: limpet.get().status == 200, PATIENCE)
    limpet.says(f"{believed.file} is read again, and in use: 1 authority certificate")
    ours.take(make(tmp_path, "new.test", authority=authority))
    eventually(lambda: "new.test" in limpet.get().text, PATIENCE)

    pathlib.Path(believed.file).write_text("half a certifi")
    eventually(lambda: status.pool("app")["tls"]["authorities"]["wrong"] == f"{believed.file} holds no certificate (PEM: -----BEGIN CERTIFICATE-----)", PATIENCE)
    assert limpet.get().status == 200
    assert f'limpet_tls_file_stale{{pool="app",file="{believed.file}"}} 1\n' in status.get("/metrics").text
    assert f"pool app: authorities {believed.file}: their file has changed, and is not used: " in status.command("status")[1]


def test_a_certificate_that_expires_is_told(scene, server_context, authority, tmp_path):
    ours = make(tmp_path, "ours", ("limpet.test",), authority=authority, days=5)
    _, limpet = tls_pool(scene, server_context("localhost"), tls={"ca": authority.file, "certificate": ours.file, "key": ours.key})
    status = Status(limpet)
    assert f'limpet_tls_certificate_not_after_timestamp_seconds{{pool="app",file="{ours.file}",name="limpet.test"}} ' in status.get("/metrics").text
    assert re.search(f"pool app: certificate {ours.file}: expires in (5 d|4 d 23 h)\n", status.command("status")[1])


def test_check_tells_of_files(scene, server_context, authority, tmp_path):
    ours = make(tmp_path, "limpet.test", authority=authority, days=5)
    file = tmp_path / "limpet.toml"

    def check(**tls):
        backend = {"name": "a", "address": "127.0.0.1:1"}
        file.write_text(to_toml(settings([backend], pool={"tls": tls})))
        return run("check", file)

    _, out, err = check(ca=authority.file, certificate=ours.file, key=ours.key)
    assert re.search(f"pool app: the certificate {ours.file} expires in (5 d|4 d 23 h)\n", out + err)
    code, out, err = check(ca=str(tmp_path / "none"), certificate=ours.file, key=authority.key)
    assert code != 0
    assert f"pool[0].tls.ca: {tmp_path}/none cannot be opened: No such file or directory" in err
    assert f"pool[0].tls.key: the private key in {authority.key} is not that of the certificate in {ours.file}" in err
