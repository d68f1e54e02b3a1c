# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that turns what verify saw and heard of a service into hops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.hops import hops

DOCUMENTATION = r"""
name: hops
short_description: What verify saw and heard of a service, as hops with cause and next step
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Turns the answers of the modules that looked at a service into a list of hops, for P(anklume.stt.hop_table#filter).
positional: role, machine
options:
  _input:
    description:
      - C(seen), the answer of M(anklume.stt.service_info), C(heard), the answer of the module that used the service
        (M(ansible.builtin.uri) where the service has no hops of its own), C(port), and for a spoken sentence C(spoken).
      - For Open WebUI also C(https_url) and C(https), C(stt_url), C(tts_url) and C(ollama_url); an empty address means
        that it is not asked for. With C(tts_url) also C(says), the sentence that it was to speak.
      - For an STT server that C(speaks) also C(heard_back) within C(heard).
      - For the STT server also C(session), the answer of M(anklume.stt.realtime_transcribe), where it was asked.
      - For the balancer also C(counted), the answer of M(ansible.builtin.uri) to C(/balancer), and C(each), the answers
        of M(anklume.stt.stt_transcribe) in a loop over the servers.
      - For Wyoming also C(asked), the answer of M(anklume.stt.stt_server_info).
      - For the monitor C(heard) holds the answers of Prometheus as C(results), each with its question in C(item).
      - For Edge TTS C(heard) is the answer of M(ansible.builtin.uri) to C(/api/edge-tts/test).
    type: dict
    required: true
  role:
    description: The role that the service belongs to, as V(ollama_server).
    type: str
    required: true
  machine:
    description: The variables of its machine, as C(hostvars[inventory_hostname]).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the hops
  ansible.builtin.set_fact:
    hops: "{{ answers | anklume.stt.hops('ollama_server', hostvars[inventory_hostname]) }}"
  vars:
    answers: {seen: "{{ seen }}", heard: "{{ heard }}", port: 11434}
"""

RETURN = r"""
_value:
  description:
    - Hops, each with C(host), C(hop), C(ok), C(detail) and C(next_step); a spoken one also with C(spoken),
      C(recognised) and C(real_time_factor); one that Open WebUI spoke with C(said) and C(recognised).
  type: list
  elements: dict
"""


def _hops(answers: Mapping[str, Any], role: str, machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    return hops(role, machine, answers)


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        """Return it as Ansible asks for it."""
        return {"hops": _hops}
