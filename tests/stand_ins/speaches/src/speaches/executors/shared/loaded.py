# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: a model that is loaded when it is first used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Loaded:
    """A model that is loaded when it is first entered."""

    def __init__(self, load: Callable[[], Any], ttl: int) -> None:
        self.load, self.ttl, self.lock = load, ttl, threading.Lock()
        self.model: Any = None
        self.expire_timer = None

    def __enter__(self) -> Any:
        with self.lock:
            self.model = self.model or self.load()
        return self.model

    def __exit__(self, *_error: object) -> None:
        """It stays."""
