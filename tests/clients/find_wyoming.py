# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listens for Wyoming servers that announce themselves, as Home Assistant does; prints the first one of a name as JSON.

usage: find_wyoming.py NAME SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys

from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

TYPE = "_wyoming._tcp.local."


async def main(wanted: str, seconds: str) -> None:
    names: asyncio.Queue[str] = asyncio.Queue()

    def heard(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        names.put_nowait(name)

    multicast = AsyncZeroconf()
    try:
        AsyncServiceBrowser(multicast.zeroconf, TYPE, handlers=[heard])
        async with asyncio.timeout(float(seconds)):
            while wanted not in (name := await names.get()):
                pass
        service = AsyncServiceInfo(TYPE, name)
        await service.async_request(multicast.zeroconf, 3000)
        print(json.dumps({"name": name, "addresses": service.parsed_addresses(), "port": service.port}))
    except TimeoutError:
        print(json.dumps({}))
    finally:
        await multicast.async_close()


asyncio.run(main(*sys.argv[1:]))
