"""The test of truth in many worlds: applications of every way of speaking, whatever Limpet knows their clients by, wherever sessions are
kept, beside a second Limpet, through restarts of either, plain and by TLS, in each pair of versions of HTTP. Each world and all that
befalls it is drawn from a seed.

TRUTH_SEED and TRUTH_WORLDS choose the first seed and how many worlds.
"""

import dataclasses
import os

import pytest

from support.limpet import Scene
from support.transport import PLAIN
from support.voyage import Voyage
from support.worlds import draw

FIRST = int(os.environ.get("TRUTH_SEED", "1"))
FEW, MANY = (int(os.environ.get("TRUTH_WORLDS", count)) for count in (12, 60))


def live_in(world, transport, steps):
    scene = Scene()
    voyage = None
    try:
        voyage = Voyage(scene, world, dataclasses.replace(transport, back=world.back))
        voyage.sail(steps)
    except Exception as error:
        raise AssertionError(f"TRUTH_SEED={world.seed} {world}: {error!r} {voyage and voyage.did}") from error
    finally:
        scene.close()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FEW))
def test_what_is_reported_lost_is_what_clients_lost_in_every_world(tls_on_both_sides, seed):
    world = draw(seed)
    live_in(world, tls_on_both_sides if world.tls else PLAIN, 120)


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["plain", "tls"], indirect=True)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + MANY))
def test_what_is_reported_lost_is_what_clients_lost_in_many_worlds(seed, transport):
    live_in(dataclasses.replace(draw(seed), tls=transport.certificate is not None), transport, 400)
