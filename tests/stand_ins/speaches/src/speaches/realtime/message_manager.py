# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: how a client's events are read."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any


class Event(SimpleNamespace):
    """Any of them."""

    def model_copy(self) -> Event:
        """Another one like it."""
        return Event(**vars(self))


class Adapter:
    """Takes whatever has a type."""

    def validate_python(self, told: Any) -> Event:
        """An event of what was read."""
        return Event(**told)

    def validate_json(self, data: str) -> Event:
        """An event of what was sent."""
        return self.validate_python(json.loads(data))


client_event_type_adapter = Adapter()
