"""Fixtures of the end-to-end tests: a scene for one test, or one that a file's tests share."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support.limpet import Scene  # noqa: E402


def pytest_configure(config):
    if not os.environ.get("LIMPET_BIN"):
        pytest.exit("LIMPET_BIN must name the limpet binary", returncode=2)


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def shared_scene():
    scene = Scene()
    yield scene
    scene.close()
