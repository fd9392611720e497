"""A thousand clients that are slow on purpose, by the tool that is known for it and by a handshake of their own, cost the others nothing.

Two Limpets on one machine, with one server: requests go to the one that is beset and to the one that is not in turn, so that whatever
the machine does meanwhile both suffer alike.
"""

import os
import subprocess

import pytest

from support.client import connect
from support.crowds import assert_others_are_served_as_ever, certificate, connections  # noqa: F401
from support.limpet import settings
from support.patience import many_descriptors, patient_server  # noqa: F401
from support.status import status_table
from support.tls import tls_table
from support.wire import eventually, free_port

pytestmark = pytest.mark.soak

MANY = 1000
MODES = {"headers": ["-H"], "bodies": ["-B", "-s", "4096"], "ranges": ["-R", "-r", "50"],
         "reads": ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"]}


@pytest.fixture
def limpets(scene, patient_server, certificate):  # noqa: F811
    """The one that is going to be beset, and the other."""
    def start():
        listeners = [{"name": "plain", "address": f"127.0.0.1:{free_port()}"},
                     {"name": "tls", "address": f"127.0.0.1:{free_port()}", "tls": tls_table(certificate)}]
        config = settings([patient_server], listeners=listeners, status=status_table(), log={"access": "off"})
        return scene.start(config)
    return start(), start()


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("mode", list(MODES))
def test_slow_requests_do_not_slow_down_others(limpets, mode, listener):
    host, port = limpets[0].addresses[listener]
    url = f"{'https' if listener == 'tls' else 'http'}://{host}:{port}/{'large' if mode == 'reads' else ''}"
    command = ["slowhttptest", "-c", str(MANY), "-r", "500", "-i", "5", "-x", "24", "-l", "60", "-u", url, *MODES[mode]]
    with many_descriptors():
        tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if mode != "ranges":  # each of which is answered, and closed by the tool
            eventually(lambda: connections(limpets[0]) >= MANY * 9 // 10, 20, lambda: connections(limpets[0]))
        assert_others_are_served_as_ever(*limpets)
        assert tool.poll() is None
    finally:
        tool.kill()
        tool.wait()
    eventually(lambda: connections(limpets[0]) <= 2, 30, lambda: connections(limpets[0]))


def test_slow_handshakes_do_not_slow_down_others(limpets):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(505)
    slow = []
    with many_descriptors():
        try:
            for _ in range(MANY):
                sock = connect(limpets[0].addresses["tls"])
                sock.sendall(hello[:20])
                slow.append(sock)
            eventually(lambda: connections(limpets[0]) >= MANY)
            assert_others_are_served_as_ever(*limpets)
        finally:
            for sock in slow:
                sock.close()
