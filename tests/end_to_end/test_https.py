"""From plain HTTP to TLS: redirections, HSTS, and the exchange by which an authority sees whose host it is (RFC 8555, section 8.3)."""

import pytest

from support.limpet import settings
from support.tls import SafeClient, context, make, tls_table
from support.wire import eventually, free_port


@pytest.fixture
def front(scene, tmp_path):
    """A plain listener that redirects and answers challenges, and one with TLS."""
    shop = make(tmp_path)
    challenges = tmp_path / "webroot" / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    config = settings([scene.backend()])
    config["listener"] = [
        {"name": "plain", "address": f"127.0.0.1:{free_port()}", "redirect_to_https": True, "acme_challenges": str(challenges)},
        {"name": "sealed", "address": f"127.0.0.1:{free_port()}",
         "tls": tls_table(shop, hsts="max-age=31536000; includeSubDomains")},
    ]
    limpet = scene.start(config)
    limpet.challenges, limpet.shop = challenges, shop
    return limpet


def test_a_request_without_tls_is_sent_to_where_it_is_spoken(front):
    answer = front.request(listener="plain", target="/cart?item=1", host="shop.test")
    assert (answer.status, answer.get("Location")) == (308, "https://shop.test/cart?item=1")
    assert answer.get("Strict-Transport-Security") is None
    assert front.log()[-1]["status"] == 308


def test_browsers_are_told_to_come_with_tls(front):
    answer = SafeClient(front.addresses["sealed"], context(front.shop)).get()
    assert (answer.status, answer.get("Strict-Transport-Security")) == (200, "max-age=31536000; includeSubDomains")


def test_an_authority_finds_the_answer_to_its_challenge_while_nothing_else_is_served_without_tls(front):
    """A client of ACME writes the file, the authority asks for it, and then the file is gone."""
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    file = front.challenges / token
    file.write_text(token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI")
    asked = {"listener": "plain", "target": f"/.well-known/acme-challenge/{token}", "host": "shop.test"}
    answer = front.request(**asked)
    assert (answer.status, answer.body.decode()) == (200, file.read_text())
    file.unlink()
    assert front.request(**asked).status == 308
    assert front.request(listener="plain", target="/.well-known/acme-challenge/..%2f..%2fetc", host="shop.test").status == 308


def test_the_answer_to_a_challenge_is_as_the_rfc_has_it(front):
    (front.challenges / "token").write_text("token.thumbprint\n")  # some clients end the line; authorities take no notice
    answer = front.request(listener="plain", target="/.well-known/acme-challenge/token", host="shop.test")
    assert (answer.get("Content-Type"), answer.body) == ("application/octet-stream", b"token.thumbprint\n")
    assert front.request(listener="plain", target="/.well-known/acme-challenge/token", host="other.test:80").status == 200


def test_a_file_that_limpet_may_not_read_is_told_of(front):
    front.challenges.rmdir()
    front.challenges.write_text("no folder")  # what a user may not read, root may
    assert front.request(listener="plain", target="/.well-known/acme-challenge/token", host="shop.test").status == 308
    eventually(lambda: f"{front.challenges}/token cannot be opened: Not a directory" in front.stderr)
