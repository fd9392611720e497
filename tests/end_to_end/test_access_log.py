"""The access log: one line for each request, as JSON or combined, to stdout or a file, reopened on SIGUSR1."""

import datetime
import os
import pathlib
import re
import signal
import time

import pytest

from support.client import request_bytes
from support.wire import eventually

KEYS = ["time", "client", "listener", "method", "target", "host", "protocol", "status", "bytes_in", "bytes_out", "queued_ms", "connect_ms", "head_ms", "total_ms",
        "pool", "backend", "affinity", "reason", "retries", "request_id", "trace_id", "end"]


def test_a_line_tells_the_whole_story(scene):
    def handler(connection, request):
        connection.read_body()
        time.sleep(0.1)
        connection.reply(201, reason="Created", body=b"12345678")

    a = scene.backend("a", handler)
    limpet = scene.limpet([a])
    before = datetime.datetime.now(datetime.timezone.utc)
    limpet.request("POST", "/path?query=1", body=b"hello")
    after = datetime.datetime.now(datetime.timezone.utc)
    line, = limpet.log(1)
    assert list(line) == KEYS
    assert {key: line[key] for key in KEYS[1:10]} == {
        "client": "127.0.0.1", "listener": "main", "method": "POST", "target": "/path?query=1", "host": "app.test", "protocol": "HTTP/1.1",
        "status": 201, "bytes_in": 5, "bytes_out": 8}
    assert {key: line[key] for key in KEYS[14:19]} == {"pool": "app", "backend": "a", "affinity": "ip", "reason": "hash", "retries": 0}
    assert line["end"] == "ok" and line["request_id"] == a.last.get("X-Request-Id")
    time_told = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
    slack = datetime.timedelta(seconds=1)
    assert before - slack <= time_told <= after + slack
    assert 0 <= line["connect_ms"] <= line["head_ms"] <= line["total_ms"]
    assert line["head_ms"] >= 90 and line["queued_ms"] is None


def test_each_request_of_a_connection_has_a_line_in_order(scene):
    limpet = scene.limpet(scene.backends(1))
    client = limpet.client()
    client.send(b"".join(request_bytes(target=f"/{index}") for index in range(30)))
    for _ in range(30):
        client.read_response()
    assert [line["target"] for line in limpet.log(30)] == [f"/{index}" for index in range(30)]


def test_bytes_are_those_of_the_bodies_however_they_are_framed(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(chunks=[b"x" * 1000, b"y" * 234]))
    limpet = scene.limpet([a])
    limpet.request("POST", "/", chunks=[b"a" * 10, b"b" * 5])
    line, = limpet.log(1)
    assert line["bytes_in"] in (15, 15 + len(b"a\r\n\r\n5\r\n\r\n0\r\n\r\n")) and line["bytes_out"] >= 1234


def test_a_line_about_an_answer_of_limpets_own_names_no_backend(scene):
    limpet = scene.limpet(scene.backends(1), routes=[{"pool": "app", "host": "app.test"}])
    limpet.request(target="/nowhere", host="other.test")
    line, = limpet.log(1)
    assert line["status"] == 404 and not line["backend"] and not line["pool"] and line["host"] == "other.test"
    assert line["connect_ms"] is None and line["head_ms"] is None


@pytest.mark.parametrize("target", ['/"quoted"', "/back\\slash", "/{}", "/'", "/\xe9"])
def test_whatever_a_client_sends_a_line_is_one_line_of_json(scene, target):
    limpet = scene.limpet(scene.backends(1))
    client = limpet.client()
    client.send(request_bytes(target=target, fields=["User-Agent: \"\\\xff\t}"]))
    client.read_response()
    line, = limpet.log(1)
    if line["status"] == 200:
        assert line["target"] == target


def test_the_combined_format_is_as_apache_writes_it(scene):
    limpet = scene.limpet(scene.backends(1), log={"access_format": "combined"})
    limpet.get("/x?y", 'User-Agent: a "quoted" agent', "Referer: http://example.com/")
    eventually(lambda: "\n" in limpet.stdout)
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /x\?y HTTP/1\.1" 200 1 '
        r'"http://example\.com/" "a \\"quoted\\" agent"\n', limpet.stdout)


def test_the_log_can_be_off(scene):
    limpet = scene.limpet(scene.backends(1), log={"access": "off"})
    assert limpet.get().status == 200
    time.sleep(0.3)
    assert limpet.stdout == ""


def test_the_log_goes_to_a_file_that_is_reopened_on_sigusr1(scene, tmp_path):
    path = tmp_path / "access.log"
    limpet = scene.limpet(scene.backends(1), log={"access": str(path)})
    limpet.get("/before")
    eventually(lambda: path.exists() and "/before" in path.read_text())
    rotated = tmp_path / "access.log.1"
    os.rename(path, rotated)
    limpet.get("/between")
    eventually(lambda: "/between" in rotated.read_text())
    limpet.signal(signal.SIGUSR1)
    eventually(path.exists)
    limpet.get("/after")
    eventually(lambda: "/after" in path.read_text())
    assert "/after" not in rotated.read_text() and limpet.stdout == ""


def test_the_file_is_appended_to(scene, tmp_path):
    path = pathlib.Path(tmp_path) / "access.log"
    path.write_text("earlier\n")
    limpet = scene.limpet(scene.backends(1), log={"access": str(path)})
    limpet.get("/later")
    eventually(lambda: "/later" in path.read_text())
    assert path.read_text().startswith("earlier\n")


def test_no_line_is_lost_at_the_end(scene):
    limpet = scene.limpet(scene.backends(1))
    client = limpet.client()
    for index in range(200):
        client.get(f"/{index}")
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 0
    assert [line["target"] for line in limpet.log(200)] == [f"/{index}" for index in range(200)]


def test_a_reader_that_stops_reading_holds_up_nobody(scene, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        limpet = scene.limpet(scene.backends(1), log={"access": str(pipe)})
        client = limpet.client()
        for _ in range(300):
            assert client.get("/" + "x" * 2000).status == 200
    finally:
        os.close(reader)
