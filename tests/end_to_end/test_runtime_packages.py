"""What a host needs beside the program, as the README and the Dockerfile name it."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.limpet import binary

ROOT = Path(__file__).resolve().parents[2]
README = dict(re.findall(r"^\| (Debian \d+) \| `(lib[^`]+)` \|$", (ROOT / "README.md").read_text(), re.MULTILINE))


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def packages_of(program):
    """Those whose libraries it is linked to itself."""
    linked = re.findall(r"NEEDED +(\S+)", output_of("objdump", "-p", program))
    paths = dict(re.findall(r"(\S+) => (\S+)", output_of("ldd", program)))
    return {output_of("dpkg", "-S", "*" + paths[name].removeprefix("/usr")).split(":")[0] for name in linked if name in paths}


@pytest.mark.skipif(not shutil.which("dpkg"), reason="this is no Debian")
def test_the_readme_names_the_packages_that_the_program_is_linked_to():
    release = re.search(r'PRETTY_NAME="Debian GNU/Linux (\d+)', Path("/etc/os-release").read_text())
    named = set(README[f"Debian {release[1]}"].split())
    brought = set(re.findall(r"[a-z0-9][a-z0-9.+-]+", output_of("dpkg-query", "-W", "-f", "${Depends}\n", *named)))
    of_the_compiler = {"libc6", "libgcc-s1", "libstdc++6", "libasan8", "libubsan1", "libtsan2"}
    needed = packages_of(binary())
    assert named <= needed <= named | brought | of_the_compiler


def test_the_image_holds_the_packages_that_the_readme_names():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^FROM debian:trixie-slim$", dockerfile, re.MULTILINE)
    installed = re.search(r"apt-get install -y --no-install-recommends (lib.*) \\$", dockerfile, re.MULTILINE)[1]
    assert installed == README["Debian 13"]
