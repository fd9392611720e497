"""Two Express applications with express-session's MemoryStore, unchanged: users are recognised by connect.sid, by cookie, or by address."""

import pytest

from users import crowd, own_address, stays_logged_in

POOLS = {
    "session-id": {"affinity": ["session-id"], "session_id": {"sources": ["cookie:connect.sid"]}},
    "cookie": {"affinity": ["cookie"]},
    "ip": {"affinity": ["ip"]},
}


@pytest.mark.parametrize("affinity", POOLS)
def test_a_hundred_users_stay_logged_in(scene, expresses, affinity):
    limpet = scene.limpet([server.as_table() for server in expresses], pool=POOLS[affinity], workers=2)
    homes = crowd(limpet.address, stays_logged_in, sources=own_address)
    assert min(homes["a"], homes["b"]) >= 20, f"one server got nearly all users: {homes}"
