"""What Limpet tells a backend about where a request came from, and whom it believes (RFC 7239; RFC 9110, section 7.6.3)."""

import re

import pytest

from support.client import proxy_v1

TRUSTED = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}
UNTRUSTED = {"trusted_proxies": ["10.0.0.0/8"]}


def served(scene, **listener):
    backend = scene.backend("a")
    limpet = scene.limpet([backend], listener=listener)
    limpet.backend = backend
    return limpet


@pytest.fixture(scope="module")
def plain(shared_scene):
    return served(shared_scene)


@pytest.fixture(scope="module")
def behind_proxy(shared_scene):
    return served(shared_scene, **TRUSTED)


def test_a_backend_learns_client_scheme_and_host(plain):
    plain.get(host="app.test:8080")
    request = plain.backend.last
    assert request.get("X-Forwarded-For") == "127.0.0.1"
    assert request.get("X-Forwarded-Proto") == "http"
    assert request.get("X-Forwarded-Host") == "app.test:8080"
    assert not request.has("Forwarded")


@pytest.mark.parametrize("field", [
    "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "Forwarded: for=6.6.6.6", "x-forwarded-FOR: 6.6.6.6",
])
def test_what_an_untrusted_client_says_of_itself_is_dropped(plain, field):
    plain.get("/", field, field)
    request = plain.backend.last
    assert request.get("X-Forwarded-For") == "127.0.0.1"
    assert request.get("X-Forwarded-Proto") == "http"
    assert request.get("X-Forwarded-Host") == "app.test"
    assert "6.6.6.6" not in request.raw_head.decode() and "evil" not in request.raw_head.decode()


UNDERSCORED = ["X_Forwarded_For: 6.6.6.6", "X_Real_IP: 6.6.6.6", "x-forwarded_proto: https", "Transfer_Encoding: chunked", "Content_Length: 5"]


def test_a_name_with_underscores_is_no_way_around_rfc_3875_4_1_18(plain, behind_proxy):
    """Many applications read `_` as `-`. nginx 1.22 drops every name that has one; HAProxy 2.6 passes them on, in trailers too."""
    def passed(limpet):
        assert limpet.request("POST", "/", [*UNDERSCORED, "My_Own: 1"], chunks=[b"x"], trailers=[*UNDERSCORED, "My_Own: 1"]).status == 200
        last = limpet.backend.last
        return [name for name, _ in last.fields if "_" in name], [name for name, _ in last.trailers]

    names = [field.partition(":")[0] for field in UNDERSCORED]
    assert passed(plain) == (["My_Own"], ["My_Own"])
    assert passed(behind_proxy) == ([*names, "My_Own"], [*names, "My_Own"])


def test_underscores_may_be_let_through(scene):
    limpet = served(scene, underscores="pass")
    limpet.get("/", "X_Real_IP: 6.6.6.6")
    assert limpet.backend.last.get("X_Real_IP") == "6.6.6.6"


def test_an_untrusted_client_cannot_choose_the_address_that_is_logged(scene):
    limpet = served(scene, **UNTRUSTED)
    limpet.get("/x", "X-Forwarded-For: 6.6.6.6")
    assert limpet.log_of("/x")[0]["client"] == "127.0.0.1"


def test_what_a_trusted_proxy_says_is_kept_and_its_own_address_appended(behind_proxy):
    behind_proxy.get("/x", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.test")
    request = behind_proxy.backend.last
    assert request.tokens("X-Forwarded-For") == ["1.2.3.4", "127.0.0.1"]
    assert request.get("X-Forwarded-Proto") == "https"
    assert request.get("X-Forwarded-Host") == "public.test"
    assert behind_proxy.log_of("/x")[-1]["client"] == "1.2.3.4"


def test_several_lines_of_a_trusted_proxy_are_one_list(behind_proxy):
    behind_proxy.get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 10.0.0.5, 10.0.0.6")
    assert behind_proxy.backend.last.tokens("X-Forwarded-For") == ["1.2.3.4", "10.0.0.5", "10.0.0.6", "127.0.0.1"]


@pytest.mark.parametrize("chain, client", [
    ("1.2.3.4", "1.2.3.4"),
    ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
    ("6.6.6.6, 1.2.3.4, 10.0.0.9", "1.2.3.4"),
    ("6.6.6.6,1.2.3.4,10.0.0.9,10.1.1.1", "1.2.3.4"),
    ("10.0.0.9", "10.0.0.9"),
    ("2001:db8::7", "2001:db8::7"),
    ("1.2.3.4, garbage", "127.0.0.1"),
    ("1.2.3.4, unknown, 10.0.0.9", "10.0.0.9"),
    ("", "127.0.0.1"),
])
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxy(behind_proxy, chain, client):
    target = "/chain-" + re.sub(r"[^a-z0-9]", "_", chain)
    behind_proxy.get(target, f"X-Forwarded-For: {chain}")
    assert behind_proxy.log_of(target)[-1]["client"] == client


def test_forwarded_is_written_where_it_is_chosen(scene):
    limpet = served(scene, forwarded="forwarded")
    limpet.get("/", "Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6")
    request = limpet.backend.last
    assert elements(request.get("Forwarded")) == [{"for": "127.0.0.1", "host": "app.test", "proto": "http"}]
    assert not request.has("X-Forwarded-For") and not request.has("X-Forwarded-Proto")


def test_forwarded_of_a_trusted_proxy_is_extended_and_believed(scene):
    limpet = served(scene, forwarded="forwarded", **TRUSTED)
    limpet.get("/x", 'Forwarded: for="[2001:db8::7]:4711";proto=https, for=10.0.0.9')
    assert [element["for"] for element in elements(limpet.backend.last.get("Forwarded"))] == ["[2001:db8::7]:4711", "10.0.0.9", "127.0.0.1"]
    assert limpet.log_of("/x")[0]["client"] == "2001:db8::7"


def test_an_ipv6_client_is_quoted_in_forwarded(scene):
    limpet = served(scene, forwarded="forwarded", proxy_protocol=True)
    limpet.get("/", preface=proxy_v1("2001:db8::7", "::1"), host="app.test:8080")
    value = limpet.backend.last.get("Forwarded")
    assert 'for="[2001:db8::7]"' in value and 'host="app.test:8080"' in value


def test_both_styles_can_be_written(scene):
    limpet = served(scene, forwarded="both")
    limpet.get()
    assert limpet.backend.last.get("X-Forwarded-For") == "127.0.0.1"
    assert elements(limpet.backend.last.get("Forwarded"))[0]["for"] == "127.0.0.1"


def test_none_writes_nothing(scene):
    limpet = served(scene, forwarded="none")
    limpet.get()
    request = limpet.backend.last
    assert not any(request.has(name) for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"))


def elements(forwarded):
    return [{key.strip().lower(): value.strip().strip('"') for key, _, value in (pair.partition("=") for pair in element.split(";"))}
            for element in forwarded.split(",")]


# Via.


def via_of(message):
    """Without the mark that requests get."""
    return [re.sub(r" \([a-p]{16}\)$", "", hop) for hop in message.tokens("Via")]


def test_via_tells_each_hop_in_order(plain):
    plain.get("/", "Via: 1.0 first, 1.1 second (comment)")
    assert via_of(plain.backend.last) == ["1.0 first", "1.1 second (comment)", "1.1 limpet"]
    plain.request(version="HTTP/1.0")
    assert via_of(plain.backend.last) == ["1.0 limpet"]


def test_via_is_in_answers_too(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(version="HTTP/1.0", fields=["Via: 1.1 inner"], body=b"x"))
    response = scene.limpet([a], via="edge").get()
    assert response.tokens("Via") == ["1.1 inner", "1.0 edge"]


def test_the_pseudonym_of_via_can_be_chosen(scene):
    a = scene.backend("a")
    scene.limpet([a], via="edge").get()
    assert via_of(a.last) == ["1.1 edge"]


# X-Request-Id.


def test_every_request_gets_an_id_that_is_its_own_and_in_the_log(plain):
    ids = []
    for index in range(20):
        plain.get(f"/id-{index}")
        ids.append(plain.backend.last.get("X-Request-Id"))
    assert len(set(ids)) == 20
    plain.log_of("/id-19")
    assert [plain.log_of(f"/id-{index}")[0]["request_id"] for index in range(20)] == ids
    assert all(len(value) >= 16 and re.fullmatch(r"[0-9A-Za-z_-]+", value) for value in ids)


def test_a_request_id_from_a_trusted_proxy_is_passed_on(behind_proxy):
    behind_proxy.get("/with-id", "X-Request-Id: abc-123")
    assert behind_proxy.backend.last.all("X-Request-Id") == ["abc-123"]
    assert behind_proxy.log_of("/with-id")[0]["request_id"] == "abc-123"


@pytest.mark.parametrize("ids", [["one", "two"], ["one", "one"], [""], ["x" * 1000], ["a b"], ["<script>"], ['"'], ["a\tb"], ["\xe9"]], ids=lambda ids: ascii(ids)[:20])
def test_an_id_that_is_doubled_or_unfit_is_replaced(behind_proxy, ids):
    behind_proxy.get("/", *[f"X-Request-Id: {value}" for value in ids])
    passed = behind_proxy.backend.last.all("X-Request-Id")
    assert len(passed) == 1 and passed[0] not in ids


def test_a_date_is_added_where_an_answer_has_none(scene):
    # RFC 9110, section 6.6.1.
    def handler(connection, request):
        connection.reply(fields=["Date: Mon, 01 Jan 2024 00:00:00 GMT"] if request.target == "/dated" else [], body=b"x")

    limpet = scene.limpet([scene.backend("a", handler)])
    assert limpet.get("/dated").get("Date") == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT", limpet.get("/x").get("Date"))
