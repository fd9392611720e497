"""A network of a test's own, in which ports may be short without anybody else noticing.

A network namespace is a thread's, and goes to the threads and processes that it starts: the test, its servers and Limpet see each other
there and nobody else.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct

import pytest

from support.wire import ports

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen when it connects
PORT_RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
FEW = (62000, 62024)  # above those that tests listen at

_libc = ctypes.CDLL(None, use_errno=True)


def _switch(call, *arguments):
    if call(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def network_or_skip():
    """Within this the calling thread has a network with nothing but loopback. Where it may not have one, the test is skipped."""
    ports()  # they are shared out by a name in the network that all tests have
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        try:
            _switch(_libc.unshare, CLONE_NEWNET)
        except PermissionError:
            pytest.skip("a network of its own takes root (CAP_SYS_ADMIN)")
        try:
            if not os.access(PORT_RANGE, os.W_OK):
                pytest.skip(f"{PORT_RANGE} cannot be changed")
            _raise_loopback()
            yield
        finally:
            _switch(_libc.setns, home, CLONE_NEWNET)
    finally:
        os.close(home)


def _raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack_from("h", request, 16)[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def socket_from(source):
    """A socket that is to connect from this address of 127.0.0.0/8, where every address has all ports to itself."""
    made = socket.socket()
    made.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    made.bind((source, 0))
    return made


@contextlib.contextmanager
def few_ports():
    """Within this connections go out from these ports only."""
    before = PORT_RANGE.read_text()
    PORT_RANGE.write_text("{} {}".format(*FEW))
    try:
        yield
    finally:
        PORT_RANGE.write_text(before)


@contextlib.contextmanager
def taken_ports(port):
    """Within this no port is left for connections from 127.0.0.1 to this port, of those few that there are."""
    taken = []
    try:
        with contextlib.suppress(OSError):  # the one for which there is none
            for _ in range(FEW[1] - FEW[0] + 1):
                taken.append(socket.create_connection(("127.0.0.1", port), 5))
        yield
    finally:
        for one in taken:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its port is free at once
            one.close()
