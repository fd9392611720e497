"""A page and all that belongs to it, in a real Chromium that has never been there: one connection, one server, one session."""

import pytest

from support.status import Status, status_table

IMAGES, FETCHES = 25, 25
PAGE = f"""<!doctype html><title>page</title>
<body>{"".join(f'<img src="/image/{number}.svg">' for number in range(IMAGES))}
<script>
  const asked = Array.from({{ length: {FETCHES} }}, (_, number) => fetch(`/fetch/${{number}}`).then((answer) => answer.text()));
  const loaded = new Promise((resolve) => addEventListener("load", resolve));
  const told = Promise.all([loaded, ...asked]).then(([, ...names]) => names);
</script>
"""
IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def shop(connection, request):
    connection.read_body()
    if request.target.startswith("/image/"):
        return connection.reply(fields=["Content-Type: image/svg+xml"], body=IMAGE)
    if request.target.startswith("/fetch/"):
        return connection.reply(body=connection.backend.name.encode())
    return connection.reply(fields=["Content-Type: text/html"], body=PAGE.encode())


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_all_that_a_new_visitor_s_page_asks_for_comes_by_one_connection_from_one_server(scene, faultless, tls_on_both_sides, protocol):
    make = scene.backend if protocol == "http/1.1" else scene.http2_backend
    limpet = scene.limpet([make(name, shop) for name in "abc"], pool={"protocol": protocol, "affinity": ["cookie"]}, workers=2,
                          listener=tls_on_both_sides.listener, status=status_table())
    faultless.open("https://%s:%d/" % limpet.address, trusting=True)
    names = faultless.run("told")
    protocols = faultless.run("performance.getEntries().filter((one) => one.nextHopProtocol !== undefined).map((one) => one.nextHopProtocol)")
    lines = limpet.log(1 + IMAGES + FETCHES)
    asked = [line["target"] for line in lines]
    assert asked[0] == "/" and {f"/image/{number}.svg" for number in range(IMAGES)} | {f"/fetch/{number}" for number in range(FETCHES)} <= set(asked)
    assert len(set(asked)) == len(asked) and set(protocols) == {"h2"}  # beside them it may want an icon
    home = lines[0]["backend"]
    assert names == [home] * FETCHES
    assert {(line["backend"], line["status"], line["protocol"]) for line in lines} == {(home, 200, "HTTP/2.0")}
    status = Status(limpet)
    sessions = status.pool()["sessions"]
    assert (sessions["live"], sessions["returned"]["live"], sessions["totals"]["opened"]) == (1, 1, 1)
    assert status.metric("limpet_client_connections") == 1
