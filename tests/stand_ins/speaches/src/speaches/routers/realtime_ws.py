# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the door of its WebSocket, which looks at the key itself; behind it is nothing."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket, WebSocketException

from speaches.config import Config
from speaches.dependencies import get_config

router = APIRouter()


async def verify_websocket_api_key(socket: WebSocket, config: Config) -> None:
    """Refuse who does not hold the one key."""
    if config.api_key and socket.headers.get("x-api-key") != config.api_key.get_secret_value():
        raise WebSocketException(1008, "the key is missing or wrong")


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """Open and close again."""
    try:
        await verify_websocket_api_key(socket, get_config())
    except WebSocketException as error:
        await socket.close(error.code, error.reason)
        return
    await socket.accept()
    await socket.close()
