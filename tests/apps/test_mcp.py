"""Two MCP servers over streamable HTTP and the SDK's own client: a session lives where its Mcp-Session-Id was made."""

import json
import subprocess

from servers import HERE

SESSIONS, CALLS = 20, 50


def test_every_session_lives_on_one_server_until_its_client_ends_it(scene, mcp_servers):
    limpet = scene.limpet(
        [server.as_table() for server in mcp_servers],
        pool={"affinity": ["session-id"], "session_id": {"sources": ["header:Mcp-Session-Id"]}}, workers=2,
    )
    url = "http://%s:%d/mcp" % limpet.address
    client = subprocess.run(["node", "mcp_client.mjs", url, str(SESSIONS), str(CALLS)],
                            cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert client.returncode == 0, client.stderr
    sessions = json.loads(client.stdout)
    homes = [session["servers"][0] for session in sessions]
    for session, home in zip(sessions, homes, strict=True):
        assert set(session["servers"]) == {home}
        assert session["counts"] == list(range(1, CALLS + 1))
        # The event stream is a request of its own and must have reached the same server.
        assert len(session["notifications"]) >= 2 and set(session["notifications"]) == {home}
        assert session["afterwards"] == 404
    assert len(sessions) == SESSIONS and set(homes) == {"a", "b"}, homes
