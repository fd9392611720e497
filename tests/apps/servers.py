"""Starts real application servers on loopback, each in a directory and a process group of its own, and ends them by that group."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

from support.wire import eventually, free_port, listens

HERE = pathlib.Path(__file__).resolve().parent
TOMCAT = pathlib.Path("/usr/share/tomcat10")  # Debian's tomcat10-common
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's Django
STARTING = 60.0  # seconds that a server may take


class Server:
    """One running server: `name`, `address` and its output."""

    files = {}  # "certificate" and "key", for one that speaks TLS

    def __init__(self, name, directory):
        self.name = name
        self.port = free_port()
        self.tls_port = free_port()
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.prepare()
        self.start()

    def prepare(self):
        """What its directory has to hold."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        """More of it."""
        return {}

    def start(self):
        self.is_over = False
        with open(self.directory / "output", "wb") as output:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=HERE,
                                            env={**os.environ, **self.environment()}, start_new_session=True)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def as_table(self, by_tls=False):
        return {"name": self.name, "address": f"127.0.0.1:{self.tls_port if by_tls else self.port}"}

    def wait_until_it_accepts(self):
        end = time.monotonic() + STARTING
        while True:
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            output = (self.directory / "output").read_text(errors="replace")
            assert self.process.poll() is None, f"server {self.name} ended with {self.process.returncode}: {output}"
            assert time.monotonic() < end, f"server {self.name} does not accept at {self.address}: {output}"
            time.sleep(0.05)

    def signal(self, number):
        """To its workers as well, if there are any."""
        with contextlib.suppress(ProcessLookupError):
            if not self.is_over:
                os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.is_over = True
        eventually(lambda: not listens(self.port), what=f"the end of server {self.name}")

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.kill()


class Tomcat(Server):
    """Debian's Tomcat 10 with a base directory of its own, and our pages deployed as its root application."""

    server_file = "server.xml"
    web_file = (HERE / "tomcat" / "web.xml").read_text()

    def prepare(self):
        base = self.directory
        for folder in ("conf", "webapps", "temp"):
            (base / folder).mkdir()
        shutil.copy(HERE / "tomcat" / self.server_file, base / "conf" / "server.xml")
        with zipfile.ZipFile(base / "webapps" / "ROOT.war", "w") as war:
            war.writestr("WEB-INF/web.xml", self.web_file)
            for page in sorted((HERE / "tomcat").glob("*.jsp")):
                war.write(page, page.name)

    def wait_until_it_accepts(self):
        """And has compiled its pages: until then it answers nobody, which on a busy machine looks as if it hung."""
        super().wait_until_it_accepts()
        for page in sorted((HERE / "tomcat").glob("*.jsp")):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://{self.address}/{page.name}", timeout=STARTING).close()

    def properties(self):
        return {"app.name": self.name, "app.port": self.port}

    def command(self):
        base = self.directory
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",  # starts in a fraction of the time
                f"-Dcatalina.home={TOMCAT}", f"-Dcatalina.base={base}", f"-Djava.io.tmpdir={base / 'temp'}",
                *(f"-D{key}={value}" for key, value in self.properties().items()),
                "-cp", os.pathsep.join(str(TOMCAT / "bin" / jar) for jar in ("bootstrap.jar", "tomcat-juli.jar")),
                "org.apache.catalina.startup.Bootstrap", "start"]


class SafeTomcat(Tomcat):
    """Speaks TLS as well, and has a second application, /behind, which believes what a proxy says of its clients."""

    server_file = "safe.xml"

    def prepare(self):
        super().prepare()
        with zipfile.ZipFile(self.directory / "webapps" / "behind.war", "w") as war:
            war.write(HERE / "tomcat" / "behind" / "context.xml", "META-INF/context.xml")
            war.write(HERE / "tomcat" / "behind" / "web.xml", "WEB-INF/web.xml")
            for page in sorted((HERE / "tomcat" / "behind").glob("*.jsp")):
                war.write(page, page.name)

    def properties(self):
        return {**super().properties(), "app.tls.port": self.tls_port, **{f"app.{key}": file for key, file in self.files.items()}}


class ClusteredTomcat(Tomcat):
    """One of three, "a", "b" and "c", of one subclass of this. They start one after another: one that is not there yet sends no sessions to
    the next, which would wait for them."""

    server_file = "clustered.xml"
    web_file = Tomcat.web_file.replace("</web-app>", "<distributable/></web-app>")
    manager = None

    def __init_subclass__(cls):
        cls.receivers = {name: free_port() for name in "abc"}

    def __init__(self, *what):
        super().__init__(*what)
        self.wait_until_it_accepts()

    def properties(self):
        one, other = (name for name in "abc" if name != self.name)
        members = {"": self.name, "one.": one, "other.": other}
        return {**super().properties(), "app.manager": self.manager,
                **{f"app.{who}receiver": self.receivers[name] for who, name in members.items()},
                **{f"app.{who}id": "{%s}" % ",".join(["0"] * 15 + [str(ord(name))]) for who, name in members.items()}}


class Express(Server):
    options = {}  # of express-session
    trust = None  # the proxies that it believes

    def command(self):
        return ["node", "express_app.mjs", self.name, str(self.port), json.dumps(self.options), json.dumps(self.trust)]


class SafeExpress(Express):
    """Speaks TLS as well."""

    def command(self):
        return [*super().command(), str(self.tls_port), self.files["certificate"], self.files["key"]]


class Files(Server):
    """Keeps its sessions in files, which outlive it until they are wiped."""

    def prepare(self):
        self.folder = self.directory / "sessions"
        self.folder.mkdir()

    def wipe(self):
        shutil.rmtree(self.folder)
        self.folder.mkdir()


class Php(Files):
    """PHP's own server."""

    workers = None  # processes that answer
    strict = True   # as php.ini calls use_strict_mode

    def environment(self):
        return {"NAME": self.name, **({"PHP_CLI_SERVER_WORKERS": str(self.workers)} if self.workers else {})}

    def command(self):
        return ["php", "-d", f"session.save_path={self.folder}", "-d", f"session.use_strict_mode={int(self.strict)}", "-S", self.address, "php_app.php"]


class DjangoWithDatabase(Server):
    """Under gunicorn; users, and the sessions of all servers, are in one database."""

    folder = None  # of files for its sessions instead

    def prepare(self):
        self.database = self.directory.parent / "database"
        if not self.database.exists():
            subprocess.run([PYTHON, "-c", "import django_app, django.core.management as it; it.call_command('migrate', verbosity=0)"],
                           cwd=HERE, env={**os.environ, **self.environment()}, check=True)

    def environment(self):
        return {"NAME": self.name, "DATABASE": str(self.database), **({"FOLDER": str(self.folder)} if self.folder else {})}

    def command(self):
        return [PYTHON, "-m", "gunicorn", "--bind", self.address, "--threads", "4", "django_app:application"]


class DjangoWithFiles(Files, DjangoWithDatabase):
    def prepare(self):
        Files.prepare(self)
        DjangoWithDatabase.prepare(self)


class Mcp(Server):
    def command(self):
        return ["node", "mcp_server.mjs", self.name, str(self.port)]


class Grpc(Server):
    """By gRPC, in cleartext and by TLS."""

    def command(self):
        return ["node", "grpc_server.mjs", self.name, str(self.port), str(self.tls_port), self.files["certificate"], self.files["key"]]


class Http2(Server):
    """Node's own server, by prior knowledge, and by TLS also over HTTP/1.1."""

    streams = 1000  # that a connection may have

    def command(self):
        return ["node", "http2_server.mjs", self.name, str(self.port), str(self.tls_port), self.files["certificate"], self.files["key"], str(self.streams)]


class SocketIo(Server):
    def command(self):
        return ["node", "socket_server.mjs", self.name, str(self.port)]


def kind(server, **options):
    """A kind of this server that has these options."""
    return type(server.__name__, (server,), options)


@contextlib.contextmanager
def running(kind, names=("a", "b")):
    """Servers of this kind, all of them accepting."""
    with tempfile.TemporaryDirectory(prefix="limpet-apps-") as directory:
        servers = []
        try:
            for name in names:
                servers.append(kind(name, directory))
            for server in servers:
                server.wait_until_it_accepts()
            yield servers
        finally:
            for server in servers:
                server.signal(signal.SIGTERM)
            for server in servers:
                server.stop()
