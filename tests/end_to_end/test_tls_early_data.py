"""Early data (0-RTT): requests within the first flight of a client that comes back, as openssl s_client sends them."""

import subprocess

import pytest

from support.client import request_bytes
from support.tls import make, tls_table


@pytest.fixture
def shop(tmp_path):
    return make(tmp_path)


@pytest.fixture
def visit(tmp_path):
    """Asks by s_client, early from the second time on: what it printed."""
    session = tmp_path / "session.pem"

    def ask(limpet, request, again=True):
        host, port = limpet.address
        words = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-ign_eof", "-sess_out", session]
        if again and session.exists():
            (tmp_path / "early").write_bytes(request)
            words += ["-sess_in", session, "-early_data", tmp_path / "early"]
            request = b""
        return subprocess.run(words, input=request, capture_output=True, timeout=20).stdout.decode(errors="replace")
    return ask


def get(method="GET", **how):
    return request_bytes(method, fields=["Connection: close"], **how)


def test_an_early_get_is_served_and_marked_and_a_post_is_not(scene, shop, visit):
    backend = scene.backend()
    limpet = scene.limpet([backend], workers=2, listener={"tls": tls_table(shop, early_data=True)})
    assert "200 OK" in visit(limpet, get())
    assert not backend.last.has("Early-Data")
    for _ in range(5):
        said = visit(limpet, get())
        assert "Early data was accepted" in said and "200 OK" in said
        assert backend.last.get("Early-Data") == "1"
    before = len(backend.requests)
    said = visit(limpet, get("POST", body=b"order"))
    assert "HTTP/1.1 425 Too Early" in said
    assert len(backend.requests) == before
    assert sorted(line["end"] for line in limpet.log(7)) == ["ok"] * 6 + ["too_early"]


def test_no_ticket_offers_it_by_default(scene, shop, visit):
    for early, size in ((None, 0), (True, 16384)):
        table = tls_table(shop) if early is None else tls_table(shop, early_data=early)
        said = visit(scene.limpet([scene.backend()], listener={"tls": table}), get(), again=False)
        assert f"Max Early Data: {size}\n" in said
