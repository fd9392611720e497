"""A server for thousands of connections: python3 patient_server.py PORT. It reads whole requests, however slowly they come; to
/large it answers 300 KiB, to all else one byte."""

import asyncio
import re
import sys

SMALL, LARGE = b"s", b"l" * 300 * 1024


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            await reader.readexactly(int(length[1]) if length else 0)
            body = LARGE if b" /large" in head.split(b"\r\n")[0] else SMALL
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
