"""What the README promises: one command, and logins stick. It needs the ports that it names: 8080 and 9001 to 9003."""

import signal
import socket
import subprocess
import time

from servers import HERE
from users import User, own_address

SCRIPT = HERE.parent.parent / "scripts" / "run"
ADDRESS = ("127.0.0.1", 8080)
PORTS = (8080, 9001, 9002, 9003)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_run_starts_limpet_and_three_applications_and_ends_them(tmp_path):
    with open(tmp_path / "output", "w") as output:
        run = subprocess.Popen([SCRIPT], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    said = (tmp_path / "output").read_text
    try:
        end = time.monotonic() + 300  # it may have to build
        while f"Limpet is at http://{ADDRESS[0]}:{ADDRESS[1]}" not in said():
            assert run.poll() is None, said()
            assert time.monotonic() < end, said()
            time.sleep(0.1)
        users = [User(ADDRESS, f"user{index}", source=own_address(index)) for index in range(12)]
        for user in users:
            user.log_in()
        for _ in range(5):
            for user in users:
                user.check_in()
        assert {user.home for user in users} == {"a", "b", "c"}
    finally:
        run.send_signal(signal.SIGTERM)
        status = run.wait(60)
    assert status == 0, said()
    assert not [port for port in PORTS if is_listening(port)]


def test_run_says_which_port_is_taken():
    with socket.create_server(("127.0.0.1", 9002)):
        run = subprocess.run([SCRIPT], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1
    assert "127.0.0.1:9002" in run.stderr


def test_run_passes_its_argument_on(tmp_path):
    (tmp_path / "bad.toml").write_text("wrokers = 1\n")
    run = subprocess.run([SCRIPT, "bad.toml"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert run.returncode != 0
    assert "bad.toml:1:" in run.stdout + run.stderr
