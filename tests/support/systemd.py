"""A systemd of a test's own: process 1 of namespaces, above this machine's files, of which nothing is changed.

Of the network it sees what the thread sees that starts it.
"""

import pathlib
import re
import subprocess

import pytest

from support.wire import eventually

PROGRAM = "/lib/systemd/systemd"

# Each of these replaces the one before, and in the end process 1 is systemd. It may put processes into a cgroup, which the second takes
# for the root of all.
_INTO_ITS_CGROUP = """
base=$1 group=$2
mount -t tmpfs tmpfs "$base"
mkdir "$base"/{cgroup,upper,work,root}
mount -t cgroup2 cgroup2 "$base/cgroup"
mkdir "$base/cgroup$group"
echo 0 >"$base/cgroup$group/cgroup.procs"
exec unshare --cgroup bash -euc "$3" bash "$base"
"""
# What it writes goes to memory, and units that are enabled on this machine are not there.
_INTO_ITS_FILES = f"""
root=$1/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in dev run tmp etc/systemd/system var/log; do
  mount -t tmpfs -o mode=755 tmpfs "$root/$folder"
done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root"/dev/{{shm,pts}}
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
rm -f "$root/etc/fstab"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
cd "$root"
mount --move . /
exec chroot . env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  setpriv --bounding-set -sys_module {PROGRAM} --system --unit=basic.target --log-target=journal --show-status=no
"""
_LEAVE_NO_CGROUP = """
mount -t cgroup2 cgroup2 "$1"
find "$1$2" -depth -type d -exec rmdir {} +
"""


class Systemd:
    def __init__(self, folder):
        home = [line[3:].rstrip("/") for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
        if not home:
            pytest.skip("this kernel has no cgroup2")
        self._group = f"{home[0]}/{folder.name}"
        self._base = folder / "base"
        self._base.mkdir()
        self._said = folder / "said"
        with open(self._said, "wb") as said:
            self._namespaces = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child=KILL",
                 "bash", "-euc", _INTO_ITS_CGROUP, "bash", self._base, self._group, _INTO_ITS_FILES],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self._first = None
        try:
            eventually(self._is_up, what=self.said)
        except BaseException:
            self.end()
            raise

    def _is_up(self):
        if self._namespaces.poll() is not None:
            assert re.search("mount.*(permission denied|not permitted|unknown filesystem)", self.said()), self.said()
            pytest.skip(f"no systemd can be started here: {self.said()}")
        outer = self._namespaces.pid
        self._first = pathlib.Path(f"/proc/{outer}/task/{outer}/children").read_text().strip() or None
        if not self._first or pathlib.Path(f"/proc/{self._first}/comm").read_text() != "systemd\n":
            return False  # what it sees until then may be this machine's own
        return self.run("systemctl", "is-active", "basic.target").stdout == "active\n"

    def said(self):
        return self._said.read_text(errors="replace")

    def file(self, inside):
        """One that it sees, as we do."""
        return pathlib.Path(f"/proc/{self._first}/root{inside}")

    def run(self, *command):
        root = f"/proc/{self._first}/root"
        return subprocess.run(["nsenter", "--target", self._first, "--mount", "--pid", "--ipc", "--cgroup", f"--root={root}", f"--wd={root}", *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def must(self, *command):
        """What this command, which succeeds, prints."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit, *properties):
        lines = self.must("systemctl", "show", unit, "--property=" + ",".join(properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _is_gone(self):
        try:
            return "State:\tZ" in pathlib.Path(f"/proc/{self._first}/status").read_text()  # whoever adopted it may not care
        except (FileNotFoundError, ProcessLookupError):
            return True

    def end(self):
        self._namespaces.kill()
        self._namespaces.wait()
        if self._first:
            eventually(self._is_gone)
        subprocess.run(["unshare", "--mount", "bash", "-euc", _LEAVE_NO_CGROUP, "bash", self._base, self._group], capture_output=True)
