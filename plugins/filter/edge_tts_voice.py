# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that knows which voice of Microsoft's a machine speaks with."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.anklume.stt.plugins.module_utils._services.edge_tts import usual_voice

DOCUMENTATION = r"""
name: edge_tts_voice
short_description: The voice of Microsoft's Edge TTS that a machine speaks with
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - The voice that is given, or the best one that is known for a language.
positional: language
options:
  _input:
    description: The machine's C(edge_tts_voice), as V(pl-PL-MarekNeural); empty for the one of the language.
    type: str
    required: true
  language:
    description: The machine's C(edge_tts_language), as V(pl) or V(en-GB).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the Polish voice
  ansible.builtin.debug:
    msg: "{{ '' | anklume.stt.edge_tts_voice('pl') }}"
"""

RETURN = r"""
_value:
  description: The name of a voice; empty where none is known, or the given one is no name of a voice.
  type: str
"""


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return it as Ansible asks for it."""
        return {"edge_tts_voice": usual_voice}
