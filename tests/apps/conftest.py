"""The real applications that Limpet is put in front of. They run for all tests of a session; Limpet is each test's own."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import servers  # noqa: E402


@pytest.fixture(scope="session")
def tomcats(tls_on_both_sides):
    with servers.running(servers.kind(servers.SafeTomcat, files=tls_on_both_sides.files)) as both:
        yield both


@pytest.fixture(scope="session")
def expresses():
    with servers.running(servers.Express) as both:
        yield both


@pytest.fixture(scope="session")
def mcp_servers():
    with servers.running(servers.Mcp) as both:
        yield both
