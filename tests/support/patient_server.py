"""A server for thousands of connections: python3 patient_server.py PORT. It reads whole requests, however slowly they come; to
/large it answers 300 KiB, to /hold nothing, to /events the beginning of a stream, to /work what 50 ms of work make, on four at a time, to an upgrade 101, to all else one byte."""

import asyncio
import re
import sys

at_work = asyncio.Semaphore(4)
SMALL, LARGE = b"s", b"l" * 300 * 1024


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            await reader.readexactly(int(length[1]) if length else 0)
            path = head.split(b" ", 2)[1]
            if path == b"/hold":
                continue
            if path == b"/events":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ns\r\n")
                continue
            if b"\r\nupgrade: " in head.lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\ns")
                continue
            if path == b"/work":
                async with at_work:
                    await asyncio.sleep(0.05)
            body = LARGE if path == b"/large" else SMALL
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
