"""Fixtures of the tests with real applications: the servers run for all tests of a session, Limpet is the test's own."""

import os
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent), str(pathlib.Path(__file__).resolve().parent)]

import servers  # noqa: E402
from support.limpet import Scene  # noqa: E402


def pytest_collection_modifyitems(items):
    if not os.environ.get("LIMPET_BIN"):
        pytest.exit("LIMPET_BIN must name the limpet binary", returncode=2)


@pytest.fixture(scope="session")
def tomcats():
    with servers.running(servers.Tomcat) as both:
        yield both


@pytest.fixture(scope="session")
def expresses():
    with servers.running(servers.Express) as both:
        yield both


@pytest.fixture(scope="session")
def mcp_servers():
    with servers.running(servers.Mcp) as both:
        yield both


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()
