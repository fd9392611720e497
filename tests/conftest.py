"""What every Python test gets: the support package on its path, a binary to test, a scene, and an orderly end.

SIGTERM ends a run as Ctrl-C does, with the teardown of what it started.
"""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.limpet import Scene  # noqa: E402
from support.transport import by_tls, transport_of  # noqa: E402


def pytest_configure():
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    if not os.environ.get("LIMPET_BIN"):
        pytest.exit("LIMPET_BIN must name the limpet binary", returncode=2)


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def shared_scene():
    """One for all tests of a file."""
    scene = Scene()
    yield scene
    scene.close()


@pytest.fixture(scope="session")
def tls_on_both_sides(tmp_path_factory):
    return by_tls(tmp_path_factory.mktemp("both-sides"))


@pytest.fixture
def transport(request, tls_on_both_sides):
    """To be parametrized: "plain", "tls", "plain h2", "tls h2 to http/1.1" and the like."""
    return transport_of(request.param, tls_on_both_sides)


@pytest.fixture(scope="module")
def one(shared_scene):
    """A limpet with one backend, for all tests of a file."""
    backend = shared_scene.backend("a")
    limpet = shared_scene.limpet([backend])
    limpet.backend = backend
    return limpet
