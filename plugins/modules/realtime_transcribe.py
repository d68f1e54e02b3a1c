#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say a recording in a Realtime session of an STT server, and compare what comes back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: realtime_transcribe
short_description: Transcribe a recording in a session of the Realtime API and compare the text with what was spoken
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Opens a WebSocket to the Realtime API of an STT server and sends it a WAV file as somebody would speak it, so that
    it takes as long as the recording and four seconds more. The server finds the end of the sentence by itself.
  - The protocol is OpenAI's older one (beta), which the engine C(speaches) has.
  - With O(expect), fails when the text differs from it by more than O(max_wer).
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  url:
    description: Base URL of the STT server, as V(http://homelab-ai:8000/v1). A missing C(/v1) is added.
    type: str
    required: true
  path:
    description: The recording, a WAV file with one channel of 16 bits on the host where the module runs.
    type: path
    required: true
  model:
    description: Name of the model.
    type: str
    default: whisper-1
  language:
    description: Language of the speech, as V(fr). The server's own when not given.
    type: str
  api_key:
    description: The STT server's API key, if it wants one.
    type: str
  expect:
    description: The sentence that was spoken. Case and punctuation are not compared; accents and numbers are.
    type: str
  max_wer:
    description: Highest word error rate to accept, from 0 (every word right) to 1.
    type: float
    default: 0.2
  timeout:
    description: Seconds to wait for the text once all is said.
    type: float
    default: 60
  ca_path:
    description: File with the certificate authority that signed the service's certificate.
    type: path
  validate_certs:
    description: Whether to check the service's certificate.
    type: bool
    default: true
seealso:
  - module: anklume.stt.stt_transcribe
"""

EXAMPLES = r"""
- name: A sentence is heard while it is spoken
  anklume.stt.realtime_transcribe:
    url: http://localhost:8000/v1
    path: /var/lib/speaches/clips/en.wav
    expect: The quick brown fox jumps over the lazy dog.
"""

RETURN = r"""
text:
  description: The recognised sentence.
  type: str
  returned: when there is one
wer:
  description: Word error rate against O(expect).
  type: float
  returned: when O(expect) is given and there is a sentence
seconds:
  description: Seconds from the end of the recording, silence with it, to the sentence.
  type: float
  returned: when there is a sentence
url:
  description: The address used, after corrections.
  type: str
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import (
    check_sentence,
    normalise_base_url,
    readable_file,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.realtime import RealtimeClient
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import WORST_WER

SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "model": {"type": "str", "default": "whisper-1"},
    "language": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "expect": {"type": "str"},
    "max_wer": {"type": "float", "default": WORST_WER},
    "timeout": {"type": "float", "default": 60},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
}


def transcribe(params: dict[str, Any], result: dict[str, Any]) -> None:
    """Fill ``result`` step by step, so that a failure still tells how far it came."""
    recording = readable_file(Path(params["path"]))
    result["url"], dummy = normalise_base_url(params["url"])
    client = RealtimeClient(
        result["url"],
        api_key=params["api_key"] or "",
        timeout=params["timeout"],
        ca_path=params["ca_path"] or "",
        validate_certs=params["validate_certs"],
    )
    text, seconds = client.transcribe(recording, model=params["model"], language=params["language"] or "")
    result.update(text=text, seconds=round(seconds, 3))
    if params["expect"] is not None:
        check_sentence(params["expect"], params["max_wer"], result)


def main() -> None:
    """Spec, session, comparison, exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result: dict[str, Any] = {"changed": False, "url": module.params["url"]}
    try:
        transcribe(module.params, result)
    except Error as exc:
        module.fail_json(msg=str(exc), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
