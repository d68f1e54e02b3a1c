# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: other names of models, from the folder that it runs in."""

from __future__ import annotations

import json
from pathlib import Path


def resolve_model_id_alias(model_id: str) -> str:
    """The model's own name."""
    return json.loads(Path("model_aliases.json").read_text()).get(model_id, model_id)
