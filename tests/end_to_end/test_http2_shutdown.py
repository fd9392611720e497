"""SIGTERM while clients ask over HTTP/2: whatever they had begun is answered, whichever version their backends speak; then they are told to go."""

import signal
import time

import pytest

from support.client import new_address
from support.http2 import NO_ERROR
from support.transport import VERSIONS
from test_http2 import Crowd, pool

STREAMS = 10


def slow(connection, request):
    connection.read_body()
    time.sleep(0.01)
    connection.reply(body=b"x" * 5000)


class Leaving(Crowd):
    """Of these each begins requests until it is told to go, and stays until the connection's end."""

    def __init__(self, limpet):
        self.over = []  # connections
        super().__init__(limpet, streams=STREAMS, method="POST")

    def live(self):
        try:
            client, under_way = self.limpet.http2(source=new_address()), []
            while not client.goaways:
                while len(under_way) < self.streams:
                    under_way.append(client.open(self.method, "/", body=b"x" * 100))
                client.wait(lambda: client.goaways or any(stream.is_over for stream in under_way))
                for stream in [stream for stream in under_way if stream.is_over]:
                    under_way.remove(stream)
                    self.count(stream)
            client.wait(lambda: client.over, "the connection's end")
            client.close()
            for stream in under_way:
                self.count(stream)
            self.over.append((client, len(under_way)))
        except Exception as error:
            self.faults.append(error)


@pytest.mark.parametrize("to", VERSIONS)
def test_a_shutdown_under_load_answers_every_request_that_was_begun_and_says_goodbye(scene, to):
    backends = [scene.backend(name, slow, version=to) for name in "ab"]
    limpet = scene.limpet(backends, pool=pool(to, affinity=["cookie"]), workers=2, shutdown_timeout="10s")
    crowd = Leaving(limpet)
    crowd.serve(100)
    limpet.signal(signal.SIGTERM)
    crowd.end()
    assert (crowd.resets, crowd.statuses) == (0, [])
    assert sum(count for _, count in crowd.over) > STREAMS, "hardly anything was under way: this shows nothing"
    for client, _ in crowd.over:
        assert [error for _, error in client.goaways] == [NO_ERROR] * 2
        assert client.goaways[1][0] == max(client.streams), "a request that was begun was not looked at"
    assert limpet.wait() == 0
