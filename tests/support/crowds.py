"""Clients of which there may be thousands, each in a state in which it stays; and what others notice of them."""

import socket
import time

import pytest

from support.status import Status
from support.tls import context, make

ROUNDS = 2000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make(tmp_path_factory.mktemp("certificate"))


# How each comes.


def from_client(limpet, listener, number, receive_buffer=None):
    """From addresses of which each has ports enough."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind((f"127.0.{1 + number // 2000}.1", 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(limpet.addresses[listener])
    return sock


def silent(limpet, number, listener="plain"):
    return from_client(limpet, listener, number)


def begun(limpet, number, target, fields=b""):
    sock = from_client(limpet, "plain", number)
    sock.sendall(b"GET %b HTTP/1.1\r\nHost: shop.test\r\n%b\r\n" % (target, fields))
    return sock


def read_on(sock, end=b"s"):
    while not sock.recv(65536).endswith(end):
        pass
    return sock


def asked(limpet, number):
    return read_on(begun(limpet, number, b"/"))


def sealed(limpet, number, how=context()):
    sock = how.wrap_socket(from_client(limpet, "tls", number), server_hostname="shop.test")
    sock.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    return read_on(sock)


def half_greeted(limpet, number):
    sock = from_client(limpet, "tls", number)
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    return sock


def half_a_head(limpet, number):
    sock = from_client(limpet, "plain", number)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\nX-Slow: y")
    return sock


def half_a_body(limpet, number):
    sock = from_client(limpet, "plain", number)
    sock.sendall(b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\n\r\nhalf")
    return sock


def reads_nothing(limpet, number):
    sock = from_client(limpet, "plain", number, receive_buffer=4096)
    sock.sendall(b"GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    return sock


def web_socket(limpet, number):
    return read_on(begun(limpet, number, b"/", b"Connection: upgrade\r\nUpgrade: websocket\r\n"))


# Others.


def connections(limpet):
    return Status(limpet).report()["connections"]


def p99s(turns):
    """Of requests by turns, of each client's; in microseconds."""
    times = [[] for _ in turns]
    for number in range(ROUNDS):
        for which in (0, 1) if number % 2 else (1, 0):  # who comes first after the pause finds the machine asleep
            begin = time.perf_counter()
            assert turns[which].get().status == 200
            times[which].append(time.perf_counter() - begin)
        time.sleep(0.001)
    return [sorted(of_one)[ROUNDS * 99 // 100] * 1e6 for of_one in times]


def assert_others_are_served_as_ever(beset_one, quiet_one):
    """By the one that is beset as by the other, in the middle one of five measurements: something else on the machine may spoil one."""
    turns = [limpet.client("plain") for limpet in (beset_one, quiet_one)]
    measured = sorted((p99s(turns) for _ in range(5)), key=lambda pair: pair[0] / pair[1])
    ratios = ", ".join(f"{beset / quiet:.2f}" for beset, quiet in measured)
    beset, quiet = measured[2]
    print(f"{connections(beset_one)} connections; p99 beset {beset:.0f} us, quiet {quiet:.0f} us: {ratios}")
    assert beset < 2 * quiet
