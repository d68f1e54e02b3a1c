# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that know the names of models."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.models import (
    hub_id,
    hub_ids,
    model_aliases,
    resident_models,
    served_aliases,
)


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


def test_a_server_has_its_first_model_under_openais_names() -> None:
    small, base = hub_id("small"), hub_id("base")
    aliases = served_aliases([small, base], {"gpt-4o-transcribe": "base", "whisper-1": "base", "fast": "base"})
    assert aliases["whisper-1"] == aliases["gpt-4o-mini-transcribe"] == aliases["small"] == small
    assert aliases["gpt-4o-transcribe"] == aliases["fast"] == aliases["base"] == base


def test_models_that_stay() -> None:
    assert hub_ids(["small", "Systran/faster-whisper-small", "tiny"]) == [hub_id("small"), hub_id("tiny")]
    assert resident_models(["tiny"], "small", -1) == [hub_id("small"), hub_id("tiny")]
    assert resident_models(["tiny"], "small", 300) == [hub_id("tiny")]
