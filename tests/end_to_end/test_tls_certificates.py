"""The life of a certificate: read again by a reload and when its files change, told of before it expires, and held by `limpet check`."""

import asyncio
import os
import pathlib
import re
import shutil
import ssl
import threading

import pytest

from support.limpet import is_sanitized, run, settings, to_toml
from support.status import Status, status_table
from support.tls import SafeClient, context, make, server_context, tls_table
from support.truth import Client, seen_by
from support.wire import eventually

PATIENCE = 15  # for what Limpet sees when it looks at files


@pytest.fixture
def current(tmp_path):
    """What Limpet shows."""
    return make(tmp_path, "current")


def shown(limpet):
    client = SafeClient(limpet.address)
    try:
        assert client.get().status == 200
        return client.tls.getpeercert(binary_form=True)
    finally:
        client.close()


def is_shown(limpet, certificate):
    """By every worker, as it were: each takes up what is new by itself."""
    return all(shown(limpet) == certificate.der() for _ in range(20))


@pytest.fixture
def limpet(scene, current):
    limpet = scene.limpet([scene.backend()], workers=2, listener={"tls": tls_table(current)}, status=status_table())
    assert shown(limpet) == current.der()
    return limpet


def reports(limpet):
    return Status(limpet).report()["listeners"][0]["tls"]["certificates"]


def test_new_files_are_shown_by_themselves(limpet, current, tmp_path):
    kept = SafeClient(limpet.address)
    other = make(tmp_path, "other")
    current.take(other)
    eventually(lambda: is_shown(limpet, other), PATIENCE)
    assert kept.get().status == 200
    limpet.says(f"{current.file} is read again, and in use: a certificate that expires 20")


def test_links_are_followed_as_certbot_turns_them(scene, tmp_path):
    first, second = make(tmp_path, "fullchain1"), make(tmp_path, "fullchain2")
    live = tmp_path / "live"
    live.mkdir()

    def turn(certificate):
        for kind, name in (("file", "fullchain.pem"), ("key", "privkey.pem")):
            (live / name).unlink(missing_ok=True)
            (live / name).symlink_to(getattr(certificate, kind))

    turn(first)
    table = {"certificates": [{"file": str(live / "fullchain.pem"), "key": str(live / "privkey.pem")}]}
    limpet = scene.limpet([scene.backend()], listener={"tls": table})
    assert shown(limpet) == first.der()
    turn(second)
    eventually(lambda: shown(limpet) == second.der(), PATIENCE)


@pytest.mark.released
def test_a_key_may_come_long_after_its_certificate(limpet, current, tmp_path):
    before, other = current.der(), make(tmp_path, "other")
    current.take(other, "file")
    eventually(lambda: reports(limpet)[0]["wrong"], PATIENCE)
    assert shown(limpet) == before
    limpet.says(f"{current.file} has changed, and is not used: the private key in")
    assert limpet.stderr.count("has changed, and is not used") == 1
    current.take(other, "key")
    eventually(lambda: shown(limpet) == other.der(), PATIENCE)
    assert reports(limpet)[0]["wrong"] == ""


@pytest.mark.released
def test_a_bad_file_keeps_the_old_certificate_and_is_told_once(limpet, current):
    before = current.der()
    pathlib.Path(current.file).write_text("half a certifi")
    eventually(lambda: reports(limpet)[0]["wrong"] == f"{current.file} holds no certificate (PEM: -----BEGIN CERTIFICATE-----)", PATIENCE)
    threading.Event().wait(7)  # more looks
    assert limpet.stderr.count("has changed, and is not used") == 1
    assert shown(limpet) == before
    status = Status(limpet)
    assert f'limpet_tls_file_stale{{listener="main",file="{current.file}"}} 1\n' in status.get("/metrics").text
    assert f"listener main: certificate {current.file}: its file has changed, and is not used: " in status.command("status")[1]


# Renewed under load.


class Links:
    """As certbot does it: links, of which each is taken away and made anew."""

    def __init__(self, folder):
        self.key, self.file = folder / "privkey.pem", folder / "fullchain.pem"

    def steps(self, certificate):
        for link, to in ((self.key, certificate.key), (self.file, certificate.file)):
            link.unlink(missing_ok=True)
            yield
            link.symlink_to(to)
            yield


class Copies(Links):
    """As cp does it: what was there is empty first, and half of what is new before it is whole."""

    def steps(self, certificate):
        for file, source in ((self.key, certificate.key), (self.file, certificate.file)):
            text = pathlib.Path(source).read_text()
            for length in (0, len(text) // 2, len(text)):
                with open(file, "r+" if file.exists() else "w") as copy:
                    copy.truncate(0)
                    copy.write(text[:length])
                yield


class Renames(Links):
    """As those do it who take care: each is written beside the old one, and takes its place at once."""

    def steps(self, certificate):
        for file, source in ((self.key, certificate.key), (self.file, certificate.file)):
            os.rename(shutil.copy(source, f"{file}.next"), file)
            yield


class Callers:
    """Clients that ask without a pause: `keeping` of them on one connection each, and the others on a new one each time. They verify what
    they are shown."""

    def __init__(self, limpet, how, *, keeping, coming):
        self.clients = [Client(number, limpet.address[1], False, how) for number in range(keeping + coming)]
        self.keeping = keeping
        self.seen = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.call()))

    def __enter__(self):
        self.thread.start()
        eventually(lambda: all(client.seen for client in self.clients))

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    async def call(self):
        await asyncio.gather(*(self.life(number, client) for number, client in enumerate(self.clients)))

    async def life(self, number, client):
        while not self.over.is_set():
            await client.ask("GET")
            if number >= self.keeping and client.streams:
                self.seen.add(client.streams[1].get_extra_info("ssl_object").getpeercert(True))
                client.close()
            await asyncio.sleep(0)
        client.close()


@pytest.mark.parametrize("way", [Links, Copies, Renames])
def test_certificates_renewed_and_reloaded_under_load_fail_no_request(scene, tmp_path, way):
    authority = make(tmp_path, "authority", names=(), is_authority=True)
    certificates = [make(tmp_path, f"renewed-{number}", kind=kind, authority=authority) for number, kind in enumerate(("ecdsa", "rsa", "ecdsa", "rsa"))]
    backend = scene.backend("a", lambda connection, request: connection.reply(body=b"a session"))
    backend.records_bytes = False
    live = tmp_path / "live"
    live.mkdir()
    files = way(live)
    list(files.steps(certificates[0]))
    table = {"certificates": [{"file": str(files.file), "key": str(files.key)}]}
    limpet = scene.limpet([backend], workers=2, listener={"tls": table}, log={"access": "off"})
    callers = Callers(limpet, context(certificates[0]), keeping=60, coming=20)
    with callers:
        for renewed in certificates[1:]:
            for _ in files.steps(renewed):
                limpet.reload()
            eventually(lambda: is_shown(limpet, renewed) and renewed.der() in callers.seen, what="the new certificate is shown")
        list(files.steps(certificates[0]))
        eventually(lambda: is_shown(limpet, certificates[0]), PATIENCE)  # without a reload
    seen = seen_by(callers.clients)
    print(f"{way.__name__}: {dict(seen)} on {len(backend.connections)} connections; {limpet.stderr.count('is in force')} reloads and "
          f"{limpet.stderr.count('nothing is changed')} refused")
    assert seen.keys() == {"answered 200"}
    assert callers.seen == {certificate.der() for certificate in certificates}  # and nothing else
    assert limpet.stderr.count("is in force") >= 3 <= limpet.stderr.count("nothing is changed")


def test_what_was_shown_and_believed_before_is_left_behind_by_no_reload(scene, current, tmp_path):
    """A context of OpenSSL takes 20 KiB and more; each reload makes another for each worker and side."""
    others = [make(tmp_path, f"other-{number}", names=("127.0.0.1",)) for number in range(2)]
    backend = scene.backend("a", tls=server_context(others[0]))
    limpet = scene.limpet([backend], pool={"tls": {"ca": current.file}, "health": {"check": "none"}}, workers=2, listener={"tls": tls_table(current)})
    sizes = []
    for number in range(200):
        current.take(others[number % 2])
        limpet.reload()
        eventually(lambda: limpet.get().status == (503 if number % 2 else 200))
        if number % 50 == 49:
            sizes.append(limpet.status("VmRSS"))
    print(f"KiB after every fifty reloads: {sizes}")
    assert sizes[-1] - sizes[0] < (1024 if not is_sanitized() else 65536), sizes


def test_a_reload_with_a_bad_certificate_changes_nothing(limpet, current):
    before = current.der()
    pathlib.Path(current.key).write_text("no key")
    assert "nothing is changed: listener main: " in limpet.reload()
    assert shown(limpet) == before


def test_expiry_is_told(scene, tmp_path):
    soon, later = make(tmp_path, "soon", days=9), make(tmp_path, "later", names=("later.test",), days=60)
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(soon, later)}, status=status_table())
    status = Status(limpet)
    first, second = reports(limpet)
    assert (first["file"], first["names"], second["names"]) == (soon.file, ["shop.test"], ["later.test"])
    assert 50 * 86400 < second["not_after"] - first["not_after"] < 52 * 86400
    text = status.get("/metrics").text
    assert (f'limpet_tls_certificate_not_after_timestamp_seconds{{listener="main",file="{soon.file}",name="shop.test"}} '
            f'{first["not_after"]}\n') in text
    told = status.command("status")[1]
    assert re.search(rf"listener main: certificate {soon.file}: expires in (8 d 23 h|9 d)\n", told)
    assert later.file not in told


def test_a_certificate_that_has_expired_is_shown_and_told_of(scene, tmp_path):
    gone = make(tmp_path, "gone", days=-1)
    limpet = scene.limpet([scene.backend()], listener={"tls": tls_table(gone)}, status=status_table())
    with pytest.raises(ssl.SSLError, match="certificate has expired"):
        SafeClient(limpet.address, context(gone))
    assert f"listener main: certificate {gone.file}: EXPIRED 1 d" in Status(limpet).command("status")[1]


def test_check_tells_of_certificates(scene, tmp_path):
    authority = make(tmp_path, "authority", names=(), is_authority=True)
    alone = make(tmp_path, "alone", authority=authority, days=5)
    config = settings([{"name": "a", "address": "127.0.0.1:9"}], listener={"tls": tls_table(alone)},
                      routes=[{"pool": "app"}, {"pool": "app", "host": "other.test"}])
    file = tmp_path / "limpet.toml"
    file.write_text(to_toml(config))
    status, out, err = run("check", str(file))
    assert (status, out.startswith(f"{file}: ok")) == (0, True)
    assert re.search(rf"{file}: warning: listener main: the certificate {alone.file} expires in (4 d 23 h|5 d)\n", err)
    assert f"{file}: warning: listener main: the certificate {alone.file} comes without the certificate of its issuer" in err
    assert f"{file}: warning: listener main: no certificate covers other.test, which a route serves" in err
    pathlib.Path(alone.key).write_text(pathlib.Path(authority.key).read_text())
    status, _, err = run("check", str(file))
    assert status != 0
    line = next(number for number, text in enumerate(file.read_text().split("\n"), 1) if text.startswith("key ="))
    assert err.startswith(f"{file}:{line}:7: listener[0].tls.certificates[0].key: the private key in {alone.key} is not that of")
