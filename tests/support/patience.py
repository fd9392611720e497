"""Thousands of connections at once: the descriptors for them, and a server that bears them."""

import contextlib
import pathlib
import resource
import subprocess
import sys

import pytest

from support.wire import eventually, free_port, listens

SERVER = pathlib.Path(__file__).parent / "patient_server.py"


@contextlib.contextmanager
def many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class PatientServer:
    """patient_server.py at a port of its own."""

    def __enter__(self):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        with many_descriptors():
            self.process = subprocess.Popen([sys.executable, str(SERVER), str(port)])
        eventually(lambda: listens(port))
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def patient_server():
    """The backend's table."""
    with PatientServer() as server:
        yield {"name": "a", "address": server.address}
