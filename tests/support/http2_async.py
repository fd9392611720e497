"""HTTP/2 over asyncio: clients of Limpet, of which there may be hundreds, and a server."""

import asyncio
import signal

from support.http2_frames import PREFACE
from support.http2_stream import Asking, Serving, Session


class End(Session):
    """What is sent here is small, and fits into any window."""

    def __init__(self, reader, writer):
        super().__init__()
        self.reader, self.writer = reader, writer
        self.changed = asyncio.Event()
        self.out = []

    def send(self, *pieces):
        """What is sent in one turn leaves together: an answer is never cut within."""
        if not self.out:
            asyncio.get_running_loop().call_soon(self.flush)
        self.out += pieces

    def flush(self):
        self.writer.write(b"".join(self.out))
        self.out.clear()

    def wait(self, condition, what="that"):
        assert condition(), what() if callable(what) else what

    async def read(self):
        """Until the connection's end."""
        try:
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self.take_frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
                self.came.clear()
                self.changed.set()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.end()
            self.changed.set()
            self.writer.close()

    async def until(self, condition):
        """Or the connection's end."""
        while not condition() and not self.over:
            self.changed.clear()
            await self.changed.wait()


class NotTaken(Exception):
    """The server is going away, and says that it has not looked at the request."""


class Client(Asking, End):
    def __init__(self, reader, writer, scheme):
        super().__init__(reader, writer)
        self.begin(scheme)
        self.reading = asyncio.create_task(self.read())

    @property
    def takes_more(self):
        return not self.over and not self.goaways

    async def request(self, method, target, fields, body=None):
        """The whole answer."""
        stream = self.open(method, target, fields, body)
        try:
            await self.until(lambda: stream.is_over or self.goaways and stream.number > self.goaways[-1][0])
        finally:
            del self.streams[stream.number]
        if stream.complete:
            return stream
        if not stream.is_over and not self.over:
            raise NotTaken
        raise ConnectionResetError(f"stream {stream.number}: {stream.error}")


class ServerEnd(Serving, End):
    def __init__(self, reader, writer, respond):
        super().__init__(reader, writer)
        self.respond = respond
        self.under_way = set()

    def serve(self, stream):
        task = asyncio.create_task(self.answer(stream))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def answer(self, stream):
        await self.until(lambda: stream.is_over)
        if stream.complete:
            await self.respond(stream)
        del self.streams[stream.number]


class Server:
    """Its connections. SIGUSR1 lets those that there are finish what they have."""

    def __init__(self, respond):
        self.respond, self.ends = respond, set()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.go_away)

    async def serve(self, reader, writer):
        end = ServerEnd(reader, writer, self.respond)
        try:
            assert await reader.readexactly(len(PREFACE)) == PREFACE
            end.send_settings()
            self.ends.add(end)
            await end.read()
        finally:
            self.ends.discard(end)
            for task in end.under_way:
                task.cancel()

    def go_away(self):
        for end in self.ends:
            end.go_away()
