"""Two Tomcats that know nothing of Limpet: it recognises their users by Tomcat's own JSESSIONID, by its cookie, or by address."""

import pytest

from users import crowd, own_address, stays_logged_in

POOLS = {
    "session-id": {"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID", "path:jsessionid"]}},
    "cookie": {"affinity": ["cookie"]},
    "ip": {"affinity": ["ip"]},
}
each_affinity = pytest.mark.parametrize("affinity", POOLS)


@pytest.fixture
def limpet(scene, tomcats, affinity):
    return scene.limpet([server.as_table() for server in tomcats], pool=POOLS[affinity], workers=2)


@each_affinity
def test_a_hundred_users_stay_logged_in(limpet):
    homes = crowd(limpet.address, stays_logged_in, sources=own_address)
    assert min(homes["a"], homes["b"]) >= 20, f"one server got nearly all users: {homes}"


@each_affinity
def test_a_session_keeps_its_data_and_its_home_when_login_changes_its_id(limpet):
    def shop_then_log_in(user):
        for _ in range(3):
            before = user.get("/basket").json
        old_id = user.jar["JSESSIONID"]
        user.log_in()
        assert user.jar["JSESSIONID"] != old_id
        after = user.get("/basket").json
        assert (before["basket"], after) == (3, {"basket": 4, "server": before["server"]})
        for _ in range(5):
            user.check_in()
        user.jar["JSESSIONID"] = old_id
        assert user.is_logged_out(), "the id from before the login still works"

    crowd(limpet.address, shop_then_log_in, users=30, sources=own_address)


@pytest.mark.parametrize("affinity", ["session-id"])
def test_users_without_cookies_stay_logged_in_by_the_id_in_their_links(limpet):
    def follow_links(user):
        link = user.log_in().json["link"]
        assert ";jsessionid=" in link
        user.jar.clear()
        for _ in range(20):
            user.check_in(link)
            user.jar.clear()

    homes = crowd(limpet.address, follow_links)
    assert min(homes["a"], homes["b"]) >= 20, f"one server got nearly all users: {homes}"
