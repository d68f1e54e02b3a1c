# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that know the names of models."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.models import hub_id, model_aliases


def test_short_names_and_hub_ids() -> None:
    assert hub_id("small") == "Systran/faster-whisper-small"
    assert hub_id("somebody/model") == "somebody/model"
    with pytest.raises(AnsibleFilterError, match="not a known model"):
        hub_id("smal")


def test_the_other_names_of_a_model() -> None:
    turbo = hub_id("turbo")
    aliases = model_aliases([turbo, "somebody/model"])
    assert {name: aliases[name] for name in ("turbo", "large-v3-turbo")} == {"turbo": turbo, "large-v3-turbo": turbo}
    assert turbo not in aliases
    assert "somebody/model" not in aliases.values()


def test_ones_own_names_come_first() -> None:
    assert model_aliases(["small"], {"small": "tiny", "fast": "base"}) == {
        "small": "Systran/faster-whisper-tiny",
        "fast": "Systran/faster-whisper-base",
    }
