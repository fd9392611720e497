"""Whatever a crowd at the status endpoint does, health, reports and orders get in."""

import contextlib
import socket

import pytest

from support.limpet import settings
from support.status import Status, status_table

HALF_A_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: loc"
CROWDS = {
    "that asks nothing": (140, b""),
    "that does not send its requests whole": (140, HALF_A_REQUEST),
    "that watches": (100, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "that does not read its answers": (100, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300),
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("most_files", [64, None])
def test_health_and_orders_get_in_beside_a_crowd(scene, crowd, most_files):
    count, first = CROWDS[crowd]
    limpet = scene.start(settings(scene.backends(2), status=status_table()), most_files=most_files)
    status = Status(limpet)
    host, _, port = status.address.partition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.settimeout(5)
            peer.connect((host, int(port)))
            with contextlib.suppress(OSError):  # it had to make room already
                peer.sendall(first)
        for _ in range(3):
            assert status.get("/healthz").status == 200
            assert status.get("/status").status == 200
            assert status.post("/pools/app/backends/a/drain").status == 200
            assert status.post("/pools/app/backends/a/undrain").status == 200
