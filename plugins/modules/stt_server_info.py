#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks an STT server whether it is up, whether the key is right and whether the model is there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_server_info
short_description: Ask an STT server what it offers
version_added: 0.1.0
description:
  - Brings the address of an OpenAI-compatible STT server into the form that clients want, and asks the server for its
    models, over the network of the host where the module runs.
  - Fails with the one thing that is wrong, that is the address, the server, the key or the model.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  url:
    description: Base URL of the STT server, as V(http://homelab-ai:8000/v1).
    type: str
    required: true
  api_key:
    description: The server's API key, if it wants one.
    type: str
  model:
    description: The model to ask for. When not given, one is chosen from those that the server lists.
    type: str
  aliases:
    description: Names that the server is known to understand although it does not list them. The first is chosen.
    type: list
    elements: str
    default: []
  timeout:
    description: How long to wait for an answer, in seconds.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Ask the STT server before Open WebUI is told of it
  anklume.stt.stt_server_info:
    url: http://homelab-ai:8000
    model: whisper-1
"""

RETURN = r"""
base_url:
  description: The address as clients want it, ending in C(/v1).
  returned: when O(url) is an address
  type: str
  sample: http://homelab-ai:8000/v1
notes:
  description: What was changed in O(url).
  returned: when O(url) is an address
  type: list
  elements: str
models:
  description: The models that the server lists.
  returned: success
  type: list
  elements: str
model:
  description: The model to ask for.
  returned: success
  type: str
  sample: whisper-1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import choose_model
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import AudioClient, normalise_base_url


def main() -> None:
    """Spec, question, answer, exit."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "api_key": {"type": "str", "no_log": True},
            "model": {"type": "str"},
            "aliases": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    result = {}
    try:
        result["base_url"], result["notes"] = normalise_base_url(params["url"])
        client = AudioClient(result["base_url"], api_key=params["api_key"] or "", timeout=params["timeout"])
        result["models"] = client.models()
        result["model"] = choose_model(params["model"] or "", params["aliases"], result["models"])
    except Error as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
