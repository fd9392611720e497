"""Applications that differ in how they speak of their sessions, and in where they keep them; as handlers of the scripted backend.

Every answer is "SERVER BOOT NONCE": who answers, how often that one was started, and the session of the request, "-" where it has none.
"""

import dataclasses
import secrets
import threading

MCP = "Mcp-Session-Id"


@dataclasses.dataclass(frozen=True)
class Kind:
    """`unknown`: what it says to an id that it does not know: a "new" one; the same, which it "adopts" or adopts and "says" so; that it
    "deletes" it (401), knows nobody ("silent": 401), treats everybody as a "guest" (200), or that it is "gone" (404)."""

    unknown: str
    at_login: bool = False  # whoever has no id gets one by POST /login alone
    header: bool = False    # ids travel in a header, and not in a cookie
    stale: bool = False     # clients hold a second cookie of that name, of another path, and send it first

    @property
    def adopts(self):
        return self.unknown in ("adopts", "says")

    @property
    def tells(self):
        """It says of every id that it does not know that it does not."""
        return self.unknown in ("new", "deletes", "gone")

    @property
    def place(self):
        return f"header:{MCP}" if self.header else "cookie:SID"


KINDS = {
    "gives a new id": Kind("new"),
    "adopts and says so": Kind("says"),
    "adopts silently": Kind("adopts"),
    "deletes the id": Kind("deletes"),
    "401 and nothing": Kind("silent"),
    "404 to an MCP session": Kind("gone", header=True),
    "ids at login, deleted where unknown": Kind("deletes", at_login=True),
    "ids at login, silent where unknown": Kind("guest", at_login=True),
    "two cookies of one name": Kind("new", stale=True),
}


class OwnMemory:
    """Each server's own: `known` of a server are its sessions, id -> nonce."""

    def __init__(self):
        self.known = {}

    def of(self, server):
        return self.known.setdefault(server, {})

    def nonce(self, server, sid):
        return self.of(server).get(sid)

    def keep(self, server, sid, nonce):
        self.of(server)[sid] = nonce

    def end(self, server, sid):
        self.of(server).pop(sid, None)

    def stops(self, server, *, forgets):
        if forgets:
            self.of(server).clear()

    def starts(self, server):
        pass


class OneMemory(OwnMemory):
    """An outside store, or one that all have copies of."""

    def of(self, server):
        return self.known

    def stops(self, server, *, forgets):
        pass


class Backups:
    """Each session is at the server that answered last and at one other; copies are made good when a server stops or starts. With
    `backup_of`, a name for each name, every server reads only its own; without, any server fetches what another has."""

    def __init__(self, servers, backup_of=None):
        self.backup_of = backup_of
        self.running = list(servers)
        self.sessions = {}  # id -> (nonce, home, those that have it)

    def nonce(self, server, sid):
        nonce, _, holders = self.sessions.get(sid, (None, None, ()))
        readable = {server} if self.backup_of else set(self.running)
        if not readable & set(holders):
            return None
        self.keep(server, sid, nonce)
        return nonce

    def keep(self, server, sid, nonce):
        self.sessions[sid] = (nonce, server, {server, *self.copy_of(server)})

    def copy_of(self, server):
        if self.backup_of:
            return [name for name in (self.backup_of[server],) if name in self.running]
        return [name for name in self.running if name != server][:1]

    def end(self, server, sid):
        self.sessions.pop(sid, None)

    def stops(self, server, *, forgets):
        self.running.remove(server)
        for sid, (nonce, home, holders) in self.sessions.items():
            if forgets:
                holders.discard(server)
            if server != home and home in holders and home in self.running:
                self.sessions[sid] = (nonce, home, holders | set(self.copy_of(home)))

    def starts(self, server):
        self.running.append(server)
        for nonce, home, holders in self.sessions.values():
            is_its_copy = server in self.copy_of(home) and home in self.running and home in holders
            is_its_own = server == home and holders & set(self.running)
            if is_its_copy or is_its_own:
                holders.add(server)


class Application:
    """One server of an application. `memory` may be others' too, and so may `lock`, which guards it."""

    def __init__(self, kind, memory, lock=None, *, shows_boot=False):
        self.kind, self.memory = kind, memory
        self.lock = lock or threading.Lock()
        self.shows_boot = shows_boot
        self.boot = 1
        self.runs = threading.Event()  # cleared: it hangs
        self.runs.set()
        self.arrived = self.departed = 0  # clients that wait at /leave, and those of them that have left

    def __call__(self, connection, request):
        connection.read_body()
        self.runs.wait()
        name = connection.backend.name
        if request.target == "/healthz":
            return connection.reply(fields=[f"X-Boot: {name}-{self.boot}"] if self.shows_boot else [])
        with self.lock:
            status, fields, nonce = self.answer(name, request)
        if request.target == "/leave":
            self.arrived += 1
            connection.is_closed()
            self.departed += 1
            return connection.close()
        connection.reply(status, fields=fields, body=f"{name} {self.boot} {nonce or '-'}".encode())

    def answer(self, server, request):
        """(status, fields, nonce)"""
        sid, nonce = self.session_of(server, request)
        if request.target == "/logout" or request.method == "DELETE":
            return self.log_out(server, sid, nonce)
        if request.target == "/login":
            if nonce:
                self.memory.end(server, sid)
            return self.begin(server, secrets.token_hex(16), nonce)
        if nonce:
            return 200, [], nonce
        if not sid:
            return (200, [], None) if self.kind.at_login else self.begin(server, secrets.token_hex(16))
        way = self.kind.unknown
        if way == "adopts":
            self.begin(server, sid)
            return 200, [], self.memory.nonce(server, sid)
        if way in ("new", "says"):
            return self.begin(server, sid if way == "says" else secrets.token_hex(16))
        if way == "deletes":
            return 401, self.deletion(), None
        return {"gone": 404, "silent": 401, "guest": 200}[way], [], None

    def session_of(self, server, request):
        """The first that it knows, else the last, which is not the stale one."""
        ids = [request.get(MCP, "")] if self.kind.header else [
            pair.strip()[4:] for value in request.all("Cookie") for pair in value.split(";") if pair.strip().startswith("SID=")]
        for sid in ids:
            if nonce := self.memory.nonce(server, sid):
                return sid, nonce
        return (ids[-1] if ids else ""), None

    def begin(self, server, sid, nonce=None):
        nonce = nonce or secrets.token_hex(8)
        self.memory.keep(server, sid, nonce)
        return 200, [f"{MCP}: {sid}" if self.kind.header else f"Set-Cookie: SID={sid}; Path=/"], nonce

    def log_out(self, server, sid, nonce):
        if nonce:
            self.memory.end(server, sid)
        if self.kind.header:
            return (200 if nonce else 404), [], nonce
        return 200, self.deletion(), nonce

    @staticmethod
    def deletion():
        return ["Set-Cookie: SID=; Path=/; Max-Age=0"]
