"""A handler of backends that are as busy as a test says."""

import threading


class Busy:
    """Handles requests until it is told to let them go; knows the most that were there at once."""

    def __init__(self, *backends):
        self.lock, self.here, self.most, self.gates = threading.Lock(), {}, {}, threading.Semaphore(0)
        for backend in backends:
            self.here[backend.name] = self.most[backend.name] = 0
            backend.handler = self

    def __call__(self, connection, request):
        name = connection.backend.name
        connection.read_body()
        if connection.checks:
            return connection.reply()
        with self.lock:
            self.here[name] += 1
            self.most[name] = max(self.most[name], self.here[name])
        if not request.target.startswith("/quick"):
            assert self.gates.acquire(timeout=30)
        with self.lock:
            self.here[name] -= 1
        return connection.reply(body=name.encode())

    def let_go(self, count):
        self.gates.release(count)
