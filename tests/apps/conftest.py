"""The real applications that Limpet is put in front of. They run for all tests of a session; Limpet is each test's own."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import servers  # noqa: E402
from users import Driver  # noqa: E402


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


@pytest.fixture(scope="session")
def http2_servers(tls_on_both_sides):
    with servers.running(servers.kind(servers.Http2, files=tls_on_both_sides.files), "abc") as three:
        yield three


@pytest.fixture(scope="session")
def http2_users(tls_on_both_sides):
    with contextlib.closing(Driver("http2_users.mjs", authority=tls_on_both_sides.files["certificate"])) as driver:
        yield driver
