"""An application that keeps sessions in each server's own memory, as a handler of the scripted backend.

POST /login makes a session id of the server's own making; GET /who answers "SERVER:USER" or 401 where the server does not know the
id; POST /logout ends it. How the id travels is the application's choice, as in life: a cookie, a header, the path.
"""

import secrets
import threading


class SessionApp:
    """One server's handler. `carrier` is "cookie:NAME" or "header:NAME": how ids are set and read."""

    def __init__(self, carrier="cookie:JSESSIONID", *, renews_at_login=False, path_name=None):
        self.kind, _, self.name = carrier.partition(":")
        self.renews_at_login = renews_at_login
        self.path_name = path_name
        self.users = {}
        self.lock = threading.Lock()

    def id_of(self, request):
        if self.path_name and f";{self.path_name}=" in request.target:
            return request.target.partition(f";{self.path_name}=")[2].partition("?")[0].partition("/")[0]
        if self.kind == "cookie":
            return request.cookies.get(self.name)
        return request.get(self.name)

    def setting(self, value):
        return [f"Set-Cookie: {self.name}={value}; Path=/; HttpOnly"] if self.kind == "cookie" else [f"{self.name}: {value}"]

    def __call__(self, connection, request):
        user = connection.read_body().decode()
        sid = self.id_of(request)
        path = request.target.partition("?")[0].partition(";")[0]
        server = connection.backend.name
        with self.lock:
            known = self.users.get(sid)
            if path == "/visit":  # a session without a login, as a shop opens one for a basket
                sid = secrets.token_hex(16).upper()
                self.users[sid] = "guest"
                return connection.reply(fields=self.setting(sid), body=f"{server}:guest".encode())
            if path == "/login":
                if known is None or self.renews_at_login:
                    self.users.pop(sid, None)
                    sid = secrets.token_hex(16).upper()
                    fields = self.setting(sid)
                else:
                    fields = []
                self.users[sid] = user
                return connection.reply(fields=fields, body=f"{server}:{user}".encode())
            if path == "/logout" and known is not None:
                del self.users[sid]
                return connection.reply(fields=[f"Set-Cookie: {self.name}=; Path=/; Max-Age=0"], body=b"bye")
        if known is None:
            return connection.reply(401, reason="Unauthorized", body=f"{server}:nobody".encode())
        connection.reply(body=f"{server}:{known}".encode())


def session_servers(scene, count, *carrier, **how):
    """`count` backends, each with an application of its own."""
    return [scene.backend(chr(ord("a") + index), SessionApp(*carrier, **how)) for index in range(count)]
