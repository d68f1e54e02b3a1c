# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that the clients are tried on: the engine, with a key. Run by `make test-clients`, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.conftest import SENTENCES, Server, hub_home

__all__ = ["hub_home", "server"]
KEY = "a-key"
FOX = SENTENCES["en-fox.wav"]["text"]


@pytest.fixture(scope="session")
def server(hub_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(hub_home, tmp_path_factory.mktemp("server") / "log", STT_API_KEY=KEY).wait()
    yield started
    assert started.stop() == 0
