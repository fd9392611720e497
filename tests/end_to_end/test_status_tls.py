"""The status endpoint by TLS: whom it lets in, what commands trust, and certificates that change while it runs."""

import http.client
import os
import pathlib
import signal
import socket
import ssl
import subprocess

import pytest

from support.client import connect
from support.limpet import run, settings, to_toml
from support.status import Status, status_table
from support.tls import context, make, tls_table
from support.wire import eventually

PATIENCE = 15  # for what Limpet sees when it looks at files
TOKEN = "0123456789abcdef"


@pytest.fixture
def current(tmp_path):
    """What the endpoint shows."""
    return make(tmp_path, "current", names=("127.0.0.1", "lb.test"))


@pytest.fixture
def limpet(scene, current):
    return scene.limpet([scene.backend()], status=status_table(token=TOKEN, tls=tls_table(current)))


@pytest.fixture
def status(limpet, current):
    return Status(limpet, current)


def port_of(status):
    return int(status.address.rpartition(":")[2])


def shown(status):
    with context().wrap_socket(connect(port_of(status)), server_hostname="lb.test") as sock:
        return sock.getpeercert(binary_form=True)


def curl(status, path, *words):
    """By a name that is not the machine's, which leads there."""
    url = f"https://lb.test:{port_of(status)}{path}"
    done = subprocess.run(["curl", "-sS", "--max-time", "10", "--connect-to", f"::{status.address}", *words, url], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def put(limpet, **changes):
    """Reloads with these changes in the status' table; returns what the log says of it."""
    limpet.config["status"] = {key: value for key, value in {**limpet.config["status"], **changes}.items() if value is not None}
    return limpet.reload()


def test_everything_is_asked_by_tls(limpet, status, current):
    limpet.says(f"status at https://{status.address}/")
    assert status.report()["pools"][0]["name"] == "app"
    assert status.get("/").status == 200
    assert status.metric("limpet_info") == 1
    assert curl(status, "/healthz", "--cacert", current.authority) == (0, '{"alive":true}\n', "")
    assert curl(status, "/healthz")[0] == 60  # it cannot be verified


def test_orders_take_the_token_as_ever(status):
    assert status.request("POST", "/pools/app/backends/a/drain", {"X-Limpet": "pytest"}).status == 401
    assert status.post("/pools/app/backends/a/drain", token="fedcba9876543210").status == 401
    assert status.post("/pools/app/backends/a/drain").status == 200


def test_plain_http_and_nonsense_are_closed_without_an_answer(status):
    for said in (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"nonsense\r\n\r\n"):
        with connect(port_of(status)) as sock:
            sock.sendall(said)
            assert b"HTTP" not in sock.makefile("rb").read()
    assert status.get("/healthz").status == 200


def test_the_profile_is_kept_to(scene, current):
    limpet = scene.limpet([scene.backend()], status=status_table(tls=tls_table(current, profile="modern")))
    status = Status(limpet, current)
    with connect(port_of(status)) as sock, pytest.raises(ssl.SSLError, match="protocol version"):
        context(current, version=ssl.TLSVersion.TLSv1_2).wrap_socket(sock, server_hostname="lb.test")


def test_events_come_by_tls_and_its_end_ends_them(limpet, status, current):
    connection = http.client.HTTPSConnection(status.address, timeout=10, context=context(current))
    connection.request("GET", "/events")
    events = connection.getresponse()
    for _ in range(2):
        while not events.readline().startswith(b"data: "):
            pass
    with connect(port_of(status)) as half:  # in its handshake
        half.sendall(b"\x16\x03\x01")
        limpet.signal(signal.SIGTERM)
        assert limpet.wait() == 0
    events.read()  # to its end
    connection.close()


# Commands.


def test_commands_ask_by_tls(status, current):
    code, out, err = status.command("status")
    assert (code, err) == (0, "") and out.startswith("limpet ")
    code, _, err = status.command("drain", "app/a")
    assert code == 1 and "this needs the token" in err
    assert status.command("drain", "app/a", token="fedcba9876543210")[2] == "limpet drain: the token is wrong (--token-file or LIMPET_TOKEN gives it)\n"
    assert status.command("drain", "app/a", "--wait", "--known-only", token=TOKEN)[0] == 0
    assert status.command("reload", "--at", f"https://{status.address}", "--ca", current.authority, token=TOKEN)[0] == 0


def test_commands_trust_whom_the_system_does(status, current, monkeypatch):
    status.trusted = None
    at = ("--at", status.url.replace("http:", "https:"))
    code, out, err = status.command("status", *at)
    assert (code, out) == (1, "") and "its certificate is not trusted: self-signed certificate (--ca FILE or LIMPET_CA says whom to trust)" in err
    monkeypatch.setenv("SSL_CERT_FILE", current.authority)
    assert status.command("status", *at)[0] == 0


def test_commands_say_what_is_wrong_with_who_answers(scene, tmp_path):
    authority = make(tmp_path, "authority", names=(), is_authority=True)
    named = make(tmp_path, "named", names=("lb.test",), authority=authority)
    gone = make(tmp_path, "gone", names=("127.0.0.1",), authority=authority, days=-1)

    def start(**keys):
        return scene.limpet([scene.backend()], status=status_table(**keys)).config["status"]["address"]

    def refusal(address, ca):
        code, out, err = run("status", "--at", address, "--ca", ca)
        assert (code == 0) == (err == "") != (out == "")
        return err.removeprefix(f"limpet status: {address}: ").strip()

    untrusted = "its certificate is not trusted: "
    address = start(tls=tls_table(named))
    assert refusal(address, authority.file) == untrusted + "IP address mismatch"
    assert refusal(address, named.file) == ""  # this very one
    assert refusal(address, gone.file).startswith(untrusted + "unable to get local issuer certificate (--ca")
    address = start(tls=tls_table(gone))
    for ca in (authority.file, gone.file):
        assert refusal(address, ca) == untrusted + "certificate has expired"
    assert refusal(start(), authority.file) == "no TLS is spoken there: http:// asks without"


def test_a_command_that_is_to_ask_by_tls_says_nothing_without_it(scene):
    """Neither to who speaks another protocol, nor to who says nothing: the token is not told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = subprocess.Popen([os.environ["LIMPET_BIN"], "drain", "app/a", "--at", f"https://127.0.0.1:{server.getsockname()[1]}"],
                                 env={**os.environ, "LIMPET_TOKEN": TOKEN}, stderr=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        said = connection.recv(65536)
        assert said[0] == 0x16 and TOKEN.encode() not in said
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.settimeout(10)
        assert TOKEN.encode() not in connection.recv(65536)
        connection.close()
        assert "no TLS is spoken there" in asked.communicate(timeout=20)[1]


# Certificates that change.


def test_new_files_are_shown_by_themselves(limpet, status, current, tmp_path):
    assert shown(status) == current.der()
    kept = http.client.HTTPSConnection(status.address, timeout=10, context=context(current))
    kept.request("GET", "/healthz")
    kept.getresponse().read()
    other = make(tmp_path, "other", names=("127.0.0.1",))
    current.take(other)
    eventually(lambda: shown(status) == other.der(), PATIENCE)
    limpet.says(f"{current.file} is read again, and in use: a certificate that expires 20")
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b'{"alive":true}\n'
    kept.close()
    assert status.command("status")[0] == 0  # which reads the same file


@pytest.mark.released
def test_a_bad_file_keeps_the_old_certificate_and_is_told(limpet, status, current):
    before, text = current.der(), pathlib.Path(current.file).read_text()
    good = pathlib.Path(current.file).with_name("good.pem")
    good.write_text(text)
    current.authority = str(good)
    pathlib.Path(current.file).write_text("half a certifi")
    eventually(lambda: status.report()["status_tls"]["certificates"][0]["wrong"], PATIENCE)
    assert shown(status) == before
    assert f'limpet_tls_file_stale{{endpoint="status",file="{current.file}"}} 1\n' in status.get("/metrics").text
    assert f"status: certificate {current.file}: its file has changed, and is not used: " in status.command("status")[1]


def test_expiry_is_told(scene, tmp_path):
    soon = make(tmp_path, "soon", names=("127.0.0.1",), days=9)
    limpet = scene.limpet([scene.backend()], status=status_table(tls=tls_table(soon)))
    status = Status(limpet, soon)
    told = status.report()["status_tls"]
    assert told["authorities"] is None and told["certificates"][0]["names"] == ["127.0.0.1"]
    assert (f'limpet_tls_certificate_not_after_timestamp_seconds{{endpoint="status",file="{soon.file}",name="127.0.0.1"}} '
            f'{told["certificates"][0]["not_after"]}\n') in status.get("/metrics").text
    assert f"status: certificate {soon.file}: expires in " in status.command("status")[1]


def test_a_reload_leads_to_tls_and_from_it(scene, current, tmp_path):
    limpet = scene.limpet([scene.backend()], status=status_table(token=TOKEN))
    plain, safe = Status(limpet), None
    assert plain.report()["status_tls"] is None
    assert "is in force" in put(limpet, tls=tls_table(current))
    safe = Status(limpet, current)
    assert safe.report()["status_tls"]["certificates"][0]["file"] == current.file
    assert not plain.answers()
    other = make(tmp_path, "other", names=("127.0.0.1",))
    assert "is in force" in put(limpet, tls=tls_table(other))
    eventually(lambda: shown(safe) == other.der())
    assert "is in force" in put(limpet, tls=None)
    eventually(plain.answers)
    assert plain.report()["status_tls"] is None


def test_an_order_to_reload_is_answered_where_it_leads_to_tls(scene, current):
    limpet = scene.limpet([scene.backend()], status=status_table(token=TOKEN))
    status = Status(limpet)
    limpet.config["status"]["tls"] = tls_table(current)
    limpet.write()
    code, out, err = status.command("reload", token=TOKEN)
    assert (code, err) == (0, "") and "is in force" in out
    assert Status(limpet, current).get("/healthz").status == 200


def test_a_reload_with_a_bad_certificate_or_another_address_changes_nothing(limpet, status, current):
    before = current.der()
    pathlib.Path(current.key).write_text("no key")
    assert "nothing is changed: status: " in put(limpet)
    assert shown(status) == before
    del limpet.config["status"]["tls"]
    assert "take a restart:\nstatus.address\n" in put(limpet, address="127.0.0.1:1")
    assert shown(status) == before


def test_check_tells_of_certificates_and_of_a_token_in_the_open(tmp_path):
    soon = make(tmp_path, "soon", days=5)
    file = tmp_path / "limpet.toml"

    def check(**status):
        file.write_text(to_toml(settings([{"name": "a", "address": "127.0.0.1:9"}], status={"address": "10.0.0.1:9180", "token": TOKEN, **status})))
        return run("check", str(file))

    code, _, err = check()
    assert code == 0 and f"{file}: warning: status: whoever is on the way to 10.0.0.1:9180 can read the token; [status.tls] encrypts it\n" in err
    code, _, err = check(tls=tls_table(soon))
    assert code == 0 and f"{file}: warning: status: the certificate {soon.file} expires in " in err and "can read the token" not in err
    pathlib.Path(soon.file).write_text("nothing")
    code, _, err = check(tls=tls_table(soon))
    assert code == 1 and f": status.tls.certificates[0].file: {soon.file} holds no certificate" in err
