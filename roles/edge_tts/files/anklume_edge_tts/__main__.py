# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the service: python -m anklume_edge_tts. Exit code 2 means a bad setting, 1 that it could not start."""

from __future__ import annotations

import logging
import os
import signal
import sys

import uvicorn

from .app import create_app
from .connections import BACKLOG, Connection
from .errors import SettingsError
from .settings import Settings


def main() -> int:
    """Check, then serve until a signal comes."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(f"anklume_edge_tts: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel("WARNING")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises them again when it has stopped
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=Connection,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
