"""A hundred users of a real application for a minute: nobody is forgotten, and Limpet does not grow."""

import time

import pytest

from users import crowd, own_address, stays_logged_in

SECONDS = 60


@pytest.mark.soak
def test_users_stay_logged_in_for_a_minute_in_the_same_memory(scene, tomcats):
    limpet = scene.limpet(
        [server.as_table() for server in tomcats],
        pool={"affinity": ["session-id"], "session_id": {"sources": ["cookie:JSESSIONID"]}}, workers=2,
    )

    def live_on(seconds):
        end = time.monotonic() + seconds

        def life(user):
            while time.monotonic() < end:
                stays_logged_in(user)
        crowd(limpet.address, life, sources=own_address)

    live_on(SECONDS / 4)
    early = limpet.status("VmRSS")
    live_on(SECONDS)
    late = limpet.status("VmRSS")
    # 4 MiB: room for the sessions that were opened meanwhile, and nothing else.
    assert late - early < 4096, f"grew from {early} to {late} KiB"
