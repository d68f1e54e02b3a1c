#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say a recording to a Wyoming server, as Home Assistant does, and compare what comes back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wyoming_transcribe
short_description: Transcribe a recording through a Wyoming server and compare the text with what was spoken
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Asks a Wyoming server what it has and sends it a WAV file, as the voice assistant of Home Assistant does.
  - With O(expect), fails when the text differs from it by more than O(max_wer).
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  host:
    description: Name or address of the server.
    type: str
    default: 127.0.0.1
  port:
    description: Its port.
    type: int
    default: 10300
  path:
    description: The recording, a WAV file on the host where the module runs.
    type: path
    required: true
  model:
    description: Name of the model. The server's first when not given, as Home Assistant does it.
    type: str
  language:
    description: Language of the speech, as V(fr). Detected when not given.
    type: str
  expect:
    description:
      - The sentence that was spoken. Case and punctuation are not compared; accents and numbers are.
      - An empty text means that nothing may be recognised.
    type: str
  max_wer:
    description: Highest word error rate to accept, from 0 (every word right) to 1.
    type: float
    default: 0.2
  wait:
    description: Seconds to wait until the server answers.
    type: float
    default: 0
  timeout:
    description: Seconds to wait for each answer.
    type: float
    default: 120
seealso:
  - module: anklume.stt.stt_transcribe
"""

EXAMPLES = r"""
- name: Home Assistant is understood
  anklume.stt.wyoming_transcribe:
    path: /var/lib/wyoming/clips/en.wav
    language: en
    expect: The quick brown fox jumps over the lazy dog.
    wait: 30
"""

RETURN = r"""
models:
  description: Names of the models that the server offers.
  type: list
  elements: str
  returned: when the server answered
languages:
  description: Languages that it offers.
  type: list
  elements: str
  returned: when the server answered
text:
  description: The recognised sentence.
  type: str
  returned: when there is one
wer:
  description: Word error rate against O(expect).
  type: float
  returned: when O(expect) is given and there is a sentence
seconds:
  description: Seconds from the first sample to the sentence.
  type: float
  returned: when there is a sentence
audio_seconds:
  description: Duration of the recording in seconds.
  type: float
  returned: when there is a sentence
real_time_factor:
  description: RV(seconds) per second of audio; below 1 is faster than speech.
  type: float
  returned: when there is a sentence
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import (
    check_sentence,
    readable_file,
    wav_seconds,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import WORST_WER
from ansible_collections.anklume.stt.plugins.module_utils._services.wyoming import WyomingClient


def transcribe(params: dict[str, Any], result: dict[str, Any]) -> None:
    """Fill ``result`` step by step, so that a failure still tells how far it came."""
    recording = readable_file(Path(params["path"]))
    client = WyomingClient(params["host"], params["port"], timeout=params["timeout"])
    offered = client.describe(params["wait"])
    result.update(models=list(offered.models), languages=list(offered.languages))
    if not offered.models:
        raise ServiceError(f"{params['host']} port {params['port']}: this Wyoming server offers no speech to text")
    start = time.monotonic()
    text = client.transcribe(recording, language=params["language"] or "", model=params["model"] or "")
    seconds, duration = time.monotonic() - start, wav_seconds(recording)
    result.update(
        text=text,
        seconds=round(seconds, 3),
        audio_seconds=duration,
        real_time_factor=round(seconds / duration, 3) if duration else None,
    )
    if params["expect"] is not None:
        check_sentence(params["expect"], params["max_wer"], result)


def main() -> None:
    """Spec, question, comparison, exit."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 10300},
            "path": {"type": "path", "required": True},
            "model": {"type": "str"},
            "language": {"type": "str"},
            "expect": {"type": "str"},
            "max_wer": {"type": "float", "default": WORST_WER},
            "wait": {"type": "float", "default": 0},
            "timeout": {"type": "float", "default": 120},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"changed": False}
    try:
        transcribe(module.params, result)
    except Error as exc:
        module.fail_json(msg=str(exc), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
