"""Sessions of TLS that are taken up again: at other workers, after a restart, at a second Limpet."""

import ssl

import pytest

from support.limpet import KEY, OTHER_KEY, HASH_SECRET, settings
from support.tls import SafeClient, context, make, tls_table

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Visitor:
    """Comes again with the session that it was given last."""

    def __init__(self, version):
        self.context = context(version=version)
        self.session = None

    def is_known(self, limpet):
        """Whether it is, when it comes now."""
        client = SafeClient(limpet.address, self.context, session=self.session)
        assert client.get().status == 200  # tickets of TLS 1.3 have come with it
        known, self.session = client.tls.session_reused, client.tls.session
        client.half_close()
        client.close()
        return known


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def visitor(request):
    return Visitor(request.param)


@pytest.fixture
def shop(tmp_path):
    return make(tmp_path)


def config(scene, shop, workers=1, key=KEY, **tls):
    return settings([scene.backend()], workers=workers, secrets={"keys": [key], "hash_secret": HASH_SECRET},
                    listener={"tls": tls_table(shop, **tls)})


def test_every_worker_resumes_what_another_began(scene, shop, visitor):
    limpet = scene.start(config(scene, shop, workers=4))
    assert not visitor.is_known(limpet)
    assert all(visitor.is_known(limpet) for _ in range(20))


@pytest.mark.parametrize("shared", [True, False])
def test_a_restart_forgets_sessions_unless_tickets_are_shared(scene, shop, visitor, shared):
    first = scene.start(config(scene, shop, shared_tickets=shared))
    visitor.is_known(first)
    scene.forget(first)
    assert visitor.is_known(scene.start(config(scene, shop, shared_tickets=shared))) == shared


def test_two_limpets_with_the_same_keys_resume_each_other_s_sessions(scene, shop, visitor):
    one, other = (scene.start(config(scene, shop, shared_tickets=True)) for _ in range(2))
    stranger = scene.start(config(scene, shop, key=OTHER_KEY, shared_tickets=True))
    assert not visitor.is_known(one)
    assert all(visitor.is_known(limpet) for limpet in (other, one, other))
    assert not visitor.is_known(stranger)


def test_a_reload_keeps_sessions(scene, shop, visitor):
    limpet = scene.start(config(scene, shop))
    visitor.is_known(limpet)
    limpet.signal(1)
    while "is in force" not in limpet.stderr:
        pass
    assert visitor.is_known(limpet)
