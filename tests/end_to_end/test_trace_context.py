"""Which trace a request belongs to (W3C Trace Context): told to the backend and in the access log."""

import re

import pytest

TRACE = "0af7651916cd43dd8448eb211c80319c"
VALID = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = ["tracestate: congo=t61rcWkgMzE", "Tracestate: rojo=00f067aa0ba902b7"]


@pytest.fixture(scope="module", params=["pass", "make"])
def limpet(request, shared_scene):
    backend = shared_scene.backend("a")
    limpet = shared_scene.limpet([backend], listener={"traceparent": request.param} if request.param == "make" else {})
    limpet.backend, limpet.makes = backend, request.param == "make"
    return limpet


def test_a_trace_passes_as_it_is_and_is_logged(limpet):
    limpet.get("/valid", f"traceparent: {VALID}", *STATE)
    assert limpet.backend.last.all("traceparent") == [VALID]
    assert limpet.backend.last.all("tracestate") == [line.split(": ")[1] for line in STATE]
    assert limpet.log_of("/valid")[0]["trace_id"] == TRACE


@pytest.mark.parametrize("said", [[], [f"00-{'0' * 32}-b7ad6b7169203331-01"], [VALID, VALID], ["nonsense"]],
                         ids=["none", "zeros", "two", "nonsense"])
def test_a_trace_begins_where_that_is_asked_for(limpet, said):
    target = f"/{len(said)}-{len(''.join(said))}"
    limpet.get(target, *[f"traceparent: {value}" for value in said], *STATE)
    passed, state = (limpet.backend.last.all(name) for name in ("traceparent", "tracestate"))
    logged = limpet.log_of(target)[0]["trace_id"]
    if limpet.makes:
        assert len(passed) == 1 and state == []
        made = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-00", passed[0])
        assert made and made[1] == logged and set(made[1]) != {"0"} and set(made[2]) != {"0"}
    else:
        assert passed == said and len(state) == 2 and logged is None


def test_traces_that_begin_are_distinct(limpet):
    for index in range(20):
        limpet.get(f"/distinct-{index}")
    limpet.log_of("/distinct-19")
    ids = {limpet.log_of(f"/distinct-{index}")[0]["trace_id"] for index in range(20)}
    assert len(ids) == (20 if limpet.makes else 1)
