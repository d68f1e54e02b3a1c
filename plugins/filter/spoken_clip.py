# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds a spoken sentence in a language."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.anklume.stt.plugins.module_utils._services.speech import spoken_clip

DOCUMENTATION = r"""
name: spoken_clip
short_description: A spoken sentence to prove an STT server with
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Finds the recording of a sentence that this collection brings, in a language; the English one where it has none.
positional: model, engine
options:
  _input:
    description: The language, as V(fr). Empty for none in particular.
    type: str
    required: true
  model:
    description:
      - The id of the model that is to hear it.
      - A model of Vosk knows one language, which its name tells. Where no sentence is in that, C(text) is empty, for
        nobody can tell what it will hear.
    type: str
    default: ""
  engine:
    description: The server's engine. With V(vosk) the model V(auto) is the one of the language.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Hand over a spoken sentence
  ansible.builtin.copy:
    src: "{{ ('fr' | anklume.stt.spoken_clip).path }}"
    dest: /tmp/fr.wav
    mode: "0644"
"""

RETURN = r"""
_value:
  description:
    - C(language), C(path) of a WAV file on the controller, C(sha256) of its content, and C(text), what is spoken.
  type: dict
"""


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Return it as Ansible asks for it."""
        return {"spoken_clip": spoken_clip}
