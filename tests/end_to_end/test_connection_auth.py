"""Backends that authenticate the connection: what a user logged in on is that user's alone (RFC 4559, section 6)."""

import pytest

from support.wire import eventually


class Windows:
    """Answers as a server that takes NTLM or Negotiate does: whoever is logged in on the connection is who asks."""

    def __init__(self, scheme, name="a"):
        self.scheme = scheme
        self.users = {}

    def __call__(self, connection, request):
        connection.read_body()
        credentials = request.get("Authorization")
        if credentials:
            kind, _, user = credentials.partition(" ")
            if kind.lower() == self.scheme.lower() and user != "hello":
                self.users[connection.index] = user
        user = self.users.get(connection.index)
        if user is None:
            connection.reply(401, ["WWW-Authenticate: Basic realm=\"a, b\"", f"WWW-Authenticate: {self.scheme}"], reason="Unauthorized")
        else:
            connection.reply(body=user.encode())


def log_in(client, scheme, user):
    """In three steps, as NTLM does, on one connection."""
    assert client.get("/").status == 401
    assert client.get("/", f"Authorization: {scheme} hello").status == 401
    response = client.get("/", f"Authorization: {scheme} {user}")
    assert response.status == 200 and response.text == user


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "negotiate"])
def test_nobody_gets_a_connection_that_another_user_logged_in_on_rfc_4559_6(scene, scheme):
    """HAProxy 2.6 does the same. With `keepalive` nginx 1.22 gives the connection to the next client, who is that user then."""
    a = scene.backend("a", Windows(scheme))
    limpet = scene.limpet([a])
    alice, bob, nobody = limpet.client(), limpet.client(), limpet.client()
    log_in(alice, scheme, "alice")
    assert nobody.get("/").status == 401
    log_in(bob, scheme, "bob")
    for _ in range(3):
        assert alice.get("/").text == "alice"
        assert bob.get("/").text == "bob"
        assert nobody.get("/").status == 401
    assert limpet.get("/").status == 401


def test_the_connection_is_closed_with_its_clients(scene):
    a = scene.backend("a", Windows("NTLM"))
    limpet = scene.limpet([a])
    alice = limpet.client()
    log_in(alice, "NTLM", "alice")
    assert len(a.open_connections) == 1
    alice.close()
    eventually(lambda: not a.open_connections)
    assert limpet.get("/").status == 401


def test_a_client_without_a_session_logs_in_at_one_of_several_backends(scene):
    # Three requests that nothing but their connection holds together.
    backends = [scene.backend(name, Windows("NTLM")) for name in "abc"]
    limpet = scene.limpet(backends, pool={"affinity": "cookie", "placement": "round-robin"})
    for user in ("alice", "bob", "carol", "dave"):
        client = limpet.client()
        log_in(client, "NTLM", user)
        assert client.get("/").text == user
