"""Certificates of clients: who is served, what the backend is told, and that nobody tells it instead."""

import hashlib
import ssl
import subprocess

import pytest

from support.client import request_bytes
from support.tls import SafeClient, context, make, tls_table

FIELDS = {"verified": "X-Client-Verified", "subject": "X-Client-Subject", "san": "X-Client-San", "fingerprint": "X-Client-Fingerprint"}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def staff(folder):
    return make(folder, "staff", names=(), is_authority=True)


@pytest.fixture(scope="module")
def bob(folder, staff):
    return make(folder, "bob", ("bob.test",), authority=staff)


@pytest.fixture(scope="module")
def liar(folder):
    return make(folder, "liar", ("bob.test",))


@pytest.fixture(scope="module")
def shop(folder):
    return make(folder)


@pytest.fixture(scope="module")
def serve(shared_scene, shop, staff):
    """One for each mode."""
    started = {}

    def start(mode):
        if mode not in started:
            backend = shared_scene.backend()
            started[mode] = shared_scene.limpet([backend], listener={"tls": tls_table(shop, clients={"mode": mode, "ca": staff.file, **FIELDS})})
            started[mode].backend = backend
        return started[mode]
    return start


def visiting(certificate=None, version=None):
    how = context(version=version)
    if certificate:
        how.load_cert_chain(certificate.file, certificate.key)
    return how


def told(limpet):
    request = limpet.backend.last
    return {key: request.get(name) for key, name in FIELDS.items()}


def of(certificate):
    return {"verified": "yes", "subject": "CN=bob,O=Limpet tests", "san": "DNS:bob.test",
            "fingerprint": hashlib.sha256(certificate.der()).hexdigest()}


def nothing(verified):
    return {"verified": verified, "subject": None, "san": None, "fingerprint": None}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_the_backend_is_told_of_a_certificate_that_is_believed(serve, bob, mode, version):
    limpet = serve(mode)
    client = SafeClient(limpet.address, visiting(bob, version))
    for _ in range(2):
        assert client.get().status == 200
        assert told(limpet) == of(bob)


def test_whoever_shows_none_or_one_that_is_not_believed_is_served_where_it_is_optional(serve, liar):
    limpet = serve("optional")
    for certificate, verified in ((None, "none"), (liar, "no")):
        assert SafeClient(limpet.address, visiting(certificate)).get().status == 200
        assert told(limpet) == nothing(verified)


@pytest.mark.parametrize("version", VERSIONS)
def test_whoever_shows_none_or_one_that_is_not_believed_is_refused_where_it_is_required(serve, liar, version):
    limpet = serve("required")
    before = len(limpet.backend.requests)
    for certificate in (None, liar):
        with pytest.raises((ssl.SSLError, Exception)):
            SafeClient(limpet.address, visiting(certificate, version)).get()
    assert len(limpet.backend.requests) == before


@pytest.mark.parametrize("certificate", ["bob", None])
def test_what_a_client_says_of_itself_by_these_names_is_dropped(serve, bob, certificate):
    limpet = serve("optional")
    forged = ["X-Client-Subject: CN=root", "x-client-subject: CN=root", "X_Client_Subject: CN=root", "x_CLIENT-subject: CN=root",
              "X-Client_Verified: yes", "X-Client-Fingerprint: 0", "X_Client-San: DNS:root", "X-Client-Other: passes"]
    client = SafeClient(limpet.address, visiting(bob if certificate else None))
    client.send(request_bytes("POST", fields=["TE: trailers", *forged], chunks=[b"x"], trailers=["X-Client-Subject: CN=root", "X_Client_San: x", "X-Sum: 1"]))
    assert client.read_response("POST").status == 200
    assert told(limpet) == (of(bob) if certificate else nothing("none"))
    request = limpet.backend.last
    assert request.get("X-Client-Other") == "passes"
    assert "root" not in request.raw_head.decode()
    assert request.trailers == [("X-Sum", "1")]


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption_keeps_the_result(serve, bob, version):
    limpet = serve("required")
    how = visiting(bob, version)
    session = None
    for resumed in (False, True, True):
        client = SafeClient(limpet.address, how, session=session)
        client.get()
        assert told(limpet) == of(bob)
        assert client.tls.session_reused == resumed
        session = client.tls.session
        client.half_close()
        client.close()


def test_curl_and_openssl_are_let_in(serve, bob):
    limpet = serve("required")
    host, port = limpet.address
    done = subprocess.run(["curl", "-ksS", "--cert", bob.file, "--key", bob.key, f"https://{host}:{port}/"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "a"), done.stderr
    assert subprocess.run(["curl", "-ksS", f"https://{host}:{port}/"], capture_output=True, timeout=20).returncode != 0
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-cert", bob.file, "-key", bob.key], input="", capture_output=True,
                          text=True, timeout=20)
    assert "Acceptable client certificate CA names\nO=Limpet tests, CN=staff" in done.stdout.replace(" = ", "=")  # as OpenSSL 3.5 writes it
