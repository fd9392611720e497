"""Whoever reads the logs, or does not: nothing else waits for it, and what was lost is told."""

import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import time

import pytest

from support.client import request_bytes
from support.limpet import binary, settings
from support.status import Status, status_table
from support.wire import eventually

FAULTS = "\n".join(f"fault_{number} = 1" for number in range(3000))  # in a reload: as many lines in the log


@pytest.fixture
def full_pipe():
    """(reader, writer) of a pipe that takes no more."""
    reader, writer = os.pipe()
    filler = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)  # `writer` itself has to block
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b"\n" * 4096)
    os.close(filler)
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


class Terminal:
    """One that nobody reads."""

    def __init__(self):
        self.controller, self.writer = pty.openpty()

    def close(self):
        os.close(self.controller)
        os.close(self.writer)


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.close()


def with_status(scene, *, stdout=None, stderr=None, **keys):
    limpet = scene.start(settings(scene.backends(1), status=status_table(), **keys), stdout=stdout, stderr=stderr)
    return limpet, Status(limpet)


def read_all(descriptor):
    os.set_blocking(descriptor, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(descriptor, 65536):
            data += piece
    return data


def test_a_stderr_that_nobody_reads_stops_no_order_no_reload_no_status_and_no_end(scene, full_pipe):
    limpet, status = with_status(scene, stderr=full_pipe[1])
    for order in ("drain", "undrain") * 50:
        assert status.post(f"/pools/app/backends/a/{order}").status == 200
    limpet.signal(signal.SIGHUP)
    eventually(lambda: status.report()["reloads"]["done"] == 1)
    assert limpet.get().text == "a"
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 0


def test_lines_of_the_log_that_nobody_read_in_time_are_counted_and_told_where_they_are_missing(scene, full_pipe):
    reader, writer = full_pipe
    limpet, status = with_status(scene, stderr=writer)
    good = pathlib.Path(limpet.file).read_text()
    pathlib.Path(limpet.file).write_text(FAULTS + "\n" + good)

    def lose_some():
        limpet.signal(signal.SIGHUP)
        return status.report()["dropped_stderr_lines"] > 0

    eventually(lose_some, patience=30)
    assert status.metric("limpet_stderr_dropped_lines_total") > 0
    data = b""

    def told():
        nonlocal data
        data += read_all(reader)
        return re.search(rb"Z warning \d+ lines of this log missing here: its reader is too slow\n", data)

    eventually(told, patience=30)


def test_a_refused_start_ends_though_nobody_reads_why(tmp_path, full_pipe):
    path = tmp_path / "faulty.toml"
    path.write_text(FAULTS)
    process = subprocess.Popen([binary(), "run", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=full_pipe[1])
    try:
        assert process.wait(20) == 1
    finally:
        process.kill()


def test_a_refused_start_says_all_of_why_to_a_reader_that_takes_its_time(tmp_path):
    path = tmp_path / "faulty.toml"
    path.write_text(FAULTS)
    process = subprocess.Popen([binary(), "run", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(0.5)  # it is more than the pipe takes
    err = process.communicate()[1].decode()
    assert process.returncode == 1
    assert set(re.findall(r"^[^ ]+: fault_(\d+): ", err, re.M)) == {str(number) for number in range(3000)}


def test_a_second_signal_ends_it_though_nobody_reads_its_logs(scene, full_pipe):
    a = scene.backend("a", silent)
    limpet = scene.start(settings([a], shutdown_timeout="60s"), stdout=full_pipe[1], stderr=full_pipe[1])
    told_twice_to_end(scene, limpet, a)


def silent(connection, request):
    connection.read_to_end()


def told_twice_to_end(scene, limpet, a, also=lambda: True):
    client = limpet.client()
    client.send(request_bytes())
    a.wait_for_requests(1)
    limpet.signal(signal.SIGTERM)
    eventually(limpet.refuses)
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 130
    assert also()
    scene.forget(limpet)


def test_what_was_logged_before_a_second_signal_is_written(scene):
    a = scene.backend("a", silent)
    limpet = scene.start(settings([a], shutdown_timeout="60s"))
    told_twice_to_end(scene, limpet, a, lambda: "accepting no more" in limpet.stderr)


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_end(scene, terminal):
    limpet, status = with_status(scene, stdout=terminal.writer, stderr=terminal.writer)
    client = limpet.client()
    for index in range(100):
        assert client.get("/" + "x" * 2000).status == 200
    eventually(lambda: status.report()["pools"])
    limpet.signal(signal.SIGTERM)
    assert limpet.wait(20) == 0


def test_a_fifo_that_nobody_reads_yet_stops_no_start_no_reopening_and_no_end(scene, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    limpet, status = with_status(scene, log={"access": str(fifo)})
    assert limpet.get("/nobody").status == 200
    eventually(lambda: status.report()["dropped_log_lines"] == 1)
    limpet.says("access log: 1 line dropped: it has no reader")
    assert limpet.stderr.count("nobody reads") == 1
    limpet.signal(signal.SIGUSR1)
    assert limpet.get("/nobody").status == 200

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    lines = b""

    def arrives():
        nonlocal lines
        limpet.get("/somebody")
        with contextlib.suppress(BlockingIOError):
            lines += os.read(reader, 65536)
        return b"/somebody" in lines

    eventually(arrives)
    os.close(reader)
    limpet.signal(signal.SIGUSR1)
    assert limpet.get("/gone").status == 200
    limpet.signal(signal.SIGTERM)
    assert limpet.wait() == 0


def test_after_a_full_disk_no_half_line_is_glued_to_the_next(scene, tmp_path):
    path = tmp_path / "access.log"
    limpet, status = with_status(scene, log={"access": str(path)})
    limpet.get("/before")
    eventually(lambda: path.exists() and "/before" in path.read_text())
    hard = resource.prlimit(limpet.process.pid, resource.RLIMIT_FSIZE)[1]
    full = path.stat().st_size + 10  # a file that grows no further is as good as a full disk
    resource.prlimit(limpet.process.pid, resource.RLIMIT_FSIZE, (full, hard))
    limpet.get("/meanwhile")
    eventually(lambda: status.report()["dropped_log_lines"] == 1)
    assert path.stat().st_size == full
    resource.prlimit(limpet.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    limpet.get("/after")
    eventually(lambda: "/after" in path.read_text())
    before, half, after = path.read_text().splitlines()
    assert len(half) == 10
    assert [json.loads(line)["target"] for line in (before, after)] == ["/before", "/after"]


def test_a_file_that_a_killed_process_left_within_a_line_is_written_on_in_a_new_one(scene, tmp_path):
    path = tmp_path / "access.log"
    path.write_text('{"time":"20')
    limpet = scene.limpet(scene.backends(1), log={"access": str(path)})
    limpet.get("/later")
    eventually(lambda: "/later" in path.read_text())
    assert json.loads(path.read_text().splitlines()[1])["target"] == "/later"
