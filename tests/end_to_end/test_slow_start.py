"""slow_start: a backend that comes, or comes back, gets few of the new sessions at first, then more, then its whole share."""

import pytest

from support.status import Status, status_table

BATCH = 40
LONG = 600
POOL = {"affinity": ["cookie"], "placement": "round-robin", "slow_start": "4s", "unreturned_timeout": "1h"}


def comes_back(scene, limpet, status):
    status.post("/pools/app/backends/b/maintenance")
    status.post("/pools/app/backends/b/up")


def joins(scene, limpet, status):
    limpet.config["pool"][0]["backend"].append(scene.backend("b").as_table())
    assert status.reload().status == 200


@pytest.mark.released
@pytest.mark.parametrize("comes, there", [(comes_back, "ab"), (joins, "a")])
def test_the_share_of_new_sessions_grows_and_is_whole_at_the_end(scene, comes, there):
    limpet = scene.limpet([scene.backend(name) for name in there], pool=POOL, status=status_table())
    status = Status(limpet)

    def placed_at_b(count):
        return sum(limpet.browser().get().text == "b" for _ in range(count))

    comes(scene, limpet, status)
    placed, warmth = [], []
    while not warmth or warmth[-1] < 100:
        placed.append(placed_at_b(BATCH))
        warmth.append(status.backend("b")["warmth_percent"])
    whole = placed_at_b(LONG)
    print(f"of {BATCH} new sessions each {placed} went to b, warm to {warmth} percent; of {LONG} more {whole}")
    for count, percent in zip(placed, warmth, strict=True):
        assert count <= BATCH * percent / (100 + percent) + 2, "more than it was warm for"
    assert placed[0] < BATCH / 3 and sum(placed[:len(placed) // 2]) < sum(placed[-(len(placed) // 2):])
    assert abs(whole - LONG / 2) <= 2, "not its whole share"
