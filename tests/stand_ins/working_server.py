# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for an STT server that is only busy: it recognises nothing, and works as long as a header says.

Who is next is decided by the real server's own code (`turns`), in steps of a second, and each step sleeps.

usage: working_server.py PORT WORKERS     (with the package anklume_stt_server on the path)
"""

from __future__ import annotations

import asyncio
import sys

from anklume_stt_server.turns import Turns


async def serve(turns: Turns, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request after the other."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            await reader.readexactly(int(headers.get("content-length", 0)))
            left, sound = float(headers.get("x-work", 0)), float(headers.get("x-sound", 0))
            work = left
            while left > 1e-9:
                async with turns.turn(sound * left / work):
                    step = min(left, 1.0)
                    await asyncio.sleep(step)
                left -= step
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port: int, workers: int) -> None:
    """Until it is killed."""
    turns = Turns(workers)
    server = await asyncio.start_server(lambda *both: serve(turns, *both), "127.0.0.1", port, limit=2**22)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
