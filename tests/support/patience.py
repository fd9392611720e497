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


@pytest.fixture(scope="module")
def patient_server():
    """The backend's table."""
    port = free_port()
    with many_descriptors():
        process = subprocess.Popen([sys.executable, str(SERVER), str(port)])
    try:
        eventually(lambda: listens(port))
        yield {"name": "a", "address": f"127.0.0.1:{port}"}
    finally:
        process.kill()
        process.wait()
