"""The program: its commands, its signals, and how it ends."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest

from support.client import Client, request_bytes
from support.limpet import binary, run, settings, to_toml
from support.wire import Closed, eventually, free_port

FAULTY = """\
workers = "many"

[[listener]]
name = "main"
address = "127.0.0.1:99999"

[[route]]
pool = "other"

[[pool]]
name = "app"
afinity = ["cookie"]

[[pool.backend]]
name = "a"
address = "127.0.0.1:8080"
weight = -1
"""


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "good.toml"
    path.write_text(to_toml(settings([{"name": "a", "address": "127.0.0.1:8080"}])))
    return str(path)


@pytest.fixture
def faulty_file(tmp_path):
    path = tmp_path / "faulty.toml"
    path.write_text(FAULTY)
    return str(path)


def test_it_tells_its_version():
    status, out, err = run("--version")
    assert status == 0 and re.fullmatch(r"limpet \d+\.\d+\.\d+\S*\n", out) and err == ""


def test_it_helps():
    status, out, err = run("--help")
    assert status == 0 and err == ""
    for word in ("run", "check", "--version", "FILE", "SIGTERM"):
        assert word in out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["check"], ["run", "a", "b"], ["--fly"]])
def test_it_says_how_it_is_used_when_misused(arguments):
    status, out, err = run(*arguments)
    assert status not in (0, 1) and status > 0
    assert err and out == ""


def test_check_accepts_a_good_file(good_file):
    status, out, err = run("check", good_file)
    assert status == 0 and err == ""


def test_check_tells_every_fault_at_once_and_where_it_is(faulty_file):
    status, out, err = run("check", faulty_file)
    assert status == 1
    places = {}
    for line in err.splitlines():
        match = re.fullmatch(re.escape(faulty_file) + r":(\d+):(\d+): ([^:]+): (.+)", line)
        assert match, f"not file:line:column: key: what is wrong: {line!r}"
        places[int(match[1])] = (int(match[2]), match[3], match[4])
    assert set(places) == {1, 5, 8, 12, 17}
    assert places[1][1] == "workers"
    assert "affinity" in places[12][2], "the nearest key is not named"
    assert all(column >= 1 for column, _, _ in places.values())


def test_run_refuses_the_same_files_in_the_same_words(faulty_file):
    checked, ran = run("check", faulty_file), run("run", faulty_file)
    assert ran[0] == 1
    for line in checked[2].splitlines():
        assert line in ran[2]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_file_that_is_not_there_is_named(command, tmp_path):
    path = str(tmp_path / "missing.toml")
    status, out, err = run(command, path)
    assert status == 1 and path in err


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_file_that_is_no_toml_is_refused_with_its_place(command, tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text('workers = 1\n[log\nlevel = "info"\n')
    status, out, err = run(command, str(path))
    assert status == 1 and re.search(re.escape(str(path)) + r":[23]:\d+: ", err)


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("which", ["file", "key file", "token file"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_nobody_waits_for_its_writer(command, which, tmp_path):
    path, pipe = tmp_path / "limpet.toml", tmp_path / "pipe"
    os.mkfifo(pipe)
    config = settings([{"name": "a", "address": "127.0.0.1:9"}])
    if which == "key file":
        config["secrets"] = {"key_file": str(pipe)}
    if which == "token file":
        config["status"] = {"address": f"127.0.0.1:{free_port()}", "token_file": str(pipe)}
    path.write_text(to_toml(config))
    status, out, err = run(command, str(pipe if which == "file" else path))
    assert status == 1 and "is no regular file" in err and str(pipe) in err


def test_check_starts_nothing(scene, good_file):
    backend = scene.backend("a")
    path = pathlib.Path(good_file)
    config = settings([backend])
    path.write_text(to_toml(config))
    assert run("check", str(path))[0] == 0
    assert backend.connections == []
    assert list(path.parent.iterdir()) == [path]


def test_an_address_in_use_is_named_and_nothing_is_served(scene, tmp_path):
    taken = scene.backend("taken")
    config = settings([{"name": "a", "address": "127.0.0.1:9"}], listener={"address": taken.address})
    path = tmp_path / "limpet.toml"
    path.write_text(to_toml(config))
    status, out, err = run("run", str(path))
    assert status == 1 and taken.address in err


# Keys.


def test_keys_are_made_at_the_first_start_and_used_at_the_next(scene):
    backends = scene.backends(4)
    config = settings(backends, pool={"affinity": ["cookie"]})
    del config["secrets"]
    first = scene.start(config)
    made = [path for path in pathlib.Path(first.directory.name).iterdir() if path.suffix == ".keys"]
    assert len(made) == 1 and made[0].stat().st_mode & 0o077 == 0, "others can read the keys"
    browsers = [first.browser() for _ in range(8)]
    homes = [browser.get().text for browser in browsers]
    config["secrets"] = {"key_file": str(made[0])}
    config["listener"][0]["address"] = f"127.0.0.1:{free_port()}"
    second = scene.start(config)
    for browser, home in zip(browsers, homes):
        browser.limpet = second
        assert browser.get().text == home


# Its end.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_program_ends_at_once(scene, number):
    limpet = scene.limpet(scene.backends(1), shutdown_timeout="30s")
    idle, used = limpet.client(), limpet.client()
    assert used.get().status == 200
    limpet.signal(number)
    assert limpet.wait(5) == 0
    assert idle.is_closed() and used.is_closed()


def slow(release):
    def handler(connection, request):
        release.wait(8)
        connection.reply(body=b"finished")
    return handler


def test_an_exchange_under_way_is_finished(scene):
    release = threading.Event()
    a = scene.backend("a", slow(release))
    limpet = scene.limpet([a], shutdown_timeout="30s")
    client = limpet.client()
    client.send(request_bytes())
    a.wait_for_requests(1)
    limpet.signal(signal.SIGTERM)
    eventually(limpet.refuses, what="new connections are refused")
    assert limpet.is_running
    release.set()
    response = client.read_response()
    assert response.text == "finished" and "close" in response.tokens("Connection")
    assert client.is_closed()
    client.close()
    assert limpet.wait(5) == 0


def test_a_long_answer_under_way_is_finished(scene):
    release = threading.Event()

    def handler(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        release.wait(8)
        connection.send(b"x" * 500_000)

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], shutdown_timeout="30s")
    client = limpet.client()
    client.send(request_bytes())
    response = client.read_head()
    limpet.signal(signal.SIGTERM)
    time.sleep(0.1)
    release.set()
    for piece in client.body_pieces(response, "length"):
        response.body.extend(piece)
    assert len(response.body) == 1_000_000
    assert client.is_closed()
    client.close()
    assert limpet.wait(5) == 0


def test_a_request_that_is_half_there_is_finished(scene):
    a = scene.backend("a", lambda connection, request: connection.reply(body=connection.read_body()))
    limpet = scene.limpet([a], shutdown_timeout="30s")
    client = limpet.client()
    data = request_bytes("POST", body=b"hello")
    client.send(data[:-2])
    a.wait_for_requests(1)
    limpet.signal(signal.SIGTERM)
    time.sleep(0.1)
    client.send(data[-2:])
    assert client.read_response().text == "hello"
    client.close()
    assert limpet.wait(5) == 0


def test_what_does_not_finish_in_time_is_cut(scene):
    release = threading.Event()
    a = scene.backend("a", slow(release))
    limpet = scene.limpet([a], shutdown_timeout="400ms")
    client = limpet.client()
    client.send(request_bytes())
    a.wait_for_requests(1)
    limpet.signal(signal.SIGTERM)
    assert limpet.wait(5) == 0
    try:
        assert client.read_to_end()
    except Closed:
        pass
    release.set()


def test_a_tunnel_does_not_keep_the_program_beyond_its_time(scene):
    def handler(connection, request):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        connection.read_to_end()
        connection.close()

    a = scene.backend("a", handler)
    limpet = scene.limpet([a], shutdown_timeout="400ms")
    client = limpet.client()
    client.send(request_bytes(fields=["Connection: Upgrade", "Upgrade: websocket"]))
    assert client.read_head().status == 101
    limpet.signal(signal.SIGTERM)
    assert limpet.wait(5) == 0


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_it_at_once(scene, numbers):
    release = threading.Event()
    a = scene.backend("a", slow(release))
    limpet = scene.limpet([a], shutdown_timeout="60s")
    client = limpet.client()
    client.send(request_bytes())
    a.wait_for_requests(1)
    limpet.signal(numbers[0])
    eventually(limpet.refuses)
    assert limpet.is_running
    limpet.signal(numbers[1])
    limpet.wait(5)
    release.set()
    limpet.assert_sane(limpet.stderr)
    scene.forget(limpet)


def test_it_serves_and_ends_well_without_stdin_stdout_and_stderr(scene, tmp_path):
    config = settings(scene.backends(1))
    path = tmp_path / "limpet.toml"
    path.write_text(to_toml(config))
    port = int(config["listener"][0]["address"].rpartition(":")[2])
    process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", binary(), "run", str(path)])
    try:
        client = eventually(lambda: connected(port))
        assert client.get().text == "a"
        process.terminate()
        assert process.wait(5) == 0
        client.close()
    finally:
        process.kill()


def connected(port):
    try:
        return Client(port)
    except OSError:
        return None


def test_it_starts_again_at_once_on_the_same_address(scene):
    backends = scene.backends(1)
    config = settings(backends)
    for _ in range(3):
        limpet = scene.start(config)
        assert limpet.get().status == 200
        limpet.signal(signal.SIGTERM)
        assert limpet.wait(5) == 0


def test_sigpipe_does_not_end_it(scene):
    limpet = scene.limpet(scene.backends(1))
    limpet.signal(signal.SIGPIPE)
    assert limpet.get().status == 200


def test_sighup_does_not_end_it(scene):
    limpet = scene.limpet(scene.backends(1))
    limpet.signal(signal.SIGHUP)
    limpet.says("SIGHUP")
    assert limpet.get().status == 200
