# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the server: python -m anklume_stt_server. Exit code 2 means a bad setting, 1 that it could not start."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # the server never downloads

import uvicorn

from .app import create_app
from .connections import BACKLOG, Connection
from .engine import Engine
from .errors import ApiError, SettingsError
from .settings import Settings


def listen(settings: Settings) -> socket.socket:
    """The socket, bound before the model is loaded, so that a port in use is known at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # without its protocol asyncio leaves Nagle's algorithm on, and each answer on a kept connection comes 40 ms later
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        where = f"STT_HOST={settings.host}, STT_PORT={settings.port}"
        raise SettingsError(f"{where}: cannot listen there: {error.strerror}") from error
    return sock


def main() -> int:
    """Check, load, serve until a signal comes."""
    try:
        settings = Settings.from_env(os.environ)
        engine = Engine(settings)
        sock = listen(settings)
    except SettingsError as error:
        print(f"anklume_stt_server: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s")
    for noisy in ("asyncio", "faster_whisper", "python_multipart", "uvicorn"):
        logging.getLogger(noisy).setLevel("WARNING")
    try:
        engine.start()
    except ApiError as error:
        print(f"anklume_stt_server: STT_MODEL={settings.model}: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises them again when it has stopped
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    options |= {"http": Connection, "backlog": BACKLOG, "timeout_graceful_shutdown": settings.stop_timeout}
    config = uvicorn.Config(create_app(settings, engine), **options)
    logging.info("listening on %s port %s", settings.host, sock.getsockname()[1])
    uvicorn.Server(config).run(sockets=[sock])
    if any(thread.name.startswith("inference") for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(0)  # an inference that has not stopped in time must not hold up the exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
