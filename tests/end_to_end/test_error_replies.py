"""What Limpet answers by itself: small, in the form that the client prefers, and with the request's id."""

import json

import pytest

from support.client import request_bytes


@pytest.fixture(scope="module")
def empty(shared_scene):
    """Nothing to serve with: its only backend refuses."""
    backend = shared_scene.backend("a", listening=False)
    return shared_scene.limpet([backend])


@pytest.mark.parametrize("accept, form", [
    (None, "text/plain"),
    ("*/*", "text/plain"),
    ("text/plain", "text/plain"),
    ("text/html", "text/html"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "text/html"),
    ("TEXT/HTML", "text/html"),
    ("application/json", "application/json"),
    ("application/json, text/plain, */*", "application/json"),
    ("text/html;q=0.1, application/json", "application/json"),
    ("application/json;q=0.1, text/html;q=0.9", "text/html"),
    ("text/html;q=0, application/json;q=0, */*", "text/plain"),
])
def test_an_error_comes_in_the_form_that_the_client_prefers(empty, accept, form):
    response = empty.get("/", *([f"Accept: {accept}"] if accept else []))
    assert response.status >= 500
    assert response.get("Content-Type").split(";")[0] == form
    if form == "application/json":
        assert isinstance(json.loads(response.text), dict)
    elif form == "text/html":
        assert "<" in response.text
    else:
        assert "<" not in response.text


@pytest.mark.parametrize("accept", ["image/png", "", ";;;,,q=", "application/json;q=abc", "x" * 1000, "*/*;q=0"])
def test_a_client_that_accepts_nothing_that_limpet_has_gets_something_all_the_same(empty, accept):
    response = empty.get("/", f"Accept: {accept}")
    assert response.status >= 500 and response.get("Content-Type") and response.text


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/json"])
def test_an_error_carries_the_requests_id(empty, accept):
    target = "/id-" + accept.replace("/", "-")
    response = empty.get(target, f"Accept: {accept}")
    line = empty.log_of(target)[0]
    assert line["request_id"] and line["request_id"] in response.text
    assert line["status"] == response.status


def test_an_error_is_small_and_must_not_be_stored(empty):
    response = empty.get("/", "Accept: text/html")
    assert len(response.body) < 2000
    assert response.framing == "length"
    assert "no-store" in response.tokens("Cache-Control")


def test_an_error_reflects_nothing_that_the_client_sent(empty):
    response = empty.request("GET", "/<script>alert(1)</script>".replace("<", "%3C") + "?mark=evil-mark", ["Accept: text/html", "X-Request-Id: <b>evil-mark</b>", "Referer: evil-mark"])
    assert "evil-mark" not in response.text and "alert" not in response.text


def test_an_error_after_a_sound_request_keeps_the_client_connected(empty):
    client = empty.client()
    for _ in range(3):
        response = client.get()
        assert response.status >= 500 and "close" not in response.tokens("Connection")


def test_an_error_with_an_unread_body_does_not_turn_the_body_into_a_request(empty):
    client = empty.client()
    smuggled = request_bytes(target="/smuggled")
    client.send(request_bytes("POST", "/outer", body=smuggled) + request_bytes(target="/after"))
    response = client.read_response()
    assert response.status >= 500
    if "close" not in response.tokens("Connection"):
        assert client.read_response().status >= 500
        empty.log_of("/after")
    assert not [line for line in empty.log(1) if line["target"] == "/smuggled"]


def test_an_error_to_head_has_the_fields_but_no_body(empty):
    client = empty.client()
    response = client.request("HEAD")
    assert response.status >= 500 and int(response.get("Content-Length")) > 0
    assert client.get().status >= 500


def test_a_refused_request_line_is_answered_with_a_form_too(empty):
    client = empty.client()
    client.send(b"nonsense\r\n\r\n")
    response = client.read_response()
    assert response.status in (400, 501) and response.get("Content-Type") and response.text
