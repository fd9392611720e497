"""Root's process becomes a user with few rights, and goes on as that one."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from support.limpet import SANITIZER_OPTIONS, binary, run, settings, to_toml
from support.network import network_or_skip
from support.tls import make, tls_table
from support.wire import eventually, listens

NOBODY = "nobody"
CAP_NET_BIND_SERVICE = 10  # linux/capability.h

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder():
    """One that everybody may enter, unlike pytest's."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="limpet-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def written(folder, config):
    path = folder / "limpet.toml"
    path.write_text(to_toml(config))
    return str(path)


def started(scene, folder, config):
    return scene.start(config, arguments=["run", written(folder, config)])


def credentials(limpet):
    """Of each of its threads: users and groups, supplementary groups, effective, permitted and inheritable capabilities."""
    found = []
    for thread in pathlib.Path(f"/proc/{limpet.process.pid}/task").iterdir():
        lines = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        found.append((lines["Uid"].split(), lines["Gid"].split(), lines["Groups"].split(),
                      *(int(lines[key], 16) for key in ("CapEff", "CapPrm", "CapInh"))))
    return found


@only_root
def test_it_listens_at_a_low_port_and_has_no_right_but_to_that(scene, folder):
    with network_or_skip():
        config = settings([scene.backend("a")], listener={"address": "127.0.0.1:80"}, user=NOBODY, workers=2)
        limpet = started(scene, folder, config)
        assert limpet.get().text == "a"

        user = pwd.getpwnam(NOBODY)
        expected_groups = sorted(map(str, os.getgrouplist(NOBODY, user.pw_gid)))
        threads = credentials(limpet)
        assert len(threads) > 2
        for users, groups, further, effective, permitted, inheritable in threads:
            assert users == [str(user.pw_uid)] * 4 and groups == [str(user.pw_gid)] * 4
            assert sorted(further) == expected_groups
            assert {effective, permitted} <= {0, 1 << CAP_NET_BIND_SERVICE} and inheritable == 0
        status = pathlib.Path(f"/proc/{limpet.process.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        limpet.says("as user nobody")

        config["listener"].append({"name": "more", "address": "127.0.0.1:81"})
        written(folder, config)
        limpet.signal(signal.SIGHUP)
        limpet.addresses["more"] = ("127.0.0.1", 81)
        limpet.says("is in force")
        eventually(lambda: listens(81))  # workers take it up in their next turn
        assert limpet.get(listener="more").text == "a"


@only_root
def test_what_it_makes_is_the_users(scene, folder):
    folder.chmod(0o777)
    config = settings([scene.backend("a")], user=NOBODY, log={"access": "access.log"})
    config["secrets"] = {}
    limpet = started(scene, folder, config)
    limpet.get()
    for name in ("limpet.keys", "access.log"):
        assert (folder / name).owner() == NOBODY
    (folder / "access.log").rename(folder / "old.log")
    limpet.signal(signal.SIGUSR1)
    eventually((folder / "access.log").exists)


@only_root
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_key_that_only_root_can_read_is_named(folder, command):
    config = settings([{"name": "a", "address": "127.0.0.1:9"}], user=NOBODY)
    certificate = make(folder)
    config["listener"][0]["tls"] = tls_table(certificate)
    os.chmod(certificate.file, 0o644)
    os.chmod(certificate.key, 0o600)
    status, _, err = run(command, written(folder, config))
    assert status == 1 and f"{certificate.key} cannot be opened: Permission denied" in err
    assert ("what it names was read as its `user`" if command == "check" else "as user nobody") in err


@only_root
def test_check_tells_what_the_user_can_neither_read_nor_write_later(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    config = settings([{"name": "a", "address": "127.0.0.1:9"}], user=NOBODY, log={"access": str(closed / "access.log")},
                      listener={"acme_challenges": str(closed)})
    path = written(folder, config)
    os.chmod(path, 0o600)
    status, _, err = run("check", path)
    assert status == 0
    for line in (f"{path} cannot be read again by user nobody", f"{closed}/access.log cannot be written by user nobody",
                 f"{closed} cannot be entered by user nobody"):
        assert f"{path}: warning: {line}\n" in err
    os.chmod(path, 0o644)
    closed.chmod(0o777)
    assert run("check", path)[2] == ""


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("user,what", [("no-such-user", "is no user of this machine"), ("root", "has all rights")])
def test_a_user_that_it_cannot_become_is_refused(folder, command, user, what):
    status, _, err = run(command, written(folder, settings([{"name": "a", "address": "127.0.0.1:9"}], user=user)))
    assert status == 1 and f'"{user}" {what}' in err and "user: " in err


@contextlib.contextmanager
def started_by_nobody(folder, *arguments):
    """A process, of a program that this user can reach."""
    program = shutil.copy(binary(), folder / "limpet")
    user = pwd.getpwnam(NOBODY)
    process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **SANITIZER_OPTIONS}, user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@only_root
def test_only_root_can_become_another(folder):
    path = written(folder, settings([{"name": "a", "address": "127.0.0.1:9"}], user="daemon"))
    with started_by_nobody(folder, "run", path) as process:
        err = process.communicate(timeout=20)[1]
    assert process.returncode == 1 and '"daemon" takes a start by root, or by that user' in err
    with started_by_nobody(folder, "check", path) as process:
        err = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and "whether user daemon can read what this file names is seen by root, and by that user" in err


@only_root
def test_whoever_is_that_user_already_stays_it(folder):
    path = written(folder, settings([{"name": "a", "address": "127.0.0.1:9"}], user=NOBODY))
    with started_by_nobody(folder, "check", path) as process:
        err = process.communicate(timeout=20)[1]
    assert (process.returncode, err) == (0, "")


def is_hidden(process):
    """What leaves no core dumps is root's in /proc, whoever it runs as (proc(5))."""
    limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    return (os.stat(f"/proc/{process.pid}/mem").st_uid == 0 and
            any(line.split() == ["Max", "core", "file", "size", "0", "0", "bytes"] for line in limits))


@only_root
def test_no_core_dump_is_written_of_what_became_a_user(scene, folder):
    assert is_hidden(started(scene, folder, settings([scene.backend("a")], user=NOBODY)).process)


@only_root
def test_no_core_dump_is_written_of_what_a_user_started(folder):
    config = settings([{"name": "a", "address": "127.0.0.1:9"}])
    with started_by_nobody(folder, "run", written(folder, config)) as process:
        assert "listening" in process.stderr.readline()
        assert is_hidden(process)
